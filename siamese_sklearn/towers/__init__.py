"""Towers: the networks that map a row to its embedding."""

from siamese_sklearn.towers._cnn import CNNTower
from siamese_sklearn.towers._input_path import InputPath
from siamese_sklearn.towers._layers import Standardize
from siamese_sklearn.towers._mlp import MLPTower
from siamese_sklearn.towers._resolve import TOWERS
from siamese_sklearn.towers._siamese import (
    PseudoSiameseNetwork,
    SiameseNetwork,
    TwoChannelNetwork,
)
from siamese_sklearn.towers._spec import TowerSpec

__all__ = [
    "TOWERS",
    "CNNTower",
    "InputPath",
    "MLPTower",
    "PseudoSiameseNetwork",
    "SiameseNetwork",
    "Standardize",
    "TowerSpec",
    "TwoChannelNetwork",
]
