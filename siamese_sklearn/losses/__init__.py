"""Losses on embeddings, and the registry that maps names to them.

A loss has two parts: a spec, which holds its parameters and can be cloned, and the
``nn.Module`` that the spec builds. Adding a loss takes three edits: its spec class in
the module of its family, a line in `LOSSES`, and a row in the tests. To be importable
from the top level, the spec must also be in the package's `__all__`. Error messages and
the tests that cover all losses read the registry, and a test compares the README's
table with it.
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
