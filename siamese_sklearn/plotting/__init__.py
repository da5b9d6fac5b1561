"""Displays as in scikit-learn: embeddings, scores, errors, training curves, neighbors.

Each has ``from_estimator`` for a fitted model and data, and another constructor for
existing results. Both draw at once and return the display, whose `plot` draws it again.
All displays need matplotlib, which is imported when the first one is created. For ROC
and DET curves of verification, use scikit-learn's ``RocCurveDisplay`` and
``DetCurveDisplay`` with ``from_predictions(same, score)``.
"""

from siamese_sklearn.plotting._contributions import ContributionDisplay
from siamese_sklearn.plotting._embedding import EmbeddingDisplay
from siamese_sklearn.plotting._neighbors import NeighborsDisplay
from siamese_sklearn.plotting._open_set import OpenSetDisplay
from siamese_sklearn.plotting._pair_scores import PairScoreDisplay
from siamese_sklearn.plotting._training_curve import TrainingCurveDisplay

__all__ = [
    "ContributionDisplay",
    "EmbeddingDisplay",
    "NeighborsDisplay",
    "OpenSetDisplay",
    "PairScoreDisplay",
    "TrainingCurveDisplay",
]
