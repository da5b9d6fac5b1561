"""Explanations: which columns the score of a pair comes from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from siamese_sklearn._checks import warn
from siamese_sklearn._estimators import SiameseBase
from siamese_sklearn._net import integrated_gradients, threads
from siamese_sklearn.matching._tables import check_model, read_rows

__all__ = ["explain"]

_TOLERANCE = 1e-3  # sought, as a fraction of the sum of absolute contributions
_TOO_MUCH = 1e-2


def explain(model: Any, left: Any, right: Any) -> pd.DataFrame:
    """Split the score of each pair into contributions of the columns.

    The score is that of two equal rows, plus what each column adds because the two rows
    differ in it. Most contributions are negative: a large one is a difference that
    speaks against a match. A column in which the rows agree contributes 0.

    Parameters
    ----------
    model : SiamesePairClassifier, SiameseEmbedder, or Pipeline that ends in one
        As in `match`. In a Pipeline, the columns are those that the last step gets.
    left, right : array-like, data frame, series or sparse matrix of n rows
        Row i of `left` is compared with row i of `right`.

    Returns
    -------
    pandas.DataFrame of shape (n, 1 + n_columns)
        One row per pair, which sums to `pair_score`. The first column, "(equal rows)",
        is the score of two rows that are equal, both the mean of the two: 0 if scores
        are negative distances, and the highest logit of a distance head.

    Raises
    ------
    ValueError, TypeError
        If the tables are invalid or of different lengths, if the two sides of the model
        differ in shape, or if its embeddings are bits, which have no gradients.

    Warns
    -----
    UserWarning
        If the contributions of a pair miss its score by more than 1% of the sum of
        their absolute values. Usually they miss it by less than 0.1%.

    See Also
    --------
    siamese_sklearn.plotting.ContributionDisplay : Draws the contributions of a pair.

    Notes
    -----
    Contributions are integrated gradients on the straight path from the mean of both
    rows to the two rows, so that they do not depend on which row is left. For a linear
    tower without unit norm they are exact: the Euclidean distance of the embeddings
    is ``|W d|`` with d = left - right, and column j adds ``-d_j (W^T W d)_j / |W d|``.

    The columns of one field add up. If a ColumnTransformer has named them
    "field__ngram", the contributions of the fields are
    ``explain(...).T.groupby(lambda name: name.split("__")[0]).sum().T``.

    References
    ----------
    Sundararajan, Taly & Yan, "Axiomatic Attribution for Deep Networks", ICML 2017.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from siamese_sklearn import SiamesePairClassifier
    >>> from siamese_sklearn.matching import explain
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> clf = SiamesePairClassifier(max_epochs=5, random_state=0).fit(X, y)
    >>> contributions = explain(clf, X[:1], X[140:141])
    >>> contributions.iloc[0].idxmin()
    'petal width (cm)'
    """
    estimator = check_model(model)
    sides = _rows(model, estimator, left, right)
    with threads(estimator.n_threads):
        baseline, contributions, error = integrated_gradients(
            estimator._scorer, *sides, _TOLERANCE
        )
    if (error > _TOO_MUCH).any():
        warn(
            f"The contributions of {int((error > _TOO_MUCH).sum())} of {len(error)} "
            f"pairs miss the score, at most by {error.max():.2g} of the sum of their "
            "absolute values: the network is too uneven between the rows."
        )
    names = _names(model, estimator, contributions.shape[1])
    values = np.column_stack([baseline, contributions])
    return pd.DataFrame(values, columns=["(equal rows)", *names])


def _rows(model: Any, estimator: SiameseBase, left: Any, right: Any) -> tuple[Any, Any]:
    if getattr(estimator.net_.criterion_, "binary", False):
        raise ValueError(
            "`model` has embeddings of bits, whose scores have no gradients to explain "
            "them with; use a loss other than 'hamming_triplet'."
        )
    rows = read_rows(model, left, "left", 0), read_rows(model, right, "right", 1)
    shapes = [side.shape for side in rows]
    if shapes[0][1:] != shapes[1][1:]:
        raise ValueError(
            "`left` and `right` must have rows of the same shape to be explained; got "
            f"{shapes[0][1:]} and {shapes[1][1:]}."
        )
    if shapes[0] != shapes[1]:
        raise ValueError(
            "`left` and `right` must have the same number of rows; got "
            f"{shapes[0][0]} and {shapes[1][0]}."
        )
    return rows


def _names(model: Any, estimator: SiameseBase, n_columns: int) -> list[str]:
    """Names of the columns that the estimator gets, as far as somebody knows them."""
    names: Any = getattr(estimator, "feature_names_in_", None)
    if names is None and isinstance(model, Pipeline) and len(model) > 1:
        try:
            names = model[:-1].get_feature_names_out()
        except (AttributeError, ValueError):  # a step cannot tell
            names = None
    if names is None or len(names) != n_columns:  # images have more numbers than names
        names = [f"x{i}" for i in range(n_columns)]
    return [str(name) for name in names]
