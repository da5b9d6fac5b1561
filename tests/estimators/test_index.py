"""An index against all pair distances, while rows come and go."""

import itertools
import pickle

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.neighbors import NearestNeighbors
from skorch.callbacks import Callback

from models import quick, quick_classifier
from siamese_sklearn import Pairs, SiameseEmbedder, SiameseIndex


@pytest.fixture(scope="module")
def embedder(halves):
    X, _, y, _ = halves
    return quick(loss="contrastive", n_components=4, max_epochs=1).fit(X, y)


def check_against_pairs(index, model, held, queries, n_neighbors):
    """`held` has the row of each id."""
    ids, rows = list(held), np.stack(list(held.values()))
    pairs = Pairs(
        np.repeat(queries, len(rows), axis=0), np.tile(rows, (len(queries), 1))
    )
    every = model.pair_distance(pairs).reshape(len(queries), len(rows))
    order = np.argsort(every, axis=1, kind="stable")[:, :n_neighbors]
    distances, found = index.kneighbors(queries, n_neighbors)
    assert distances.dtype == np.float32
    np.testing.assert_allclose(
        distances, np.take_along_axis(every, order, axis=1), rtol=1e-4, atol=1e-6
    )
    assert found.tolist() == [[ids[j] for j in row] for row in order]


@pytest.mark.parametrize(
    ("distance", "search"),
    [
        *itertools.product(
            ["euclidean", "cosine"], ["exact", "approximate", NearestNeighbors()]
        ),
        ("manhattan", "exact"),
    ],
)
def test_rows_that_come_and_go(halves, distance, search):
    X, X_test, y, _ = halves
    X, X_test = (side + np.arange(300).reshape(75, 4) * 1e-4 for side in (X, X_test))
    model = quick(
        loss="contrastive", distance=distance, n_components=4, max_epochs=1
    ).fit(X, y)
    index = model.index(X[:20], search=search)
    held = dict(enumerate(X[:20]))
    check_against_pairs(index, model, held, X_test[:9], 5)
    index.add(X[20:23], ids=["a", "b", "c"]).add(X[23:25]).remove([3, "b", 19])
    held.update({"a": X[20], "b": X[21], "c": X[22], 23: X[23], 24: X[24]})
    for gone in (3, "b", 19):
        del held[gone]
    check_against_pairs(index, model, held, X_test[:9], 5)
    check_against_pairs(index, model, held, X_test[:1], len(held))
    assert index.ids.tolist() == list(held)
    index.add(X[21:22], ids=["b"])
    held["b"] = X[21]
    check_against_pairs(pickle.loads(pickle.dumps(index)), model, held, X_test[:9], 5)


def test_a_later_fit_does_not_change_it(halves):
    X, X_test, y, _ = halves
    model = quick(n_components=4, max_epochs=1).fit(X, y)
    index = model.index(X)
    before = index.kneighbors(X_test)
    model.set_params(n_components=3).fit(X[:, :3], y)
    for one, other in zip(before, index.kneighbors(X_test), strict=True):
        np.testing.assert_array_equal(one, other)


def test_two_towers(halves):
    X, X_test = halves[:2]
    options = {"architecture": "pseudo_siamese", "loss": "contrastive"}
    pairs = Pairs(X[:40], X[:40, :2])
    model = quick_classifier(max_epochs=1, **options).fit(pairs, np.arange(40) % 2)
    index = SiameseIndex(model, X[:20, :2])
    check_against_pairs(index, model, dict(enumerate(X[:20, :2])), X_test[:2], 1)


def test_an_empty_index_can_be_filled_again(embedder, halves):
    X = halves[1]
    index = embedder.index(X[:2]).remove([0, 1])
    assert len(index) == 0
    assert index.add(X[:2]).kneighbors(X[:2], 1)[1].tolist() == [[2], [3]]


class TestErrors:
    @pytest.fixture
    def index(self, embedder, halves):
        return embedder.index(halves[1][:4], ids=["a", "b", "c", "d"])

    @pytest.mark.parametrize(
        ("change", "text"),
        [
            (lambda index, X: index.add(X[:2], ids=["e", "a"]), r"already: \['a'\]"),
            (lambda index, X: index.add(X[:2], ids=["e", "e"]), "must be unique"),
            (lambda index, X: index.add(X[:2], ids=["e"]), "one for each of 2 rows"),
            (lambda index, X: index.add(X[:2, :3]), "features"),
            (lambda index, X: index.remove(["a", "z"]), r"unknown: \['z'\]"),
            (lambda index, X: index.remove(["a", "a"]), r"got \['a', 'a'\]"),
            (lambda index, X: index.kneighbors(X, 5), "`n_neighbors`=5 is more .* 4"),
            (lambda index, X: index.kneighbors(X, 0), "`n_neighbors` must be"),
        ],
    )
    def test_a_refused_call_changes_nothing(self, index, halves, change, text):
        X = halves[1]
        before = index.kneighbors(X, 4)
        with pytest.raises(ValueError, match=text):
            change(index, X)
        assert index.ids.tolist() == ["a", "b", "c", "d"]
        for one, other in zip(before, index.kneighbors(X, 4), strict=True):
            np.testing.assert_array_equal(one, other)

    def test_models(self, halves):
        X, _, y, _ = halves
        with pytest.raises(TypeError, match="must be a SiameseEmbedder; got BaseEst"):
            SiameseIndex(BaseEstimator(), X)
        with pytest.raises(NotFittedError):
            SiameseEmbedder().index(X)
        model = quick_classifier(head="difference", max_epochs=1).fit(X, y)
        with pytest.raises(ValueError, match="has a head or no embeddings"):
            SiameseIndex(model, X)

    def test_searches(self, embedder, halves):
        X, _, y, _ = halves
        with pytest.raises(ValueError, match="`search` must be one of"):
            embedder.index(X, search="fast")
        model = quick(loss="contrastive", distance="manhattan", max_epochs=1)
        with pytest.raises(ValueError, match=r"must be 'exact' .* 'manhattan'"):
            model.fit(X, y).index(X, search="approximate")


def test_rows_without_ids_are_numbered_on_from_ids_given(embedder, halves):
    X = halves[1]
    index = embedder.index(X[:3]).add(X[3:4], ids=[4]).add(X[4:6])
    assert index.ids.tolist() == [0, 1, 2, 4, 5, 6]
    assert index.add(X[6:7], ids=["a"]).add(X[7:8]).ids.tolist()[-2:] == ["a", 8]


def test_ids_beyond_64_bits_are_refused(embedder, halves):
    with pytest.raises(ValueError, match=r"got \[9223372036854775808\]. Convert them"):
        embedder.index(halves[1][:2], ids=[0, 2**63])


def test_the_net_may_hold_what_cannot_be_copied(halves, tmp_path):
    class Logs(Callback):
        file = None

    X, _, y, _ = halves
    log = Logs()
    model = quick(max_epochs=1, callbacks=[log]).fit(X, y)
    with open(tmp_path / "log", "w") as file:
        for _, each in model.net_.callbacks_:
            each.file = file
        assert len(model.index(X[:5])) == 5


def test_a_query_adds_nothing_to_a_pickle(embedder, halves):
    index = embedder.index(halves[1])
    before = len(pickle.dumps(index))
    found = index.kneighbors(halves[1][:2])[1].tolist()
    assert len(pickle.dumps(index)) == before
    again = pickle.loads(pickle.dumps(index))
    assert again.kneighbors(halves[1][:2])[1].tolist() == found
