"""Data of the gallery: from a folder where there is one, else from scikit-learn's own fetchers.

The folder is the environment variable SIAMESE_SKLEARN_DATA, or `shared/data` beside the checkout. With
SIAMESE_SKLEARN_REDUCED=1 each script runs on less data and for fewer epochs, to see that it runs: its figures
then mean nothing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from sklearn.datasets import fetch_olivetti_faces, fetch_openml

__all__ = ["faces", "mnist", "omniglot", "reduced"]

Array = npt.NDArray[Any]
T = TypeVar("T")


def reduced(full: T, small: T) -> T:
    """Choose `full`, or `small` where the script only has to run."""
    return small if os.environ.get("SIAMESE_SKLEARN_REDUCED") == "1" else full


def mnist() -> tuple[Array, Array, Array, Array]:
    """MNIST, the official split: X_train (60000, 28, 28) uint8, y_train, X_test (10000, 28, 28), y_test."""
    file = _file("mnist.npz")
    if file is not None:
        with np.load(file) as data:
            return data["X_train"], data["y_train"], data["X_test"], data["y_test"]
    X, y = fetch_openml("mnist_784", version=1, as_frame=False, return_X_y=True)
    X, y = X.reshape(-1, 28, 28).astype(np.uint8), y.astype(np.int64)
    return X[:60000], y[:60000], X[60000:], y[60000:]


def faces() -> tuple[Array, Array]:
    """AT&T faces: 40 people, 10 photographs each; X (400, 64, 64) uint8, y (400,), sorted."""
    file = _file("olivetti_faces.npz")
    if file is not None:
        with np.load(file) as data:
            return data["X"], data["y"]
    data = fetch_olivetti_faces()
    return (data.images * 255).round().astype(np.uint8), data.target


def omniglot(name: str) -> tuple[Array, Array, Array]:
    """Omniglot's background set "small1" or "small2": X (n, 28, 28) uint8, the characters, the alphabets."""
    file = _file(f"omniglot_{name}.npz")
    if file is None:
        raise FileNotFoundError(
            f"omniglot_{name}.npz is needed: arrays X (n, 28, 28), y and alphabet. Make it of the images "
            f"of background set {name} of Lake et al. 2015, which scikit-learn does not fetch, and set "
            "SIAMESE_SKLEARN_DATA to its folder."
        )
    with np.load(file) as data:
        return data["X"], data["y"], data["alphabet"]


def _file(name: str) -> Path | None:
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    path = Path(os.environ.get("SIAMESE_SKLEARN_DATA", default)) / name
    return path if path.is_file() else None
