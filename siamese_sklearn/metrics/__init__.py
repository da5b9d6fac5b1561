"""How good embeddings are: retrieval (1:N), verification (1:1), and scorers for scikit-learn's ``scoring=``.

The scorers of retrieval call ``estimator.transform(X)``: they take an embedder, or a Pipeline that ends in
one. Distances are Euclidean. Those of verification do the same and look at all pairs of rows, or at a million
of them; of a classifier they take the ``decision_function`` of twenty thousand pairs made of the rows, or of
the `Pairs` given. The pairs are the same in every call. scikit-learn stratifies folds for classifiers only:
with a transformer and sorted labels pass ``cv=StratifiedKFold()``, or a fold may hold one class and have
nothing to measure. To measure on classes not seen in training, pass ``cv=GroupKFold()`` and ``groups=y``.
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
