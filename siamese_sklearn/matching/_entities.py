"""Entities: the connected components of matches, and rows that join them later."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from siamese_sklearn._arrays import stacked
from siamese_sklearn._checks import check_integer
from siamese_sklearn._typing import IntArray
from siamese_sklearn.matching._match import check_threshold, pairs_within
from siamese_sklearn.matching._tables import Table, check_model, read
from siamese_sklearn.search._resolve import SearchLike, check_search

__all__ = ["entities", "join"]


def entities(
    matches: pd.DataFrame, n: int | None = None, *, ids: Any = None
) -> pd.Series[int]:
    """Group rows that are connected by matches, directly or through other rows.

    Parameters
    ----------
    matches : pandas.DataFrame
        With the columns "left" and "right", as from `deduplicate`.
    n : int, default=None
        Number of rows, if the matches hold positions.
    ids : array-like of shape (n,), default=None
        What the matches can hold, such as the index of the table. For two tables from
        `match`, the ids of both, if they have none in common. Either `n` or `ids` must
        be given.

    Returns
    -------
    pandas.Series of int64, of length n
        The entity of each row, indexed by `ids` or by position. Entities are numbered
        from 0, in the order of their first rows. A row without a match is an entity.

    Raises
    ------
    ValueError, TypeError
        If a match holds an id that is not among the rows, or if ids are not unique.

    Examples
    --------
    >>> import pandas as pd
    >>> from siamese_sklearn.matching import entities
    >>> pairs = pd.DataFrame({"left": [0, 1], "right": [3, 3]})
    >>> entities(pairs, n=5).tolist()
    [0, 0, 1, 0, 2]
    """
    if (n is None) == (ids is None):
        raise ValueError("Give either `n`, the number of rows, or `ids`, not both.")
    if n is not None:
        index: pd.Index[Any] = pd.RangeIndex(check_integer("n", n, low=0))
    else:
        index = pd.Index(ids)
        _check_unique(index, "`ids`")
    ends = [_positions(index, matches, side) for side in ("left", "right")]
    return pd.Series(_components(len(index), *ends), index=index, name="entity")


def join(
    model: Any,
    entities: pd.Series[int],
    new: Any,
    *,
    known: Any,
    k: int = 20,
    threshold: float | None = None,
    search: SearchLike = "exact",
) -> pd.Series[int]:
    """Put new rows into the entities of a table, or found new entities for them.

    Only the candidates of the new rows are scored. The result is that of `deduplicate`
    and `entities` on all rows together, except where a row has more than `k` rows that
    match it: then the two may take different candidates.

    Parameters
    ----------
    model : SiamesePairClassifier, SiameseEmbedder, or Pipeline that ends in one
        As in `match`.
    entities : array-like of int, of shape (n,)
        The entity of each row of `known`, as from `entities`.
    new : array-like, data frame, series or sparse matrix of m rows
    known : the same, of n rows
        The table that has been deduplicated.
    k : int, default=20
        Candidates for each new row, among the known rows and the other new ones.
    threshold : float, default=None
        As in `match`. Use the same as for `known`.
    search : {"exact", "approximate"} or object, default="exact"
        As in `match`.

    Returns
    -------
    pandas.Series of int64, of length n + m
        The entity of each known row and of each new one. Known entities keep their
        numbers. If a new row connects several, they all get the lowest of their
        numbers. New entities get the next numbers. The index is that of `known` and
        `new` if both are pandas objects with ids of their own; otherwise it is
        positions, those of new rows after those of `known`.

    Raises
    ------
    ValueError, TypeError
        If a table or `entities` is invalid, or if an id of `new` is among those of
        `known`.

    Examples
    --------
    >>> import numpy as np
    >>> from siamese_sklearn import SiamesePairClassifier
    >>> from siamese_sklearn.matching import deduplicate, entities, join
    >>> X = np.float32([[0, 1], [0, 2], [1, 4], [4, 0], [5, 0], [7, 1]])
    >>> y = ["a", "a", "a", "b", "b", "b"]
    >>> clf = SiamesePairClassifier(max_epochs=20, random_state=0).fit(X, y)
    >>> found = entities(deduplicate(clf, X), n=len(X))
    >>> join(clf, found, [[6, 0], [0, 3]], known=X).tolist()
    [0, 0, 0, 1, 1, 1, 1, 0]
    """
    estimator = check_model(model)
    k, at = check_integer("k", k, low=1), check_threshold(estimator, threshold)
    check_search("search", search)
    old, added = read(model, known, "known", (0, 1)), read(model, new, "new", (0, 1))
    number = _check_entities(entities, old)
    index = _joined_index(known, new, old, added)
    left, right = stacked(old.left, added.left), stacked(old.right, added.right)
    both = Table(index, left, right)
    row, column, _ = pairs_within(estimator, both, k, search, at, first=len(old))
    values, group = np.unique(number, return_inverse=True)
    n_old, n_new = len(values), len(added)
    group = np.concatenate([group, n_old + np.arange(n_new)])  # new rows are alone
    component = _components(n_old + n_new, group[row], group[column])
    # Components are numbered by their first group, and known groups come first.
    first = np.unique(component[:n_old], return_index=True)[1]
    names = np.concatenate([values[first], values[-1] + 1 + np.arange(n_new)])
    return pd.Series(names[component[group]], index=index, name="entity")


def _components(n: int, row: IntArray, column: IntArray) -> IntArray:
    """Component of each of n nodes, numbered in the order of their first nodes."""
    graph = sparse.coo_array((np.ones(len(row)), (row, column)), shape=(n, n))
    label = connected_components(graph, directed=False)[1]
    first, number = np.unique(label, return_index=True, return_inverse=True)[1:]
    rank = np.argsort(np.argsort(first))
    return rank[number].astype(np.int64)


def _positions(index: pd.Index[Any], matches: pd.DataFrame, side: str) -> IntArray:
    if not isinstance(matches, pd.DataFrame) or side not in matches:
        raise TypeError(
            '`matches` must be a data frame with the columns "left" and "right", as '
            f"from `deduplicate`; got {type(matches).__name__}."
        )
    position = index.get_indexer(pd.Index(matches[side]))
    if (position < 0).any():
        unknown = matches[side][position < 0].unique().tolist()
        raise ValueError(
            f'`matches` holds ids in "{side}" that are no rows: {unknown[:10]}. The '
            f"{len(index)} rows start with {index[:10].tolist()}."
        )
    return np.asarray(position, dtype=np.int64)


def _check_unique(index: pd.Index[Any], what: str) -> None:
    if not index.is_unique:
        twice = index[index.duplicated()].unique().tolist()[:10]
        raise ValueError(f"{what} must be unique, but {twice} occur more than once.")


def _check_entities(entities: Any, known: Table) -> IntArray:
    number = np.asarray(entities)
    if number.shape != (len(known),) or number.dtype.kind not in "iu":
        raise ValueError(
            f"`entities` must hold an integer for each of {len(known)} rows of "
            f"`known`, as from `entities`; got {number.dtype} of shape {number.shape}."
        )
    if isinstance(entities, pd.Series) and not entities.index.equals(known.ids):
        raise ValueError(
            "`entities` must have the index of `known`, in the same order; got "
            f"{entities.index[:5].tolist()}... and {known.ids[:5].tolist()}..."
        )
    return number.astype(np.int64)


def _joined_index(known: Any, new: Any, old: Table, added: Table) -> pd.Index[Any]:
    have_ids = all(isinstance(X, pd.DataFrame | pd.Series) for X in (known, new))
    are_positions = all(
        table.ids.equals(pd.RangeIndex(len(table))) for table in (old, added)
    )
    if not have_ids or are_positions:
        return pd.RangeIndex(len(old) + len(added))
    index = old.ids.append(added.ids)
    _check_unique(index, "The ids of `known` and `new` together")
    return index
