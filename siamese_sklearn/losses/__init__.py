"""Losses on embeddings: cloneable specs, the modules they build, and the registry of their names.

A loss is added in three edits: its spec class in the module of its family, its line in `LOSSES`, its row in
the tests; to be imported from the top level, it needs its name in the package's `__all__` as well. Error
messages and the tests of general laws read the registry, and a test checks the README's table against it.
"""

from siamese_sklearn.losses._base import EmbeddingLoss, LossSpec, TupleLoss
from siamese_sklearn.losses._batch import CircleLoss, LiftedLoss
from siamese_sklearn.losses._hamming import HammingTripletLoss
from siamese_sklearn.losses._infonce import NPairsLoss, SupConLoss
from siamese_sklearn.losses._logit import BinaryCrossEntropyLoss, HingeLoss, LogitLoss
from siamese_sklearn.losses._multi_similarity import MultiSimilarityLoss
from siamese_sklearn.losses._pair import ContrastiveLoss, ExponentialLoss
from siamese_sklearn.losses._proxy import ProxyAnchorLoss
from siamese_sklearn.losses._softmax import (
    ArcFaceLoss,
    CosFaceLoss,
    NormalizedSoftmaxLoss,
    ProxyNCALoss,
)
from siamese_sklearn.losses._triplet import TripletLoss
from siamese_sklearn.losses._triplet_ratio import TripletRatioLoss

__all__ = [
    "LOSSES",
    "ArcFaceLoss",
    "BinaryCrossEntropyLoss",
    "CircleLoss",
    "ContrastiveLoss",
    "CosFaceLoss",
    "EmbeddingLoss",
    "ExponentialLoss",
    "HammingTripletLoss",
    "HingeLoss",
    "LiftedLoss",
    "LogitLoss",
    "LossSpec",
    "MultiSimilarityLoss",
    "NPairsLoss",
    "NormalizedSoftmaxLoss",
    "ProxyAnchorLoss",
    "ProxyNCALoss",
    "SupConLoss",
    "TripletLoss",
    "TripletRatioLoss",
    "TupleLoss",
]

LOSSES: dict[str, type[LossSpec]] = {
    # on pairs
    "contrastive": ContrastiveLoss,
    "exponential": ExponentialLoss,
    # on triplets
    "hamming_triplet": HammingTripletLoss,
    "triplet": TripletLoss,
    "triplet_ratio": TripletRatioLoss,
    # on all positives and negatives of an anchor
    "circle": CircleLoss,
    "lifted": LiftedLoss,
    "multi_similarity": MultiSimilarityLoss,
    "n_pairs": NPairsLoss,
    "supcon": SupConLoss,
    # on learned proxies of the classes
    "arcface": ArcFaceLoss,
    "cosface": CosFaceLoss,
    "normalized_softmax": NormalizedSoftmaxLoss,
    "proxy_anchor": ProxyAnchorLoss,
    "proxy_nca": ProxyNCALoss,
    # on the logits of a head
    "binary_cross_entropy": BinaryCrossEntropyLoss,
    "hinge": HingeLoss,
}
