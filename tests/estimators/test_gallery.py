"""The gallery against dictionaries and plain loops: enrollment and search."""

from __future__ import annotations

import math
import pickle
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.special import logsumexp

from siamese_sklearn._estimators import gallery as _gallery
from siamese_sklearn._estimators.gallery import Gallery
from siamese_sklearn.distances import DISTANCES, paired

each_distance = pytest.mark.parametrize("distance", DISTANCES.values(), ids=DISTANCES)


def rng(seed=0):
    return np.random.default_rng(seed)


def gallery_of(rows, names, n_references=None):
    """A gallery of rows that are their own embeddings."""
    return Gallery().extended(rows, rows, names, n_references, rng())


def normal(*shape, seed=0):
    return rng(seed).standard_normal(shape).astype(np.float32)


@st.composite
def labeled_grids(draw, max_rows=40):
    """Rows of small whole numbers, full of duplicates, and labels with gaps."""
    n, d = draw(st.integers(1, max_rows)), draw(st.integers(1, 3))
    numbers = st.lists(st.integers(-2, 2), min_size=n * d, max_size=n * d)
    labels = draw(st.lists(st.sampled_from([0, 1, 5, 6]), min_size=n, max_size=n))
    return np.array(draw(numbers), dtype=np.float32).reshape(n, d), np.array(labels)


def contents(gallery):
    """Sorted rows of each class, after a look at the gallery's own order."""
    assert gallery.labels.tolist() == sorted(gallery.labels.tolist())
    assert set(gallery.labels.tolist()) == set(range(len(gallery.classes)))
    assert gallery.classes.tolist() == sorted(gallery.classes.tolist())
    assert len(gallery) == len(gallery.rows) == len(gallery.embeddings)
    held = {name: [] for name in gallery.classes.tolist()}
    for row, embedding, label in zip(
        gallery.rows, gallery.embeddings, gallery.labels, strict=True
    ):
        np.testing.assert_array_equal(embedding, 2 * row)
        held[gallery.classes.tolist()[label]].append(tuple(row.tolist()))
    return {name: sorted(rows) for name, rows in held.items()}


NAMES = ["ann", "bo", "christopher"]


class TestEnrollment:
    @pytest.mark.slow
    @given(
        st.lists(
            st.one_of(
                st.lists(
                    st.tuples(st.sampled_from(NAMES), st.integers(0, 9)),
                    min_size=1,
                    max_size=5,
                ),
                st.sampled_from(NAMES),
            ),
            max_size=6,
        )
    )
    def test_adding_and_removing_does_what_a_dictionary_of_lists_does(self, steps):
        gallery, expected = Gallery(), {}
        for step in steps:
            if isinstance(step, str):
                if step in expected:
                    del expected[step]
                    gallery = gallery.without(step)
                continue
            rows = np.array([[number, -number] for _, number in step], dtype=np.float32)
            gallery = gallery.extended(
                rows, 2 * rows, [name for name, _ in step], None, rng()
            )
            for name, number in step:
                expected.setdefault(name, []).append((number, -number))
        held = contents(gallery) if len(gallery) else {}
        assert held == {name: sorted(rows) for name, rows in expected.items()}

    def test_a_full_class_is_chosen_anew_out_of_old_and_new_rows(self):
        old = np.array([[0], [1], [7]], dtype=np.float32)  # a: 0 and 1, b: 7
        new = np.array([[100], [101]], dtype=np.float32)
        gallery = Gallery().extended(old, 2 * old, ["a", "a", "b"], 2, rng())
        (low,), (high,), *_ = contents(
            gallery.extended(new, 2 * new, ["a", "a"], 2, rng())
        )["a"]
        assert low in (0, 1)
        assert high in (100, 101)
        assert contents(gallery.extended(new, 2 * new, ["a", "a"], 2, rng()))["b"] == [
            (7,)
        ]

    def test_a_gallery_stays_as_it_was(self):
        rows = normal(6, 2)
        gallery = gallery_of(rows, ["a", "a", "b", "b", "c", "c"])
        before = pickle.dumps(gallery)
        gallery.extended(rows, rows, ["a", "d", "d", "d", "d", "d"], 1, rng())
        gallery.without(["a", "c"])
        gallery.re_embedded(lambda found: found[:, :1])
        with pytest.raises(ValueError, match="labels"):
            gallery.extended(rows, rows, [1, 2, 3, 4, 5, 6], 1, rng())
        with pytest.raises(ValueError, match="labels"):
            gallery.without(["a", "nobody"])
        assert pickle.dumps(gallery) == before

    @pytest.mark.parametrize(
        ("known", "names"),
        [
            (["b", "a"], ["much longer", "a"]),
            ([3, 1], [-(2**40), 1]),
            (np.array([3, 1], dtype=np.uint8), np.array([300, 1], dtype=np.int16)),
            ([True, False], [True, True]),
            (np.array(["b", "a"], dtype=object), ["zoë", "a"]),
        ],
        ids=["texts", "integers", "small integers", "booleans", "objects"],
    )
    def test_labels_of_every_kind_join(self, known, names):
        rows = normal(2, 3)
        gallery = gallery_of(rows, known).extended(rows, rows, names, None, rng())
        expected = sorted(
            set(np.asarray(known).tolist()) | set(np.asarray(names).tolist())
        )
        assert gallery.classes.tolist() == expected
        found = [gallery.classes.tolist()[label] for label in gallery.labels]
        assert found == sorted(
            [*np.asarray(known).tolist(), *np.asarray(names).tolist()]
        )

    @pytest.mark.parametrize(("known", "names"), [(["a"], [1]), ([1], ["1"])])
    def test_numbers_and_texts_do_not_mix(self, known, names):
        rows = normal(1, 3)
        with pytest.raises(ValueError, match="must be of the same kind"):
            gallery_of(rows, known).extended(rows, rows, names, None, rng())

    def test_forgetting_all_leaves_room_for_labels_of_another_kind(self):
        rows = normal(2, 3)
        empty = gallery_of(rows, ["a", "b"]).without(["b", "a"])
        assert len(empty) == len(empty.classes) == 0
        gallery = empty.extended(rows, rows, [7, 5], None, rng())
        assert gallery.classes.tolist() == [5, 7]
        np.testing.assert_array_equal(gallery.rows, rows[::-1])

    @pytest.mark.parametrize(
        "names",
        [2, [2], (2,), {2}, np.int64(2), np.array([2]), [2, 2]],
        ids=lambda names: repr(names),
    )
    def test_names_to_forget_come_in_many_forms(self, names):
        if isinstance(names, set):
            names = list(names)
        assert gallery_of(normal(3, 1), [1, 2, 3]).without(names).classes.tolist() == [
            1,
            3,
        ]

    def test_a_text_is_one_name(self):
        assert gallery_of(normal(2, 1), ["ann", "bo"]).without(
            "ann"
        ).classes.tolist() == ["bo"]

    def test_forgetting_the_unknown_says_what_is_enrolled(self):
        gallery = gallery_of(normal(12, 1), np.arange(12))
        message = (
            r"^`labels` names classes that are not enrolled: \[40, 50\]\. "
            r"12 classes are enrolled, starting with \[0, 1, 2, 3, 4, 5, 6, 7, 8, "
            r"9\]\.$"
        )
        with pytest.raises(ValueError, match=message):
            gallery.without([3, 50, 40])

    def test_the_text_of_a_number_is_not_that_number(self):
        with pytest.raises(ValueError, match=r"not enrolled: \['1'\]"):
            gallery_of(normal(2, 1), [1, 2]).without(["1", 2])

    def test_references_are_embedded_anew_from_their_rows(self):
        rows = normal(4, 3)
        gallery = gallery_of(rows, [1, 0, 1, 0]).re_embedded(
            lambda found: found.sum(axis=1, keepdims=True)
        )
        np.testing.assert_array_equal(
            gallery.embeddings, rows[[1, 3, 0, 2]].sum(axis=1, keepdims=True)
        )
        np.testing.assert_array_equal(gallery.rows, rows[[1, 3, 0, 2]])

    def test_images_without_embeddings_are_chosen_by_their_pixels(self):
        dark, bright = np.zeros((5, 4, 4), np.float32), np.ones((3, 4, 4), np.float32)
        gallery = Gallery().extended(
            np.concatenate([dark, bright]), None, [0] * 8, 2, rng()
        )
        assert gallery.embeddings is None
        assert gallery.rows.shape == (2, 4, 4)
        assert sorted(gallery.rows.mean(axis=(1, 2)).tolist()) == [0, 1]
        wider = gallery.extended(dark[:1] + 50, None, [0], 2, rng())
        assert sorted(wider.rows.max(axis=(1, 2)).tolist())[1] == 50
        assert len(wider.without(0)) == 0

    @pytest.mark.parametrize("embedded", [False, True])
    def test_sparse_rows_stay_sparse(self, embedded):
        rows = sparse.csr_matrix(np.eye(5, dtype=np.float32))
        embeddings = np.arange(5, dtype=np.float32)[:, None] if embedded else None
        gallery = Gallery().extended(
            rows[:3], embeddings[:3] if embedded else None, [2, 1, 2], 5, rng()
        )
        gallery = gallery.extended(
            rows[3:], embeddings[3:] if embedded else None, [1, 0], 5, rng()
        )
        assert sparse.issparse(gallery.rows)
        assert gallery.rows.format == "csr"
        np.testing.assert_array_equal(
            gallery.rows.toarray(), np.eye(5)[[4, 1, 3, 0, 2]]
        )
        assert gallery.without(1).rows.shape == (3, 5)

    def test_rows_of_a_memory_map_are_read_into_memory_as_float32(self, tmp_path):
        rows = np.memmap(tmp_path / "rows", dtype=np.uint8, mode="w+", shape=(6, 2))
        rows[:] = np.arange(12).reshape(6, 2)
        gallery = Gallery().extended(
            rows, np.asarray(rows, np.float32), [0, 0, 0, 1, 1, 1], 2, rng()
        )
        assert type(gallery.rows) is np.ndarray
        assert gallery.rows.dtype == np.float32
        assert gallery.rows.shape == (4, 2)

    def test_nothing_of_the_users_data_is_kept_but_the_references(self):
        rows = normal(10_000, 20)
        gallery = gallery_of(rows, np.arange(10_000) % 5, n_references=3)
        gallery.nearest(rows[:10], DISTANCES["euclidean"])
        assert not np.shares_memory(gallery.rows, rows)
        assert len(pickle.dumps(gallery)) < 5 * 3 * (2 * 20 * 4 + 8) + 2000

    def test_a_pickle_answers_alike(self):
        gallery, queries = (
            gallery_of(normal(20, 4), np.arange(20) % 3),
            normal(7, 4, seed=1),
        )
        again = pickle.loads(pickle.dumps(gallery))
        np.testing.assert_array_equal(
            *(
                each.class_scores(queries, DISTANCES["cosine"])
                for each in (again, gallery)
            )
        )


def naive_distance(name, a, b):
    """One distance by plain Python; a zero row is 1/2 away from all that have a
    direction.
    """
    a, b = [float(x) for x in a], [float(x) for x in b]
    if name == "manhattan":
        return sum(abs(x - y) for x, y in zip(a, b, strict=True))
    if name == "cosine":
        a, b = ([x / (math.hypot(*row) or 1) for x in row] for row in (a, b))
        return sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) / 2
    return math.dist(a, b) ** (2 if name == "sqeuclidean" else 1)


def naive_class_scores(queries, rows, labels, distance):
    return [
        [
            max(
                -naive_distance(distance.name, q, r)
                for r, label in zip(rows, labels, strict=True)
                if label == c
            )
            for c in sorted(set(labels.tolist()))
        ]
        for q in queries
    ]


@st.composite
def searches(draw):
    """A gallery and queries of the same width."""
    rows, labels = draw(labeled_grids(max_rows=12))
    n = draw(st.integers(1, 6))
    numbers = st.lists(
        st.integers(-2, 2), min_size=n * rows.shape[1], max_size=n * rows.shape[1]
    )
    return rows, labels, np.array(draw(numbers), dtype=np.float32).reshape(n, -1)


def agree(gallery, queries, score):
    """`nearest` gives what the best of `class_scores` are, and of ties the first."""
    numbers, best = gallery.nearest(queries, score)
    scores = gallery.class_scores(queries, score)
    np.testing.assert_array_equal(numbers, scores.argmax(axis=1))
    np.testing.assert_allclose(best, scores.max(axis=1), rtol=1e-6, atol=1e-7)


class TestSearch:
    @pytest.mark.slow
    @each_distance
    @settings(max_examples=40)
    @given(search=searches())
    def test_class_scores_are_those_of_plain_loops(self, distance, search):
        rows, labels, queries = search
        scores = gallery_of(rows, labels).class_scores(queries, distance)
        assert scores.dtype == np.float32
        expected = naive_class_scores(queries, rows, labels, distance)
        np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6)

    @pytest.mark.slow
    @each_distance
    @settings(max_examples=40)
    @given(search=searches(), scale=st.sampled_from([1e-25, 1e-3, 1.0, 1e15]))
    def test_nearest_agrees_where_ties_abound(self, distance, search, scale):
        rows, labels, queries = search
        agree(
            gallery_of(rows * np.float32(scale), labels),
            queries * np.float32(scale),
            distance,
        )

    @pytest.mark.slow
    @each_distance
    @pytest.mark.parametrize("spread", [0, 1e-8, 1e-7, 1e-6, 1e-4, 1])
    def test_nearest_agrees_where_rounding_decides(self, distance, spread):
        # nearly collapsed embeddings, and queries that are references of several
        # classes
        rows = np.ones(8, dtype=np.float32) + np.float32(spread) * normal(200, 8)
        rows[100:150] = rows[:50]
        gallery = gallery_of(rows, np.arange(200) % 7)
        agree(gallery, rows, distance)
        agree(gallery, normal(300, 8, seed=1), distance)

    @pytest.mark.parametrize("name", ["euclidean", "sqeuclidean", "cosine"])
    def test_nearest_agrees_whatever_rounding_the_search_has(self, name, monkeypatch):
        class Rough(_gallery.NearestNeighbors):
            def kneighbors(self, X):
                length, index = super().kneighbors(X, n_neighbors=self.n_samples_fit_)
                length = length + 1e-7 * rng().standard_normal(length.shape)
                order = length.argsort(axis=1)[:, :2]
                return np.take_along_axis(length, order, axis=1), np.take_along_axis(
                    index, order, axis=1
                )

        rows = 2 + normal(60, 5)
        rows[30:] = rows[:30]
        gallery, distance = (
            gallery_of(rows, rng(1).integers(20, size=60)),
            DISTANCES[name],
        )
        monkeypatch.setattr(_gallery, "NearestNeighbors", Rough)
        agree(gallery, rows, distance)
        agree(gallery, normal(50, 5, seed=2), distance)

    @each_distance
    def test_scores_are_minus_the_distances_of_the_package(self, distance):
        rows, queries = normal(1, 5), normal(20, 5, seed=1)
        rows[0, 0] = 40
        expected = -paired(
            torch.tensor(queries), torch.tensor(rows).expand(20, 5), distance
        )
        np.testing.assert_allclose(
            gallery_of(rows, ["a"]).class_scores(queries, distance)[:, 0],
            expected,
            rtol=1e-5,
        )

    @each_distance
    def test_of_equal_scores_the_first_class_wins(self, distance):
        rows = np.array([[1, 0], [-1, 0], [1, 0], [-1, 0]], dtype=np.float32)
        # all tie, "b" and "d", "a" and "c"
        queries = np.array([[0, 3], [2, 0], [-2, 0]], dtype=np.float32)
        numbers, _ = gallery_of(rows, ["d", "c", "b", "a"]).nearest(queries, distance)
        assert numbers.tolist() == [0, 1, 0]

    @pytest.mark.slow
    @given(search=searches(), numbers_at_once=st.integers(1, 40))
    def test_any_score_is_asked_for_some_queries_at_a_time(
        self, search, numbers_at_once
    ):
        rows, labels, queries = search
        gallery, asked = gallery_of(rows, labels), []

        def score(some, references):
            assert references is gallery.embeddings
            asked.append(len(some))
            return (some @ np.arange(some.shape[1]))[:, None] * 2 - references.sum(
                axis=1
            ) ** 2  # lopsided

        expected = [
            [
                max(
                    2 * sum(j * float(x) for j, x in enumerate(q))
                    - sum(map(float, r)) ** 2
                    for r, label in zip(rows, labels, strict=True)
                    if label == c
                )
                for c in sorted(set(labels.tolist()))
            ]
            for q in queries
        ]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_gallery, "_NUMBERS_AT_ONCE", numbers_at_once)
            np.testing.assert_array_equal(
                gallery.class_scores(queries, score), expected
            )
            assert sum(asked) == len(queries)
            assert max(asked) == min(max(numbers_at_once // len(rows), 1), len(queries))
            numbers, best = gallery.nearest(queries, score)
        np.testing.assert_array_equal(numbers, np.argmax(expected, axis=1))
        np.testing.assert_array_equal(best, np.max(expected, axis=1))

    @each_distance
    def test_parts_give_what_the_whole_gives(self, distance, monkeypatch):
        gallery, queries = (
            gallery_of(normal(50, 6), np.arange(50) % 9),
            normal(40, 6, seed=1),
        )
        whole = gallery.class_scores(queries, distance)
        monkeypatch.setattr(_gallery, "_NUMBERS_AT_ONCE", 150)
        np.testing.assert_allclose(
            gallery.class_scores(queries, distance), whole, rtol=1e-5
        )
        agree(gallery, queries, distance)

    def test_without_embeddings_a_score_gets_rows(self):
        images = normal(6, 4, 4)
        gallery = Gallery().extended(images, None, [0, 1, 2, 0, 1, 2], None, rng())

        def score(some, references):
            return -np.square(some[:, None] - references).sum(axis=(2, 3))

        assert gallery.nearest(images + 0.01, score)[0].tolist() == [0, 1, 2, 0, 1, 2]
        np.testing.assert_array_equal(
            gallery.class_scores(images, score).argmax(axis=1), [0, 1, 2, 0, 1, 2]
        )

    def test_sparse_queries_are_sliced(self, monkeypatch):
        monkeypatch.setattr(_gallery, "_NUMBERS_AT_ONCE", 8)
        rows = sparse.csr_matrix(np.eye(4, dtype=np.float32))
        gallery = Gallery().extended(rows, None, [3, 2, 1, 0], None, rng())
        numbers, _ = gallery.nearest(
            rows, lambda some, references: (some @ references.T).toarray()
        )
        assert numbers.tolist() == [3, 2, 1, 0]

    @each_distance
    def test_one_reference_is_always_found(self, distance):
        numbers, scores = gallery_of(normal(1, 3), ["a"]).nearest(
            normal(4, 3, seed=1), distance
        )
        assert numbers.tolist() == [0] * 4
        assert (scores < 0).all()

    @settings(max_examples=50)
    @given(data=labeled_grids(), n_neighbors=st.integers(1, 40))
    def test_nearest_references_are_in_order_and_the_first_of_equal(
        self, data, n_neighbors
    ):
        rows, labels = data
        gallery = gallery_of(rows, labels)
        n_neighbors = min(n_neighbors, len(rows))

        def score(queries, references):
            return -np.abs(queries[:, None] - references).sum(axis=2)

        places, best = gallery.nearest_references(rows[:9], n_neighbors, score)
        for query, found, scores in zip(rows, places.tolist(), best, strict=False):
            of_all = score(query[None], gallery.rows)[0]
            wanted = sorted(range(len(rows)), key=lambda i, s=of_all: (-s[i], i))
            assert found == wanted[:n_neighbors]
            np.testing.assert_array_equal(scores, of_all[found])

    @settings(max_examples=50)
    @given(data=labeled_grids())
    def test_best_of_others_is_that_of_plain_loops(self, data):
        rows, labels = data
        assume((labels != 5).any())
        gallery = gallery_of(rows[labels != 5], labels[labels != 5])

        def score(queries, references):
            return -np.abs(queries[:, None] - references).sum(axis=2)

        best = gallery.best_of_others(rows, labels, score)
        names = gallery.classes[gallery.labels]
        for row, name, found in zip(rows, labels, best, strict=True):
            others = score(row[None], gallery.rows)[0][names != name]
            assert found == (max(others) if len(others) else -np.inf)

    @settings(max_examples=50)
    @given(data=labeled_grids(), sharpness=st.sampled_from([1e-3, 0.7, 5.0, 1e4]))
    def test_votes_are_those_of_plain_loops(self, data, sharpness):
        """The mean of exp(b s) over the references of a class, as a score again."""
        rows, labels = data
        gallery, distance = gallery_of(rows, labels), DISTANCES["euclidean"]
        found = gallery.class_scores(rows, distance, sharpness)
        for row, scores in zip(rows, found, strict=True):
            for name, score in zip(gallery.classes, scores, strict=True):
                near = -np.linalg.norm(rows[labels == name] - row, axis=1)
                mean = logsumexp(sharpness * near, b=1 / len(near))
                assert score == pytest.approx(mean / sharpness, abs=2e-3)
        numbers, best = gallery.nearest(rows, distance, sharpness)
        np.testing.assert_array_equal(numbers, found.argmax(axis=1))
        np.testing.assert_array_equal(best, found.max(axis=1))
        others = gallery.best_of_others(rows, labels, distance, sharpness)
        is_own = gallery.classes == labels[:, None]
        expected = np.where(is_own, -np.inf, found).max(axis=1)
        np.testing.assert_array_equal(others, expected)

    def test_many_references_do_not_help_a_class(self):
        """Twice the same references: the same votes. A better one counts for more."""
        rows = normal(12, 2)
        names = np.repeat([0, 1], 6)
        queries, distance = normal(5, 2, seed=1), DISTANCES["euclidean"]
        once = gallery_of(rows, names).class_scores(queries, distance, 2.0)
        doubled = np.concatenate([rows, rows[:6]]), np.append(names, [0] * 6)
        twice = gallery_of(*doubled).class_scores(queries, distance, 2.0)
        np.testing.assert_allclose(once, twice, rtol=1e-5)

    def test_ids_stay_with_their_rows(self):
        rows = normal(30, 2)
        gallery = Gallery().extended(
            rows, rows, np.arange(30) % 3, 4, rng(), np.arange(100, 130)
        )
        assert len(gallery.ids) == len(gallery) == 12
        gallery = gallery.without(1)
        np.testing.assert_array_equal(rows[gallery.ids - 100], gallery.rows)
        assert gallery.without([0, 2]).ids.tolist() == []

    @each_distance
    def test_no_queries_no_answers(self, distance):
        gallery = gallery_of(normal(4, 3), [0, 0, 1, 1])
        numbers, scores = gallery.nearest(np.empty((0, 3), np.float32), distance)
        assert numbers.shape == scores.shape == (0,)
        assert gallery.class_scores(np.empty((0, 3), np.float32), distance).shape == (
            0,
            2,
        )

    @pytest.mark.parametrize("method", ["nearest", "class_scores"])
    def test_an_empty_gallery_says_what_to_do(self, method):
        for gallery in (Gallery(), gallery_of(normal(2, 3), [0, 1]).without([0, 1])):
            with pytest.raises(
                ValueError, match=r"^Nothing is enrolled, .* Call enroll\(X, y\) with"
            ):
                getattr(gallery, method)(normal(4, 3), DISTANCES["euclidean"])

    @pytest.mark.parametrize("method", ["nearest", "class_scores"])
    @pytest.mark.parametrize("n_rows", [1, 4])
    def test_a_name_is_no_distance_and_never_taken_for_the_euclidean_one(
        self, method, n_rows
    ):
        with pytest.raises(TypeError, match="not callable"):
            getattr(gallery_of(normal(n_rows, 3), range(n_rows)), method)(
                normal(2, 3), "chebyshev"
            )

    @settings(max_examples=20)
    @given(st.integers(0, 10_000), st.sampled_from(list(DISTANCES.values())))
    def test_a_removed_class_takes_only_its_own_scores_along(self, seed, distance):
        gallery, queries = (
            gallery_of(normal(30, 4, seed=seed), np.arange(30) % 4),
            normal(9, 4, seed=seed + 1),
        )
        np.testing.assert_allclose(
            gallery.without(2).class_scores(queries, distance),
            gallery.class_scores(queries, distance)[:, [0, 1, 3]],
            rtol=1e-4,
            atol=1e-6,
        )

    @pytest.mark.slow
    @pytest.mark.parametrize("method", ["nearest", "class_scores"])
    @pytest.mark.parametrize("name", ["euclidean", "cosine", "manhattan", "callable"])
    def test_memory_is_bounded(self, method, name):
        gallery, queries = (
            gallery_of(normal(6000, 4), np.arange(6000) % 10),
            normal(6000, 4, seed=1),
        )

        def product(some, references):
            return some @ references.T

        score = product if name == "callable" else DISTANCES[name]

        tracemalloc.start()
        try:
            getattr(gallery, method)(queries, score)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        # all scores at once would take 144 MB, and as much again on the way
        assert peak < 110e6
