"""Find the rows of a gallery that are nearest to each query."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from siamese_sklearn._arrays import to_numpy
from siamese_sklearn._estimators import SiameseBase
from siamese_sklearn._pipelines import last_step
from siamese_sklearn.distances import pairwise

__all__ = ["check_neighbors", "similarity"]


def similarity(
    estimator: Any, X_query: Any, X_gallery: Any
) -> npt.NDArray[np.floating[Any]]:
    """Similarity of each query to each row of the gallery, (n, m)."""
    (last, queries), (_, gallery) = (
        last_step(estimator, X_query),
        last_step(estimator, X_gallery),
    )
    if isinstance(last, SiameseBase):  # of any architecture, with any head
        return last._cross(queries, gallery)
    if not hasattr(last, "transform"):
        raise TypeError(
            "`estimator` must embed or compare rows; "
            f"{type(last).__name__} has no `transform`. For a Pipeline that ends in a "
            "classifier, pass the steps that embed: pipeline[:-1]."
        )
    left, right = (
        torch.from_numpy(to_numpy(last.transform(rows)).astype(np.float64))
        for rows in (queries, gallery)
    )
    score: npt.NDArray[np.float64] = -pairwise(left, right).numpy()
    return score


def check_neighbors(
    neighbors: npt.ArrayLike, n_queries: int, n_gallery: int
) -> npt.NDArray[np.int64]:
    index = to_numpy(neighbors)
    if (
        index.dtype.kind not in "iu"
        or index.ndim != 2
        or index.shape[0] != n_queries
        or not index.size
    ):
        raise ValueError(
            f"`neighbors` must contain integers in shape ({n_queries}, k), one row per "
            f"query; got {index.dtype} of shape {index.shape}."
        )
    if index.min() < 0 or index.max() >= n_gallery:
        raise ValueError(
            "`neighbors` must contain row numbers of the gallery, 0 to "
            f"{n_gallery - 1}; got {index.min()} to {index.max()}."
        )
    return index.astype(np.int64)
