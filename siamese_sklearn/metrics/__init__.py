"""Metrics of retrieval (1:N) and verification (1:1), and scorers for ``scoring=``.

Retrieval scorers call ``estimator.transform(X)``, so they work with an embedder, with
any other transformer, and with a Pipeline that ends in one. Distances are Euclidean.

Verification scorers do the same, and score all pairs of rows, or a million of them. For
a classifier, they use its ``decision_function`` on 20,000 pairs made from the rows, or
on the `Pairs` passed. The pairs are the same in every call.

scikit-learn stratifies folds for classifiers only. With a transformer and sorted
labels, pass ``cv=StratifiedKFold()``; otherwise a fold may contain a single class,
which leaves nothing to measure. To measure on classes not seen in training, pass
``cv=GroupKFold()`` and ``groups=y``.
"""

from siamese_sklearn.metrics._retrieval import map_at_r, r_precision, recall_at_k
from siamese_sklearn.metrics._scorers import (
    make_tar_at_far_scorer,
    map_at_r_scorer,
    neg_eer_scorer,
    r_precision_scorer,
    recall_at_1_scorer,
    tar_at_far_scorer,
    verification_auc_scorer,
)
from siamese_sklearn.metrics._verification import (
    eer,
    far_frr_curve,
    pair_scores,
    tar_at_far,
)

__all__ = [
    "eer",
    "far_frr_curve",
    "make_tar_at_far_scorer",
    "map_at_r",
    "map_at_r_scorer",
    "neg_eer_scorer",
    "pair_scores",
    "r_precision",
    "r_precision_scorer",
    "recall_at_1_scorer",
    "recall_at_k",
    "tar_at_far",
    "tar_at_far_scorer",
    "verification_auc_scorer",
]
