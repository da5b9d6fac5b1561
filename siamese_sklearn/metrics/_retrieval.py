"""Retrieval metrics: how many of the nearest neighbors of a row have its label.

Each metric ranks the gallery by distance from a query. Ties are broken pessimistically:
among equal distances, the relevant rows come last. A value is therefore the lowest that
any order of the ties gives, and collapsed embeddings score badly whatever the order of
their rows. Two distances are equal if

- they are distances to identical gallery rows (these are computed once);
- they agree in float32, in which they are compared (they are computed in float64);
- they are cosine distances that agree to 12 decimals, as for rows of the same direction
  and different lengths.

Rows that a collapsed network separates by rounding noise only are not ties: their order
is arbitrary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from siamese_sklearn._arrays import to_numpy
from siamese_sklearn._checks import check_integer
from siamese_sklearn._labels import (
    as_labels,
    check_same_kind,
    join_labels,
    label_objects,
)
from siamese_sklearn._typing import IntArray
from siamese_sklearn.distances import Distance, RankedByEuclidean, as_distance

__all__ = ["CHUNK_BYTES", "check_labeled", "map_at_r", "r_precision", "recall_at_k"]

CHUNK_BYTES = 64 * 2**20  # of float64 distances held at once

_PerQuery = Callable[[npt.NDArray[np.bool_], IntArray], npt.NDArray[Any]]


def recall_at_k(
    embeddings: npt.ArrayLike,
    labels: npt.ArrayLike,
    k: int = 1,
    *,
    gallery: npt.ArrayLike | None = None,
    gallery_labels: npt.ArrayLike | None = None,
    distance: str | Distance = "euclidean",
) -> float:
    """Fraction of the queries with at least one relevant row among their `k` nearest.

    Parameters
    ----------
    embeddings : array-like of shape (n, d)
        The queries. Without `gallery`, each row searches all other rows, including its
        duplicates.
    labels : array-like of shape (n,)
        Numbers or strings. A gallery row is relevant if it has the label of the query.
    k : int, default=1
        A value above the size of the gallery means the whole gallery.
    gallery : array-like of shape (m, d), default=None
        The rows to search, if they are not the queries themselves.
    gallery_labels : array-like of shape (m,), default=None
        The labels of the gallery. Required with `gallery`.
    distance : {"euclidean", "sqeuclidean", "manhattan", "cosine"}, default="euclidean"
        The distance by which the gallery is ranked.

    Returns
    -------
    float
        Between 0 and 1. Queries without a relevant row in the gallery are ignored.
        Among equal distances, the relevant rows come last.

    Raises
    ------
    ValueError
        If no query has a relevant row, or if `gallery` is passed without its labels.

    See Also
    --------
    map_at_r : Uses all relevant rows and their order.

    References
    ----------
    Jegou, Douze & Schmid 2011, "Product Quantization for Nearest Neighbor Search".

    Examples
    --------
    >>> recall_at_k([[0.0], [1.0], [3.0], [5.0]], ["a", "a", "b", "a"])
    0.6666666666666666
    """
    check_integer("k", k, low=1)
    task = _check_task(embeddings, labels, gallery, gallery_labels)
    return _mean_over_queries(_found, task, distance, depth=k)


def r_precision(
    embeddings: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    gallery: npt.ArrayLike | None = None,
    gallery_labels: npt.ArrayLike | None = None,
    distance: str | Distance = "euclidean",
) -> float:
    """Fraction of relevant rows among the R nearest, averaged over the queries.

    R is the number of relevant rows of a query. The parameters, the return value and
    the errors are those of `recall_at_k`.

    See Also
    --------
    map_at_r : Also takes the order of the R nearest rows into account.

    References
    ----------
    Manning, Raghavan & Schuetze 2008, "Introduction to Information Retrieval",
    chapter 8.

    Examples
    --------
    >>> r_precision([[0.0], [1.0], [3.0], [5.0]], ["a", "a", "b", "a"])
    0.5
    """
    task = _check_task(embeddings, labels, gallery, gallery_labels)
    return _mean_over_queries(_r_precision, task, distance)


def map_at_r(
    embeddings: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    gallery: npt.ArrayLike | None = None,
    gallery_labels: npt.ArrayLike | None = None,
    distance: str | Distance = "euclidean",
) -> float:
    r"""Mean average precision at R: 1 if the relevant rows are exactly the R nearest.

    R is the number of relevant rows of a query. The parameters, the return value and
    the errors are those of `recall_at_k`.

    See Also
    --------
    r_precision : The same, but ignores the order of the R nearest rows.

    Notes
    -----
    The mean over the queries of
    :math:`\frac{1}{R} \sum_{i=1}^{R} P(i)\,\mathrm{rel}(i)`, where P(i) is the
    precision among the i nearest rows and rel(i) is 1 if the i-th row is relevant,
    else 0.

    References
    ----------
    Musgrave, Belongie & Lim 2020, "A Metric Learning Reality Check".

    Examples
    --------
    >>> map_at_r([[0.0], [1.0], [3.0], [5.0]], ["a", "a", "b", "a"])
    0.4166666666666667
    """
    task = _check_task(embeddings, labels, gallery, gallery_labels)
    return _mean_over_queries(_average_precision_at_r, task, distance)


def _found(ranked: npt.NDArray[np.bool_], n_relevant: IntArray) -> npt.NDArray[Any]:
    found: npt.NDArray[Any] = ranked.max(axis=1)
    return found


def _r_precision(
    ranked: npt.NDArray[np.bool_], n_relevant: IntArray
) -> npt.NDArray[Any]:
    within_r = np.arange(ranked.shape[1]) < n_relevant[:, None]  # (B, depth)
    share: npt.NDArray[Any] = (ranked & within_r).sum(axis=1) / n_relevant
    return share


def _average_precision_at_r(
    ranked: npt.NDArray[np.bool_], n_relevant: IntArray
) -> npt.NDArray[Any]:
    place = np.arange(1, ranked.shape[1] + 1)
    precision = ranked.cumsum(axis=1) / place  # (B, depth)
    counted = ranked & (place <= n_relevant[:, None])
    mean: npt.NDArray[Any] = np.where(counted, precision, 0.0).sum(axis=1) / n_relevant
    return mean


class _Task(NamedTuple):
    """Queries, the gallery they search, and the number of rows relevant to each."""

    queries: Tensor  # (n, d)
    gallery: Tensor  # (m, d)
    query_labels: IntArray  # (n,), codes
    gallery_labels: IntArray  # (m,), codes
    n_relevant: IntArray  # (n,)
    leave_one_out: bool


def _mean_over_queries(
    measure: _PerQuery, task: _Task, distance: str | Distance, depth: int | None = None
) -> float:
    distance = as_distance(distance)
    answerable = np.flatnonzero(task.n_relevant)
    if len(answerable) == 0:
        alone = "no label occurs twice in `labels`"
        apart = "`labels` and `gallery_labels` have no label in common"
        raise ValueError(
            f"No query has a relevant row: {alone if task.leave_one_out else apart}."
        )
    # Queries with a similar R share a chunk, so that each chunk is ranked only as deep
    # as needed.
    by_depth = answerable[np.argsort(task.n_relevant[answerable], kind="stable")]
    chunks = _ranked_relevance(task, by_depth, distance, depth)
    return float(
        np.concatenate(
            [measure(ranked, n_relevant) for ranked, n_relevant in chunks]
        ).mean()
    )


def _ranked_relevance(
    task: _Task, queries: IntArray, distance: Distance, depth: int | None
) -> Iterator[tuple[npt.NDArray[np.bool_], IntArray]]:
    """Yield, for chunks of B queries, which of the nearest rows are relevant, and R.

    Shapes (B, depth) and (B,). A `depth` of None means the largest R of the chunk.
    """
    scale = _power_of_two_below(task.queries, task.gallery)
    distinct, copy_of = torch.unique(task.gallery * scale, dim=0, return_inverse=True)
    n_gallery = len(task.gallery)
    step = max(CHUNK_BYTES // (8 * n_gallery), 1)
    for start in range(0, len(queries), step):
        chunk = queries[start : start + step]
        order = _order_codes(
            _distance_matrix(task.queries[chunk] * scale, distinct, distance)
        )
        keys = order[:, copy_of].numpy()  # (B, m)
        # the last bit says whether the row is relevant
        keys += task.query_labels[chunk, None] == task.gallery_labels
        if task.leave_one_out:
            # the query itself comes last and is irrelevant
            keys[np.arange(len(chunk)), chunk] = np.iinfo(np.int32).max - 1
        n_relevant = task.n_relevant[chunk]
        nearest = min(n_relevant.max() if depth is None else depth, n_gallery)
        ranked = np.sort(np.partition(keys, nearest - 1, axis=1)[:, :nearest], axis=1)
        yield (ranked & 1).astype(bool), n_relevant


def _power_of_two_below(*rows: Tensor) -> float:
    """Power of 2 that scales all entries below 1, so that squares fit into float32."""
    peak = max(float(each.abs().max()) for each in rows)
    return 2.0 ** -max(math.frexp(peak)[1], -1000)


def _order_codes(distances: Tensor) -> Tensor:
    """Even int32 codes that sort like the distances: the bits of positive floats do."""
    single = distances.float().clamp_(min=torch.finfo(torch.float32).tiny)
    return single.view(torch.int32).sub_(2**30).mul_(2)


def _distance_matrix(queries: Tensor, gallery: Tensor, distance: Distance) -> Tensor:
    """Distances that rank like `distance`, (B, m).

    For distances that rank like the Euclidean one, this is one matrix product of the
    rows. They are not centered, so that integers (binary codes) stay exact.
    """
    if not isinstance(distance, RankedByEuclidean):
        return distance.pairwise(queries, gallery)
    left, right = distance.image(queries), distance.image(gallery)
    squares = left.square().sum(dim=1)[:, None] + right.square().sum(dim=1)  # (B, m)
    squares.addmm_(left, right.T, alpha=-2.0)
    # images of equal rows may differ by rounding
    return squares if left is queries else squares.round_(decimals=12)


def _check_task(
    embeddings: npt.ArrayLike,
    labels: npt.ArrayLike,
    gallery: npt.ArrayLike | None,
    gallery_labels: npt.ArrayLike | None,
) -> _Task:
    queries, query_labels = check_labeled("embeddings", embeddings, "labels", labels)
    if (gallery is None) != (gallery_labels is None):
        missing, given = (
            ("gallery", "gallery_labels")
            if gallery is None
            else ("gallery_labels", "gallery")
        )
        raise ValueError(
            f"`{given}` was passed without `{missing}`; pass both, or neither for "
            "leave-one-out retrieval."
        )
    if gallery is None or gallery_labels is None:
        codes = np.unique(query_labels, return_inverse=True)[1]
        return _Task(
            queries, queries, codes, codes, np.bincount(codes)[codes] - 1, True
        )
    rows, row_labels = check_labeled(
        "gallery", gallery, "gallery_labels", gallery_labels
    )
    if rows.shape[1] != queries.shape[1]:
        raise ValueError(
            "`gallery` must have as many columns as `embeddings` "
            f"({queries.shape[1]}); got {rows.shape[1]}."
        )
    check_same_kind(query_labels, row_labels, "`labels` and `gallery_labels`")
    codes = np.unique(join_labels(query_labels, row_labels), return_inverse=True)[1]
    query_codes, row_codes = codes[: len(queries)], codes[len(queries) :]
    n_relevant = np.bincount(row_codes, minlength=codes.max(initial=0) + 1)[query_codes]
    return _Task(queries, rows, query_codes, row_codes, n_relevant, False)


def check_labeled(
    name: str, embeddings: npt.ArrayLike, labels_name: str, labels: npt.ArrayLike
) -> tuple[Tensor, npt.NDArray[Any]]:
    """Return embeddings as a float64 tensor (n, d), and labels (n,), or raise."""
    rows = np.array(to_numpy(embeddings), dtype=np.float64)
    codes = label_objects(labels)
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise ValueError(
            f"`{name}` must have shape (n, d) with d >= 1; got {rows.shape}."
        )
    if codes.shape != rows.shape[:1]:
        raise ValueError(
            f"`{labels_name}` must have one label per row of `{name}`, shape "
            f"({len(rows)},); got {codes.shape}."
        )
    if not np.isfinite(rows).all():
        n_wrong = int((~np.isfinite(rows)).sum())
        raise ValueError(
            f"`{name}` must be finite; {n_wrong} of its values are NaN or infinite."
        )
    return torch.from_numpy(rows), as_labels(labels, labels_name)
