"""Small real data for all tests, and the optional data folder."""

import gc
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from sklearn.datasets import load_digits, load_iris, load_wine
from sklearn.model_selection import train_test_split

settings.register_profile("without a clock", parent=settings(), deadline=None)
settings.load_profile("without a clock")


def pytest_collection():
    """What is collected stays: to look for garbage in it takes a tenth of the time."""
    gc.disable()


def pytest_collection_finish():
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """One thread for all tests: their networks are too small for two, which only wait
    for each other.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def iris():
    """150 flowers of 3 species: X (150, 4) float32, y (150,)."""
    X, y = load_iris(return_X_y=True)
    return X.astype(np.float32), y


@pytest.fixture(scope="session")
def halves(iris):
    """Flowers to train on and flowers to test on, 75 and 75."""
    X, y = iris
    return X[::2], X[1::2], y[::2], y[1::2]


@pytest.fixture(scope="session")
def wine():
    """Wines to train on and wines to test on, 89 and 89 of 3 kinds, of 13 features."""
    X, y = load_wine(return_X_y=True)
    return train_test_split(
        X.astype(np.float32), y, stratify=y, test_size=0.5, random_state=0
    )


@pytest.fixture(scope="session")
def digits():
    """30 images of each digit: X (300, 8, 8) float32, y (300,)."""
    data = load_digits()
    rows = np.sort(
        np.concatenate(
            [np.flatnonzero(data.target == digit)[:30] for digit in range(10)]
        )
    )
    return data.images[rows].astype(np.float32), data.target[rows]


@pytest.fixture(scope="session")
def data_folder():
    """Folder of the larger data sets: SIAMESE_SKLEARN_DATA, or `shared/data` beside the
    checkout.
    """
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SIAMESE_SKLEARN_DATA", default))
    if not folder.is_dir():
        pytest.skip("no data folder; set SIAMESE_SKLEARN_DATA to it")
    return folder


@pytest.fixture(scope="session")
def faces(data_folder):
    """Ten photographs of each of 12 people: X (120, 64, 64) uint8, y (120,)."""
    with np.load(data_folder / "olivetti_faces.npz") as file:
        X, y = file["X"], file["y"]
    return X[y < 12], y[y < 12]
