"""Each search against distances to all rows, while rows come and go."""

import copy
import pickle
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from siamese_sklearn.search import ApproximateSearch, ExactSearch, Search
from siamese_sklearn.search._resolve import check_search, make_search

KINDS = {
    "exact": "exact",
    "approximate": "approximate",
    "refitted": NearestNeighbors(algorithm="kd_tree"),
}
each_kind = pytest.mark.parametrize("kind", KINDS)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def check_against_all(search, held, queries, n_neighbors):
    """`held` has the row of each number."""
    numbers = np.array(sorted(held))
    rows = np.stack([held[number] for number in numbers.tolist()])
    every = np.linalg.norm(queries[:, None].astype(float) - rows, axis=2)
    order = np.argsort(every, axis=1, kind="stable")[:, :n_neighbors]
    distances, found = search.kneighbors(queries, n_neighbors)
    expected = np.take_along_axis(every, order, axis=1)
    np.testing.assert_allclose(distances, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found, numbers[order])


@each_kind
def test_it_finds_the_nearest_rows(kind):
    rows, queries = normal(200, 5), normal(7, 5, seed=1)
    search = make_search(KINDS[kind])
    search.fit(rows)
    check_against_all(search, dict(enumerate(rows)), queries, 6)
    check_against_all(search, dict(enumerate(rows)), queries[:1], 1)


@each_kind
@settings(max_examples=15)
@given(st.lists(st.integers(-12, 9), min_size=1, max_size=8), st.integers(0, 99))
def test_rows_that_come_and_go(kind, steps, seed):
    """A step above 0 adds so many rows, one below 0 removes so many; a search follows
    each of them.
    """
    rng = np.random.default_rng([seed, 1])  # not the rows again
    rows = normal(10, 3, seed=seed)
    search, held, n_numbers = make_search(KINDS[kind]), dict(enumerate(rows)), 10
    search.fit(rows)
    for step in steps:
        if step > 0:
            new = rng.standard_normal((step, 3)).astype(np.float32)
            search.add(new)
            held.update(enumerate(new, start=n_numbers))
            n_numbers += step
        elif step < 0:
            n_gone = min(-step, len(held) - 1)
            gone = rng.choice(sorted(held), n_gone, replace=False)
            search.remove(gone)
            for number in gone.tolist():
                del held[number]
        n_neighbors = min(4, len(held))
        check_against_all(search, held, normal(3, 3, seed=seed + 1), n_neighbors)


@each_kind
def test_a_copy_and_a_pickle_find_the_same(kind):
    rows, queries = normal(50, 4), normal(5, 4, seed=1)
    search = make_search(KINDS[kind])
    search.fit(rows)
    search.remove(np.array([3, 4]))
    before = search.kneighbors(queries, 3)
    for other in (copy.deepcopy(search), pickle.loads(pickle.dumps(search))):
        other.add(queries)
        assert other.kneighbors(queries, 1)[1][:, 0].tolist() == [50, 51, 52, 53, 54]
    for one, again in zip(before, search.kneighbors(queries, 3), strict=True):
        np.testing.assert_array_equal(one, again)


def test_the_exact_search_puts_equal_rows_in_order():
    rows = np.ones((5, 2), dtype=np.float32)
    search = ExactSearch().fit(rows).remove([1])
    assert search.kneighbors(rows[:1], 4)[1].tolist() == [[0, 2, 3, 4]]


def test_the_exact_search_grows_seldom():
    search = ExactSearch().fit(normal(10, 2))
    sizes = set()
    for _ in range(1000):
        search.add(normal(1, 2))
        sizes.add(len(search._rows))
    assert len(sizes) <= 8


class TestApproximate:
    def test_options_reach_the_index(self):
        options = {"connectivity": 8, "expansion_add": 40, "expansion_search": 50}
        search = ApproximateSearch(**options).fit(normal(20, 3))
        for one in (search, pickle.loads(pickle.dumps(search))):
            index = one._index
            assert index.connectivity == 8
            assert (index.expansion_add, index.expansion_search) == (40, 50)
        assert repr(search) == (
            "ApproximateSearch(connectivity=8, expansion_add=40, expansion_search=50, "
            "n_threads=1)"
        )

    def test_options_are_checked(self):
        with pytest.raises(ValueError, match=r"`ApproximateSearch.connectivity` must"):
            ApproximateSearch(connectivity=0).fit(normal(20, 3))

    def test_rows_that_the_graph_has_lost_are_found(self, monkeypatch):
        search = ApproximateSearch().fit(normal(20, 3))
        found = search._found

        def short(queries, n_neighbors, *, exact=False):
            numbers, square, count = found(queries, n_neighbors, exact=exact)
            if not exact:
                numbers[1], count = 0, np.array([5, 2, 5])
            return numbers, square, count

        monkeypatch.setattr(search, "_found", short)
        rows = dict(enumerate(normal(20, 3)))
        check_against_all(search, rows, normal(3, 3, seed=1), 5)

    def test_without_usearch(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "usearch.index", None)
        for value in ("approximate", ApproximateSearch()):
            with pytest.raises(ImportError, match=r"pip install siamese-sklearn\[sea"):
                check_search("search", value)
        with pytest.raises(ImportError, match="needs the package usearch"):
            ApproximateSearch().fit(normal(20, 3))


class TestParameter:
    @pytest.mark.parametrize(
        ("value", "error", "text"),
        [
            ("aproximate", ValueError, "Did you mean 'approximate'"),
            (3, TypeError, "`search` must be 'exact', 'approximate', or an object .*3"),
            (ExactSearch, TypeError, "`search` must be .* got <class"),
        ],
    )
    def test_errors(self, value, error, text):
        with pytest.raises(error, match=text):
            check_search("search", value)

    def test_an_object_is_copied(self):
        given_one, inner = ExactSearch(), NearestNeighbors()
        for value in (given_one, inner):
            check_search("search", value)
            made = make_search(value)
            assert isinstance(made, Search)
            made.fit(normal(5, 2))
            made.kneighbors(normal(1, 2), 1)
        assert vars(given_one) == {}
        assert not hasattr(inner, "n_features_in_")
