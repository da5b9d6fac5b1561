"""The one-to-one assignment against all choices of pairs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siamese_sklearn.matching import _assignment
from siamese_sklearn.matching._assignment import assign


@st.composite
def graphs(draw):
    """Edges of a bipartite graph of at most 5 and 5 nodes, with small whole weights."""
    cells = [(i, j) for i in range(5) for j in range(5)]
    edges = draw(st.lists(st.sampled_from(cells), max_size=9, unique=True))
    weights = draw(
        st.lists(st.integers(0, 6), min_size=len(edges), max_size=len(edges))
    )
    row, column = np.array(edges, dtype=np.int64).reshape(-1, 2).T
    return row, column, np.array(weights, dtype=float)


def best_sum(edges):
    """Highest (sum of weights, number of edges) of a matching: with or without each
    edge in turn.
    """
    if not edges:
        return 0.0, 0
    (i, j, weight), *others = edges
    rest = best_sum([edge for edge in others if edge[0] != i and edge[1] != j])
    return max(best_sum(others), (rest[0] + weight, rest[1] + 1))


@given(graphs(), st.sampled_from([1, 3, 1000]))
def test_no_other_choice_weighs_more(graph, edges_at_once):
    row, column, weight = graph
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_assignment, "_EDGES_AT_ONCE", edges_at_once)
        chosen = assign(row, column, weight)
    assert len(set(row[chosen])) == len(set(column[chosen])) == len(chosen)
    assert chosen.tolist() == sorted(chosen.tolist())
    edges = list(zip(row.tolist(), column.tolist(), weight.tolist(), strict=True))
    assert (weight[chosen].sum(), len(chosen)) == best_sum(edges)


def test_numbers_of_rows_need_not_be_consecutive():
    row, column = np.array([900, 900, 7]), np.array([10**9, 5, 10**9])
    assert assign(row, column, np.array([1.0, 0.5, 1.0])).tolist() == [1, 2]


def test_components_are_solved_apart_from_each_other(monkeypatch):
    """A thousand squares of four edges each: the diagonal is the heavier choice."""
    sizes = []
    heaviest = _assignment._heaviest

    def watched(row, column, weight):
        sizes.append(len(row))
        return heaviest(row, column, weight)

    monkeypatch.setattr(_assignment, "_heaviest", watched)
    square = np.repeat(np.arange(1000), 4)
    row = 2 * square + np.tile([0, 0, 1, 1], 1000)
    column = 2 * square + np.tile([0, 1, 0, 1], 1000)
    chosen = assign(row, column, np.tile([2.0, 1.5, 1.5, 2.0], 1000))
    assert (row[chosen] == column[chosen]).all()
    assert len(chosen) == 2000
    assert sizes == [1000] * 4
