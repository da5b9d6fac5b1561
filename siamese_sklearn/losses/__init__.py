"""Losses on embeddings: cloneable specs, the modules they build, and the registry of their names.

A loss is added in three edits: its spec class in the module of its family, its line in `LOSSES`, its row in
the tests; to be imported from the top level, it needs its name in the package's `__all__` as well. Error
messages and the tests of general laws read the registry, and a test checks the README's table against it.
"""

from siamese_sklearn.losses._base import EmbeddingLoss, LossSpec
from siamese_sklearn.losses._pair import ContrastiveLoss, ExponentialLoss
from siamese_sklearn.losses._resolve import LossLike, make_loss
from siamese_sklearn.losses._triplet import TripletLoss

__all__ = [
    "LOSSES",
    "ContrastiveLoss",
    "EmbeddingLoss",
    "ExponentialLoss",
    "LossLike",
    "LossSpec",
    "TripletLoss",
    "make_loss",
]

LOSSES: dict[str, type[LossSpec]] = {
    "contrastive": ContrastiveLoss,
    "exponential": ExponentialLoss,
    "triplet": TripletLoss,
}
