"""The estimators and their internals."""

from siamese_sklearn._estimators.base import SiameseBase
from siamese_sklearn._estimators.embedder import SiameseEmbedder
from siamese_sklearn._estimators.index import SiameseIndex
from siamese_sklearn._estimators.pair_classifier import SiamesePairClassifier

__all__ = ["SiameseBase", "SiameseEmbedder", "SiameseIndex", "SiamesePairClassifier"]
