"""Pairs and triplets: containers, functions that make them, and PairTransformer."""

from siamese_sklearn.pairs._containers import Pairs, Triplets
from siamese_sklearn.pairs._making import make_pairs, make_triplets
from siamese_sklearn.pairs._transformer import PairTransformer

__all__ = ["PairTransformer", "Pairs", "Triplets", "make_pairs", "make_triplets"]
