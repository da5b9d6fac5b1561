"""Pairs and triplets: containers, how to make them out of labelled rows, one transformer for all sides."""

from siamese_sklearn.pairs._containers import Pairs, Triplets
from siamese_sklearn.pairs._making import make_pairs, make_triplets
from siamese_sklearn.pairs._transformer import PairTransformer

__all__ = ["PairTransformer", "Pairs", "Triplets", "make_pairs", "make_triplets"]
