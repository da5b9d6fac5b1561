"""A drawing board, and fitted models to draw."""

import pytest

from siamese_sklearn import SiameseEmbedder, SiamesePairClassifier


@pytest.fixture
def plt():
    """pyplot on a backend without windows and without figures; they are closed after
    the test.
    """
    matplotlib = pytest.importorskip("matplotlib")
    before = matplotlib.get_backend()
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.close("all")
    yield plt
    plt.close("all")
    matplotlib.use(before)


@pytest.fixture(scope="session")
def embedder(digits):
    X, y = digits
    return SiameseEmbedder(8, max_epochs=2, random_state=0, early_stopping=True).fit(
        X, y
    )


@pytest.fixture(scope="session")
def classifier(digits):
    X, y = digits
    return SiamesePairClassifier(
        8, max_epochs=2, head="difference", random_state=0
    ).fit(X, y)
