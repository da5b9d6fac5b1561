"""Towers: the networks that map a row to its embedding."""

from siamese_sklearn.towers._architecture import ARCHITECTURES, make_network
from siamese_sklearn.towers._cnn import CNNTower
from siamese_sklearn.towers._layers import Standardize
from siamese_sklearn.towers._mlp import MLPTower
from siamese_sklearn.towers._resolve import TOWERS, TowerLike, is_cnn, make_tower
from siamese_sklearn.towers._siamese import PseudoSiameseNetwork, SiameseNetwork, TwoChannelNetwork
from siamese_sklearn.towers._spec import TowerSpec

__all__ = [
    "ARCHITECTURES",
    "TOWERS",
    "CNNTower",
    "MLPTower",
    "PseudoSiameseNetwork",
    "SiameseNetwork",
    "Standardize",
    "TowerLike",
    "TowerSpec",
    "TwoChannelNetwork",
    "is_cnn",
    "make_network",
    "make_tower",
]
