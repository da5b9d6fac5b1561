"""One-to-one assignment: of all candidates, those with the highest sum of weights."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import (
    connected_components,
    min_weight_full_bipartite_matching,
)

from siamese_sklearn._typing import DoubleArray, IntArray

__all__ = ["assign"]

_EDGES_AT_ONCE = 1000  # the solver takes time in proportion to rows times columns


def assign(row: IntArray, column: IntArray, weight: DoubleArray) -> IntArray:
    """Choose pairs so that no row and no column occurs twice: the heaviest such choice.

    A maximum-weight matching of a bipartite graph. Its connected components are solved
    apart from each other, a few at a time.

    Parameters
    ----------
    row, column : array of shape (n,)
        The edges; each pair of numbers occurs once.
    weight : array of shape (n,)
        0 or more.

    Returns
    -------
    array of int
        Numbers of the edges chosen, in ascending order.

    Examples
    --------
    >>> assign(np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([3.0, 2.0, 2.0]))
    array([1, 2])
    """
    if not len(row):
        return np.empty(0, dtype=np.int64)
    i = np.unique(row, return_inverse=True)[1]
    j = np.unique(column, return_inverse=True)[1]
    # of equal sums, the one of more pairs
    positive = weight + 1e-9 * (weight.max() or 1.0)
    n_nodes = i.max() + j.max() + 2
    graph = sparse.coo_array(
        (np.ones(len(i)), (i, i.max() + 1 + j)), shape=(n_nodes, n_nodes)
    )
    component = connected_components(graph, directed=False)[1][i]
    order = np.argsort(component, kind="stable")
    start = np.flatnonzero(np.diff(component[order], prepend=-1))
    first = start[np.diff(start // _EDGES_AT_ONCE, prepend=-1) > 0]
    parts = np.split(order, first[1:])
    chosen = [part[_heaviest(i[part], j[part], positive[part])] for part in parts]
    return np.sort(np.concatenate(chosen))


def _heaviest(row: IntArray, column: IntArray, weight: DoubleArray) -> IntArray:
    """Numbers of the edges of a maximum-weight matching; all weights are above 0.

    The solver wants every row matched, so each row also has a column of its own, whose
    weight counts as 0.
    """
    i, j = (np.unique(each, return_inverse=True)[1] for each in (row, column))
    n, m = i.max() + 1, j.max() + 1
    alone = np.arange(n)
    # The solver takes no zeros. One more on each edge of n adds n to every sum.
    weights = np.concatenate([weight, np.zeros(n)]) + 1
    ends = np.concatenate([i, alone]), np.concatenate([j, m + alone])
    padded = sparse.coo_array((weights, ends), shape=(n, m + n)).tocsr()
    rows, columns = min_weight_full_bipartite_matching(padded, maximize=True)
    is_real = columns < m
    key = i * m + j
    order = np.argsort(key)
    wanted = rows[is_real] * m + columns[is_real]
    edges: IntArray = order[np.searchsorted(key, wanted, sorter=order)]
    return edges
