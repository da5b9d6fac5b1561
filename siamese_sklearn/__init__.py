"""Deep metric learning for scikit-learn: Siamese networks with fit and predict."""

from siamese_sklearn._estimators import (
    SiameseEmbedder,
    SiameseIndex,
    SiamesePairClassifier,
)
from siamese_sklearn._version import __version__ as __version__
from siamese_sklearn.losses import ContrastiveLoss, ExponentialLoss, TripletLoss
from siamese_sklearn.pairs import (
    Pairs,
    PairTransformer,
    Triplets,
    make_pairs,
    make_triplets,
)
from siamese_sklearn.towers import CNNTower, MLPTower

__all__ = [
    "CNNTower",
    "ContrastiveLoss",
    "ExponentialLoss",
    "MLPTower",
    "PairTransformer",
    "Pairs",
    "SiameseEmbedder",
    "SiameseIndex",
    "SiamesePairClassifier",
    "TripletLoss",
    "Triplets",
    "make_pairs",
    "make_triplets",
]
