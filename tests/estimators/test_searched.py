"""A gallery behind another search answers as the exact one, while it changes."""

import copy
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.neighbors import NearestNeighbors

from models import CONFIGURATIONS, quick_classifier
from siamese_sklearn._estimators import gallery as gallery_module
from siamese_sklearn._estimators.gallery import Gallery
from siamese_sklearn.distances import DISTANCES
from siamese_sklearn.search import ExactSearch

NAMES = ["contrastive", "manhattan", "cosine", "difference head", "two towers"]


class Counting(ExactSearch):
    """Counts the rows that it is given."""

    def __init__(self):
        self.fitted, self.added, self.removed, self.queries = [], [], [], []

    def fit(self, X):
        self.fitted.append(len(X))
        return super().fit(X)

    def add(self, X):
        self.added.append(len(X))
        return super().add(X)

    def remove(self, numbers):
        self.removed.append(len(numbers))
        return super().remove(numbers)

    def kneighbors(self, X, n_neighbors):
        self.queries.append(len(X))
        return super().kneighbors(X, n_neighbors)


@pytest.fixture(scope="module")
def fitted(digits):
    X, y = digits
    models = {}

    def of(name="contrastive", search="exact"):
        if name not in models:
            # all 40 references vote, also of those that a search finds
            options = {"max_epochs": 1, "purpose": "known_classes", "tower": "mlp"}
            options["n_references"] = 4
            model = quick_classifier(**options, **CONFIGURATIONS[name])
            models[name] = model.fit(X[::3], y[::3])
        return copy.deepcopy(models[name]).set_params(search=search)

    return of


def check_alike(exact, other, queries):
    np.testing.assert_array_equal(other.predict(queries), exact.predict(queries))
    for n_neighbors in (1, 5):
        (distance, ids), (expected, expected_ids) = (
            model.kneighbors(queries, n_neighbors) for model in (other, exact)
        )
        np.testing.assert_allclose(distance, expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(ids, expected_ids)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("search", ["approximate", NearestNeighbors(), ExactSearch()])
def test_answers_are_the_exact_ones(fitted, digits, name, search):
    X, y = digits
    exact, other = fitted(name), fitted(name, search)
    check_alike(exact, other, X[1::10])
    for model in (exact, other):
        model.forget([3, 5])
    check_alike(exact, other, X[1::10])
    for model in (exact, other):
        model.enroll(X[1::30] + 1, y[1::30])
        model.enroll(X[2:3], "new" if y.dtype.kind == "U" else 77)
    check_alike(exact, other, X[1::10])


def test_the_search_is_kept_and_changed_with_the_gallery(fitted, digits):
    X, y = digits
    model = fitted(search=Counting())
    model.predict(X[:7])
    counting = model._searched._search
    n = len(model.reference_ids_)
    model.kneighbors(X[:2])
    model.enroll(X[1:3], 77)
    model.forget(77)
    model.enroll(X[4:5], 88)
    model.predict(X[:3])
    n_gone = int(np.sum(model.reference_labels_ == 0))
    model.forget(0)
    model.predict(X[:3])
    assert model._searched._search is counting
    assert (counting.fitted, counting.added) == ([n], [1])
    assert counting.removed == [n_gone]
    assert counting.queries == [7, 2, 3, 3]
    # training changes all embeddings
    model.partial_fit(X[::3], y[::3])
    model.predict(X[:3])
    assert model._searched._search is not counting


def test_copies_do_not_share_the_search(fitted, digits):
    X, _ = digits
    model = fitted(search="approximate")
    model.predict(X[:3])
    twins = copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))
    model.enroll(X[:1] + 100, 77)
    for twin in twins:
        assert twin._searched is None
        twin.enroll(X[1:2] + 100, 88)
        assert twin.predict(X[1:2] + 100).tolist() == [88]
    assert model.predict(X[:1] + 100).tolist() == [77]
    assert clone(model).search == "approximate"


def test_another_search_after_the_fit(fitted, digits):
    X, _ = digits
    model = fitted(search="approximate")
    expected = model.predict(X)
    np.testing.assert_array_equal(
        model.set_params(search=ExactSearch()).predict(X), expected
    )
    assert isinstance(model._searched._search, ExactSearch)


def test_a_search_that_fails_is_built_again(fitted, digits):
    X, _ = digits
    model = fitted(search=Counting())
    expected = model.predict(X[:5])

    def fails(X, n_neighbors):
        raise RuntimeError("no memory")

    model._searched._search.kneighbors = fails
    with pytest.raises(RuntimeError, match="no memory"):
        model.predict(X[:5])
    np.testing.assert_array_equal(model.predict(X[:5]), expected)


def test_networks_without_embeddings_ignore_it(digits):
    X, y = digits
    model = quick_classifier(
        architecture="two_channel", loss="hinge", max_epochs=1, n_references=1
    ).fit(X[::5], y[::5])
    expected = model.predict(X[:4])
    model.set_params(search="approximate")
    np.testing.assert_array_equal(model.predict(X[:4]), expected)


def test_an_unknown_search_is_refused_before_training(digits):
    X, y = digits
    with pytest.raises(ValueError, match="`search` must be one of"):
        quick_classifier(search="fast").fit(X, y)


def test_serials_identify_embeddings():
    """Over any changes, a serial stays with its embedding and is not used again."""
    rng = np.random.default_rng(0)
    gallery, of_serial = Gallery(), {}
    for step in range(40):
        if step % 3 == 2 and len(gallery.classes) > 1:
            gallery = gallery.without(rng.choice(gallery.classes, 1))
        rows = rng.standard_normal((3, 2)).astype(np.float32)
        names = rng.integers(0, 6, 3)
        gallery = gallery.extended(rows, rows, names, 4, rng)
        assert len(set(gallery.serials.tolist())) == len(gallery)
        assert gallery.serials.max() < gallery.next_serial
        for serial, row in zip(gallery.serials, gallery.embeddings, strict=True):
            assert of_serial.setdefault(int(serial), tuple(row)) == tuple(row)
    assert len(of_serial) > 80
    assert gallery.re_embedded(np.negative).origin is not gallery.origin


def test_the_exact_search_is_built_once(monkeypatch):
    made = []

    class Counted(gallery_module.NearestNeighbors):
        def fit(self, X):
            made.append(len(X))
            return super().fit(X)

    monkeypatch.setattr(gallery_module, "NearestNeighbors", Counted)
    rows = np.random.default_rng(0).standard_normal((9, 2)).astype(np.float32)
    gallery = Gallery().extended(rows, rows, np.arange(9), None, None)
    before = pickle.dumps(gallery)
    for _ in range(3):
        places, _ = gallery.nearest(rows, DISTANCES["euclidean"])
        assert places.tolist() == list(range(9))
    assert made == [9]
    assert pickle.dumps(gallery) == before
    gallery.without(3).nearest(rows, DISTANCES["cosine"])
    assert made == [9, 8]


def test_all_references_of_the_classes_found_vote():
    """Of 4 classes with 300 references each, 50 references are found."""
    draw = np.random.default_rng(0)
    y = np.arange(1600) % 4
    X = (draw.normal(size=(1600, 5)) + y[:, None]).astype(np.float32)
    options = {"n_references": 300, "unknown_label": -1, "max_epochs": 1}
    exact = quick_classifier(**options).fit(X[:1400], y[:1400])
    exact.calibrate_threshold(X[1400:], y[1400:], strategy="fpir", target=0.3)
    other = copy.deepcopy(exact).set_params(search=ExactSearch())
    answer = exact.predict(X[1400:])
    np.testing.assert_array_equal(other.predict(X[1400:]), answer)
    assert 0 < np.mean(answer == -1) < 1


def test_a_search_that_is_none_is_said_at_the_query(fitted, digits):
    model = fitted().set_params(search="exakt")
    with pytest.raises(ValueError, match="`search` must be one of"):
        model.predict(digits[0][:2])


def test_queries_of_a_gallery_that_stays_build_one_search(fitted, digits):
    search = Counting()
    model = fitted(search=search)
    for _ in range(3):
        model.predict(digits[0][:4])
    assert model._searched._search.fitted == [len(model.reference_ids_)]
