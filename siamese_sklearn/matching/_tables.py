"""Tables as a model sees them: codes of the rows, ids, and candidates for pairs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from siamese_sklearn._estimators import SiameseBase
from siamese_sklearn._estimators.gallery import Gallery
from siamese_sklearn._estimators.searched import SearchedGallery
from siamese_sklearn._net import threads
from siamese_sklearn._pipelines import final_estimator, last_step
from siamese_sklearn._typing import DoubleArray, IntArray
from siamese_sklearn._validation import check_one_kind, check_rows
from siamese_sklearn.distances import RankedByEuclidean
from siamese_sklearn.pairs._containers import Sides
from siamese_sklearn.search._resolve import SearchLike

__all__ = ["Table", "check_model", "nearest", "pair_scores", "read", "read_rows"]

_CANDIDATES_AT_ONCE = 2**20


@dataclass(frozen=True, eq=False)
class Table:
    """Codes of the rows of a table, once for each side that the rows can stand on.

    Attributes
    ----------
    ids : pandas.Index of length n
        The index of a pandas data frame or series, or else positions.
    left, right : codes of n rows, or None
        None if the table is only used on the other side.
    """

    ids: pd.Index[Any]
    left: Any
    right: Any

    def __len__(self) -> int:
        return len(self.ids)


def check_model(model: Any) -> SiameseBase:
    """Return the estimator at the end of `model`, or raise an error that names it."""
    estimator = final_estimator(model)
    if not isinstance(estimator, SiameseBase):
        raise TypeError(
            "`model` must be a SiamesePairClassifier or a SiameseEmbedder, or a "
            f"Pipeline that ends in one; got {type(estimator).__name__}."
        )
    check_is_fitted(estimator)
    return estimator


def read_rows(model: Any, X: Any, name: str, side: int) -> Any:
    """Transform a table by the first steps of a Pipeline, and validate the rows.

    Parameters
    ----------
    model : estimator or Pipeline
    X : array-like, data frame or sparse matrix of n rows
    name : str
        The name of the parameter, for error messages.
    side : int
        0 for the left side of pairs, 1 for the right side.

    Returns
    -------
    array of shape (n, ...), CSR matrix or memmap
    """
    if isinstance(X, Sides):
        raise TypeError(
            f"`{name}` must be a table of rows; got {type(X).__name__}. Pass its sides."
        )
    estimator, rows = last_step(model, X)
    try:
        return check_rows(estimator._right if side else estimator, rows, reset=False)
    except (ValueError, TypeError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"`{name}`: {error}") from error


def read(model: Any, X: Any, name: str, sides: tuple[int, ...]) -> Table:
    """Compute the codes of a table for one side or for both.

    Raises
    ------
    ValueError, TypeError
        If the rows do not fit the model, if the index has duplicates, or if the rows
        are wanted on both sides but the sides differ.
    """
    estimator = final_estimator(model)
    ids = _ids(X, name)
    if len(sides) > 1:
        check_one_kind(estimator, estimator._right_side)
    rows = read_rows(model, X, name, sides[0])
    has_two_towers = estimator._architecture == "pseudo_siamese"
    codes: dict[int, Any] = {}
    with threads(estimator.n_threads):
        for side in sides:
            if has_two_towers or not codes:
                codes[side] = estimator._scorer.codes(rows, side)
            else:
                codes[side] = codes[sides[0]]
    return Table(ids, codes.get(0), codes.get(1))


def _ids(X: Any, name: str) -> pd.Index[Any]:
    if not isinstance(X, pd.DataFrame | pd.Series):
        return pd.RangeIndex(X.shape[0] if hasattr(X, "shape") else len(X))
    if not X.index.is_unique:
        twice = X.index[X.index.duplicated()].unique().tolist()[:10]
        raise ValueError(
            f"The index of `{name}` must identify its rows, but {twice} occur more "
            f"than once. Pass `{name}.reset_index(drop=True)`."
        )
    return X.index


def nearest(
    estimator: SiameseBase, queries: Any, references: Any, k: int, search: SearchLike
) -> Iterator[tuple[slice, IntArray]]:
    """Find the `k` most similar references of each query, or all if there are fewer.

    Parameters
    ----------
    estimator : estimator
    queries, references : codes of n and of m rows
    k : int
    search : str, Search or object with `fit` and `kneighbors`

    Yields
    ------
    part : slice
        Some of the queries, so that memory does not grow with all candidates.
    found : array of shape (n_part, min(k, m))
        Row numbers of their references.
    """
    number = np.arange(references.shape[0])
    rows, embeddings = (
        (None, references) if estimator._has_embedding else (references, None)
    )
    # each row is a class of its own
    gallery = Gallery(rows, embeddings, number, number, number)
    k, scorer = min(k, len(number)), estimator._scorer
    searched = None
    if rows is None and (
        search != "exact" or isinstance(scorer.searched_by, RankedByEuclidean)
    ):
        with threads(estimator.n_threads):
            searched = SearchedGallery(search, scorer, gallery)
    step = max(_CANDIDATES_AT_ONCE // k, 1)
    for start in range(0, queries.shape[0], step):
        part = slice(start, start + step)
        with threads(estimator.n_threads):
            if searched is not None:
                found, _ = searched.nearest_references(queries[part], k, scorer)
            else:
                by = scorer.searched_by
                found, _ = gallery.nearest_references(queries[part], k, by)
        yield part, found


def pair_scores(
    estimator: SiameseBase, left: Any, right: Any, row: IntArray, column: IntArray
) -> DoubleArray:
    """`pair_score` of row i of one table with row j of the other, (n_pairs,)."""
    with threads(estimator.n_threads):
        return estimator._scorer.pairs(left, right, row, column).astype(np.float64)
