"""Data, and what is asked of every fit that is refused."""

import copy
from functools import cache

import numpy as np
import pytest
from sklearn.datasets import load_wine
from sklearn.exceptions import NotFittedError

from siamese_sklearn import SiameseEmbedder, make_pairs

X, Y = load_wine(return_X_y=True)
IMAGES = np.random.default_rng(0).normal(size=(20, 6, 6))
PAIRS, SAME = make_pairs(X, Y, n_pairs=60, random_state=0)


class Spy:
    """An `augment` that remembers that training began."""

    def __init__(self):
        self.called = False

    def __call__(self, batch):
        self.called = True
        return batch


def with_value(value):
    """The rows, with one bad value in them."""
    rows = X.copy()
    rows[30, 4] = value
    return rows


@cache
def fitted_embedder():
    return SiameseEmbedder(device="cpu", max_epochs=1, random_state=0).fit(X, Y)


def check_refused(parameters, data, error, message):
    """Expect the error before the first batch, of a new embedder and a fitted one,
    which stays as it was.
    """
    spy = Spy()
    new = SiameseEmbedder(**{"device": "cpu", "augment": spy, **parameters})
    with pytest.raises(error, match=f"(?s){message}"):
        new.fit(*data)
    assert not spy.called
    with pytest.raises(NotFittedError):
        new.transform(X)

    fitted = copy.deepcopy(fitted_embedder())
    embeddings, state = fitted.transform(X), dict(vars(fitted))
    with pytest.raises(error, match=f"(?s){message}"):
        fitted.set_params(**{"augment": spy, **parameters}).fit(*data)
    assert not spy.called
    learned = {
        name: value for name, value in vars(fitted).items() if name.endswith("_")
    }
    assert all(value is state[name] for name, value in learned.items())
    assert learned.keys() == {name for name in state if name.endswith("_")}
    np.testing.assert_array_equal(fitted.transform(X), embeddings)
