"""Metrics of retrieval, verification and identification, and scorers for ``scoring=``.

Retrieval scorers call ``estimator.transform(X)``, so they work with an embedder, with
any other transformer, and with a Pipeline that ends in one. Distances are Euclidean.

Verification scorers do the same, and score all pairs of rows, or a million of them. For
a classifier, they use its ``decision_function`` on 20,000 pairs made from the rows, or
on the `Pairs` passed. The pairs are the same in every call.

Identification scorers use the score that a classifier gives to each enrolled class. A
row of `y` whose label is not in ``classes_`` is a stranger. If `y` has no stranger, as
in ordinary cross-validation, each row also counts as a stranger's, scored against the
other classes only. These rates are optimistic, because the network was trained on the
classes; to measure with strangers that training has not seen, pass ``cv`` as a list of
``(train, test)`` in which some classes occur in ``test`` only.

scikit-learn stratifies folds for classifiers only. With a transformer and sorted
labels, pass ``cv=StratifiedKFold()``; otherwise a fold may contain a single class,
which leaves nothing to measure. To measure on classes not seen in training, pass
``cv=GroupKFold()`` and ``groups=y``.
"""

from siamese_sklearn.metrics._identification import (
    cmc_curve,
    fnir,
    fnir_at_fpir,
    fpir,
    fpir_fnir_curve,
)
from siamese_sklearn.metrics._retrieval import map_at_r, r_precision, recall_at_k
from siamese_sklearn.metrics._scorers import (
    make_neg_fnir_at_fpir_scorer,
    make_tar_at_far_scorer,
    map_at_r_scorer,
    neg_eer_scorer,
    neg_fnir_at_fpir_scorer,
    neg_fnir_scorer,
    neg_fpir_scorer,
    r_precision_scorer,
    rank_1_identification_scorer,
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
    "cmc_curve",
    "eer",
    "far_frr_curve",
    "fnir",
    "fnir_at_fpir",
    "fpir",
    "fpir_fnir_curve",
    "make_neg_fnir_at_fpir_scorer",
    "make_tar_at_far_scorer",
    "map_at_r",
    "map_at_r_scorer",
    "neg_eer_scorer",
    "neg_fnir_at_fpir_scorer",
    "neg_fnir_scorer",
    "neg_fpir_scorer",
    "pair_scores",
    "r_precision",
    "r_precision_scorer",
    "rank_1_identification_scorer",
    "recall_at_1_scorer",
    "recall_at_k",
    "tar_at_far",
    "tar_at_far_scorer",
    "verification_auc_scorer",
]
