"""Data and fitted models that the tests of the estimators share."""

import copy

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from models import CONFIGURATIONS, EACH_CONFIGURATION, NOBODY, quick_classifier
from siamese_sklearn import make_pairs


@pytest.fixture(scope="session")
def scaled(wine):
    """As `wine`, of mean 0 and spread 1."""
    X_train, X_test, y_train, y_test = wine
    scaler = StandardScaler().fit(X_train)
    return scaler.transform(X_train), scaler.transform(X_test), y_train, y_test


@pytest.fixture(scope="session")
def images(digits):
    """Images to train on and images to test on, 150 and 150 of 10 digits."""
    X, y = digits
    return X[::2], X[1::2], y[::2], y[1::2]


@pytest.fixture(scope="session")
def table(images):
    """Digits as rows of 64 numbers."""
    X_train, X_test, y_train, y_test = images
    return X_train.reshape(-1, 64), X_test.reshape(-1, 64), y_train, y_test


@pytest.fixture(scope="session")
def counts(digits):
    """300 rows of 64 small integers: every numeric type holds them exactly."""
    X, y = digits
    return X.reshape(len(X), -1), y


@pytest.fixture(scope="session")
def few_counts(table):
    """56 rows of 4 digits of `counts`."""
    few = np.concatenate([np.flatnonzero(table[2] == digit) for digit in range(4)])
    return table[0][few], table[2][few]


@pytest.fixture(scope="session")
def pairs(halves):
    """120 pairs of rows that are not trained on, and which are the same."""
    return make_pairs(halves[1], halves[3], n_pairs=120, random_state=1)


@pytest.fixture(scope="session")
def models(halves):
    """Fitted classifiers by the name of their configuration; all rows are references.

    Each is fitted when it is first asked for, and given as a copy. They name nobody.
    """
    fitted = {}

    def model(name):
        if name not in fitted:
            parameters = {**CONFIGURATIONS[name], "n_references": None}
            model = quick_classifier(**parameters).fit(halves[0], halves[2])
            fitted[name] = model.set_threshold(**NOBODY)
        return copy.deepcopy(fitted[name])

    return model


@pytest.fixture(params=EACH_CONFIGURATION)
def configuration(request):
    """Name of a configuration."""
    return request.param


@pytest.fixture
def model(models, configuration):
    """Fitted classifier of a configuration."""
    return models(configuration)
