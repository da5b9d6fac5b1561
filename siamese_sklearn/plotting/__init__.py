"""Displays in scikit-learn's style: embeddings, scores of pairs, training curves, nearest images.

Each has ``from_estimator`` for a fitted model and data, and one for results that are there already; both draw
at once and return the display, whose `plot` draws it again. All need matplotlib, which is imported when the
first display is made. ROC and DET curves are scikit-learn's own: ``RocCurveDisplay`` and ``DetCurveDisplay``
with ``from_predictions(same, score)``.
"""

from siamese_sklearn.plotting._embedding import EmbeddingDisplay
from siamese_sklearn.plotting._neighbors import NeighborsDisplay
from siamese_sklearn.plotting._pair_scores import PairScoreDisplay
from siamese_sklearn.plotting._training_curve import TrainingCurveDisplay

__all__ = [
    "EmbeddingDisplay",
    "NeighborsDisplay",
    "PairScoreDisplay",
    "TrainingCurveDisplay",
]
