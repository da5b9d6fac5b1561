"""Entities against a plain search of a graph, and rows that join them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from models import quick_classifier
from siamese_sklearn.matching import deduplicate, entities, join


def frame(pairs):
    return pd.DataFrame(pairs, columns=["left", "right"])


def naive_entities(n, pairs):
    """Number of the first row that can be reached from each row, as ranks."""
    lowest = list(range(n))
    for _ in range(n):
        for a, b in pairs:
            lowest[a] = lowest[b] = min(lowest[a], lowest[b])
    first = sorted(set(lowest))
    return [first.index(each) for each in lowest]


@st.composite
def pairs_of_rows(draw):
    n = draw(st.integers(1, 12))
    row = st.integers(0, n - 1)
    return n, draw(st.lists(st.tuples(row, row), max_size=12))


class TestEntities:
    @given(pairs_of_rows())
    def test_they_are_connected_components(self, case):
        n, pairs = case
        found = entities(frame(pairs), n=n)
        assert found.tolist() == naive_entities(n, pairs)
        assert found.index.equals(pd.RangeIndex(n))
        assert found.name == "entity"

    def test_ids(self):
        pairs = frame([("d", "b"), ("a", "e")])
        found = entities(pairs, ids=["a", "b", "c", "d", "e"])
        assert found.to_dict() == {"a": 0, "b": 1, "c": 2, "d": 1, "e": 0}

    def test_no_rows_have_no_entities(self):
        assert entities(frame([]), n=0).empty

    @pytest.mark.parametrize(
        ("options", "text"),
        [
            ({}, "Give either `n`"),
            ({"n": 3, "ids": [0, 1, 2]}, "Give either `n`"),
            ({"n": 3}, r'`matches` holds ids in "right" that are no rows: \[3\]'),
            ({"ids": [0, 3, 3]}, r"`ids` must be unique, but \[3\] occur"),
        ],
    )
    def test_errors(self, options, text):
        with pytest.raises(ValueError, match=text):
            entities(frame([(0, 3)]), **options)

    def test_matches_must_be_a_frame_of_pairs(self):
        with pytest.raises(TypeError, match='columns "left" and "right"'):
            entities([(0, 1)], n=2)
        with pytest.raises(TypeError, match='columns "left" and "right"'):
            entities(pd.DataFrame({"left": [0]}), n=2)


@pytest.fixture(scope="module")
def model(halves):
    X, _, y, _ = halves
    options = {"loss": "contrastive", "purpose": "known_classes", "max_epochs": 5}
    return quick_classifier(**options).fit(X, y)


class TestJoin:
    # for flowers, the model's own threshold would connect nearly all
    AT = -0.05

    @pytest.mark.parametrize("seed", range(5))
    def test_the_result_is_that_of_all_rows_together(self, model, halves, seed):
        X = halves[1][np.random.default_rng(seed).permutation(75)]
        known = entities(deduplicate(model, X[:50], k=75, threshold=self.AT), n=50)
        whole = entities(deduplicate(model, X, k=75, threshold=self.AT), n=75)
        assert 10 < whole.nunique() < 65
        joined = join(model, known, X[50:], known=X[:50], k=75, threshold=self.AT)
        # the same groups, whatever their numbers
        assert pd.factorize(joined)[0].tolist() == whole.tolist()
        assert joined.index.equals(whole.index)

    def test_few_candidates_change_few_pairs(self, digits):
        """If more than `k` rows match a row, a full run may take others."""
        X, y = digits
        options = {"loss": "contrastive", "purpose": "known_classes", "tower": "mlp"}
        model = quick_classifier(max_epochs=2, **options).fit(X, y)
        at = float(deduplicate(model, X, threshold=-100.0)["score"].quantile(0.9))
        known = entities(deduplicate(model, X[1::2], k=3, threshold=at), n=150)
        order = np.r_[1:300:2, 0:300:2]
        whole = entities(deduplicate(model, X[order], k=3, threshold=at), n=300)
        joined = join(model, known, X[::2], known=X[1::2], k=3, threshold=at)
        pairs = [
            np.equal.outer(each, each) for each in (whole.to_numpy(), joined.to_numpy())
        ]
        assert 20 < whole.nunique() < 280
        assert np.mean(pairs[0] == pairs[1]) >= 0.999

    def test_entities_keep_their_numbers(self, model, halves):
        X = halves[1][::3]
        far = np.float32([[50, 50, -50, -50]])  # from all others, and from -far
        known = np.concatenate([X[:3], far])
        names = [70, 20, 70, 40]
        new = np.concatenate([far, X[:1], -far, -far])
        found = join(model, names, new, known=known, threshold=-1e-6)
        assert found.tolist() == [*names, 40, 70, 71, 71]

    def test_entities_that_a_new_row_connects_get_the_lower_number(self, model, halves):
        X = halves[1][:1].repeat(4, axis=0)
        found = join(model, [5, 3, 5], X[:1], known=X[:3], threshold=-1e-6)
        assert found.tolist() == [3, 3, 3, 3]

    def test_the_threshold_is_the_models(self, model, halves):
        X = halves[1]
        known = entities(deduplicate(model, X[:60]), n=60)
        found = join(model, known, X[60:], known=X[:60])
        again = join(model, known, X[60:], known=X[:60], threshold=model.threshold_)
        assert found.tolist() == again.tolist()

    def test_ids_of_frames(self, model, halves):
        X = halves[1]
        known = pd.DataFrame(X[:3], index=["a", "b", "c"])
        new = pd.DataFrame(X[:2], index=["d", "e"])
        names = pd.Series([0, 1, 2], index=known.index)
        found = join(model, names, new, known=known, threshold=-1e-6)
        assert found.to_dict() == {"a": 0, "b": 1, "c": 2, "d": 0, "e": 1}

    def test_frames_without_ids_have_positions(self, model, halves):
        tables = pd.DataFrame(halves[1][:3]), pd.DataFrame(halves[1][:1])
        found = join(model, [0, 1, 2], tables[1], known=tables[0], threshold=-1e-6)
        assert found.to_dict() == {0: 0, 1: 1, 2: 2, 3: 0}

    def test_errors(self, model, halves):
        X = halves[1][:3]
        with pytest.raises(ValueError, match="integer for each of 3 rows of `known`"):
            join(model, [0, 1], X, known=X)
        with pytest.raises(ValueError, match=r"integer for each of 3 rows .* float64"):
            join(model, [0.0, 1.0, 2.0], X, known=X)
        with pytest.raises(ValueError, match=r"`new`: .*features"):
            join(model, [0, 1, 2], X[:, :2], known=X)
        frame = pd.DataFrame(X, index=["a", "b", "c"])
        with pytest.raises(ValueError, match=r"together must be unique, but .*'a'"):
            join(model, [0, 1, 2], frame, known=frame)
        with pytest.raises(ValueError, match="must have the index of `known`"):
            join(model, pd.Series([0, 1, 2]), frame, known=frame)


@pytest.mark.parametrize("is_sparse", [(False, True), (True, False)])
def test_sparse_rows_join_dense_ones(halves, is_sparse):
    X, _, y, _ = halves
    options = {"architecture": "two_channel", "loss": "hinge", "max_epochs": 1}
    model = quick_classifier(**options).fit(X, y)
    known, new = (
        sparse.csr_matrix(rows) if each else rows
        for each, rows in zip(is_sparse, (X[:30], X[30:35]), strict=True)
    )
    found = entities(deduplicate(model, X[:30], k=3), n=30)
    wanted = join(model, found, X[30:35], known=X[:30], k=3)
    assert join(model, found, new, known=known, k=3).tolist() == wanted.tolist()
