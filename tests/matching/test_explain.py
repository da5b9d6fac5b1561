"""Contributions that are known in closed form, and their sums."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from models import CONFIGURATIONS, quick, quick_classifier
from siamese_sklearn import MLPTower, Pairs, PairTransformer
from siamese_sklearn.matching import explain


@pytest.mark.parametrize("distance", ["euclidean", "sqeuclidean", "manhattan"])
def test_linear_towers_have_exact_contributions(halves, distance):
    """With d = left - right and the weights W, the distance |W d| of the embeddings has
    the parts d_j (W' W d)_j / |W d|, and the city block distance d_j (W' sign(W d))_j.
    """
    X, X_test, y, _ = halves
    tower = nn.Linear(4, 3)
    options = {"tower": tower, "distance": distance, "normalize": False}
    model = quick(loss="triplet", n_components=3, max_epochs=1, **options).fit(X, y)
    W = model.net_.module_.tower.weight.detach().numpy().astype(float)
    left, right = X_test[:5], X_test[40:45]
    d = (left - right).astype(float)
    z = d @ W.T  # (n, 3)
    if distance == "manhattan":
        parts = d * (np.sign(z) @ W)
    else:  # the squared distance is rooted
        parts = d * (z @ W) / np.linalg.norm(z, axis=1, keepdims=True)
    found = explain(model, left, right)
    np.testing.assert_allclose(found.iloc[:, 1:], -parts, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.iloc[:, 0], 0, atol=1e-6)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_they_sum_to_the_score_and_do_not_depend_on_the_side(name, halves):
    X, X_test, y, _ = halves
    options = {"max_epochs": 1, "purpose": "known_classes"}
    model = quick_classifier(**options, **CONFIGURATIONS[name]).fit(X, y)
    left, right = X_test[:6], X_test[30:36]
    found = explain(model, left, right)
    size = found.abs().sum(axis=1)
    missing = (found.sum(axis=1) - model.pair_score(Pairs(left, right))).abs()
    assert (missing <= 1e-2 * size + 1e-5).all()
    middle = (left + right) / 2
    np.testing.assert_allclose(
        found["(equal rows)"], model.pair_score(Pairs(middle, middle)), atol=1e-5
    )
    if not name.startswith("two towers"):
        again = explain(model, right, left)
        np.testing.assert_allclose(found, again, rtol=1e-3, atol=1e-4)


def test_a_column_that_agrees_contributes_nothing(halves):
    X, X_test, y, _ = halves
    model = quick_classifier().fit(X, y)
    right = X_test[:3].copy()
    right[:, 2] += 1
    found = explain(model, X_test[:3], right)
    assert (found[["x0", "x1", "x3"]] == 0).all(axis=None)
    assert (found["x2"] < 0).all()


def test_sparse_rows_and_names_of_a_pipeline(halves):
    X, X_test, y, _ = halves
    names = ["a", "b", "c", "d"]
    table, test = pd.DataFrame(X, columns=names), pd.DataFrame(X_test, columns=names)
    classifier = quick_classifier(tower=MLPTower(hidden_layer_sizes=()))
    model = make_pipeline(PairTransformer(StandardScaler()), classifier).fit(table, y)
    found = explain(model, test[:2], test[50:52])
    assert list(found) == ["(equal rows)", *names]
    scaled = model[0].transform(test[:2]), model[0].transform(test[50:52])
    plain = explain(classifier, *map(sparse.csr_matrix, scaled))
    np.testing.assert_allclose(found, plain, rtol=1e-5)
    assert list(plain) == ["(equal rows)", "x0", "x1", "x2", "x3"]


def test_images_have_a_column_for_each_pixel(digits):
    X, y = digits
    model = quick(max_epochs=1, loss="contrastive").fit(X, y)
    found = explain(model, X[:2], X[40:42])
    assert found.shape == (2, 65)
    score = model.pair_score(Pairs(X[:2], X[40:42]))
    np.testing.assert_allclose(found.sum(axis=1), score, rtol=5e-3)


def test_an_uneven_network_is_reported(halves):
    class Steps(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 3)

        def forward(self, x):
            z = self.linear(x)
            return z + z.round()  # jumps, which no gradient shows

    X, X_test, y, _ = halves
    options = {"tower": Steps(), "normalize": False, "n_components": 3}
    model = quick(loss="contrastive", max_epochs=1, **options).fit(X, y)
    with pytest.warns(UserWarning, match="of 4 pairs miss the score"):
        explain(model, X_test[:4], X_test[60:64])


def test_errors(halves):
    X, _, y, _ = halves
    model = quick_classifier(max_epochs=1).fit(X, y)
    with pytest.raises(ValueError, match="same number of rows; got 3 and 2"):
        explain(model, X[:3], X[:2])
    with pytest.raises(ValueError, match=r"`right`: .*features"):
        explain(model, X[:3], X[:3, :2])
    two = quick_classifier(
        architecture="pseudo_siamese", loss="contrastive", max_epochs=1
    ).fit(Pairs(X[:40], X[:40, :2]), np.arange(40) % 2)
    with pytest.raises(ValueError, match=r"same shape .* got \(4,\) and \(2,\)"):
        explain(two, X[:3], X[:3, :2])
    bits = quick(loss="hamming_triplet", max_epochs=1, n_components=8).fit(X, y)
    with pytest.raises(ValueError, match="embeddings of bits"):
        explain(bits, X[:3], X[:3])
