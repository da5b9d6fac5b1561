"""PairTransformer: one scikit-learn transformer for both sides of pairs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse
from sklearn.base import BaseEstimator, MetaEstimatorMixin, TransformerMixin, clone
from sklearn.utils import Tags, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from siamese_sklearn.pairs._containers import Side, Sides

__all__ = ["PairTransformer"]


Method = TypeVar("Method", bound=Callable[..., Any])


def _if_inner_has(name: str) -> Callable[[Method], Method]:
    """Let a method exist only where the transformer has the one of that name."""
    decorator: Callable[[Method], Method] = available_if(
        lambda self: hasattr(getattr(self, "transformer_", self.transformer), name)
    )
    return decorator


# scikit-learn's own wrapping of the output is off: the inner transformer does it, for each side
class PairTransformer(
    TransformerMixin, MetaEstimatorMixin, BaseEstimator, auto_wrap_output_keys=None
):  # type: ignore[call-arg]
    """Apply one transformer to both sides of `Pairs`, and to plain X as it is.

    The way to put a scaler, a decomposition or a vectoriser before a pair classifier inside a Pipeline. Both
    sides are seen as one set of things: the transformer is fitted on the rows of all sides together and then
    applied to each, so the order within a pair does not matter. `Triplets` are treated alike.

    Parameters
    ----------
    transformer : transformer instance
        Any scikit-learn transformer. It is cloned, never fitted itself. Its parameters are reached as
        ``transformer__<name>``.

    Attributes
    ----------
    transformer_ : transformer
        The fitted clone.
    n_features_in_ : int
        Number of features of a side, where the transformer has it.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, where the transformer has them.

    See Also
    --------
    Pairs : The container.

    Notes
    -----
    The `y` that comes with pairs tells which pairs are the same; it says nothing about a single row and is
    not handed on. The `y` that comes with plain X is. Two kinds of things, whose rows differ in shape, take
    two transformers: make ``Pairs(a.transform(pairs.left), b.transform(pairs.right))`` outside.

    Examples
    --------
    >>> from sklearn.preprocessing import MinMaxScaler
    >>> from siamese_sklearn.pairs import Pairs, PairTransformer
    >>> scaled = PairTransformer(MinMaxScaler()).fit_transform(Pairs([[0.0], [1.0]], [[4.0], [2.0]]))
    >>> scaled.left.ravel(), scaled.right.ravel()
    (array([0.  , 0.25]), array([1. , 0.5]))
    """

    def __init__(self, transformer: Any) -> None:
        self.transformer = transformer

    def fit(self, X: Any, y: npt.ArrayLike | None = None) -> Self:
        """Fit a clone of the transformer.

        Parameters
        ----------
        X : Pairs, Triplets, or whatever the transformer takes
            Sides must be of one kind and their rows of one shape.
        y : array-like of shape (n,), default=None
            Handed on for plain X, ignored for Pairs and Triplets.

        Returns
        -------
        self : PairTransformer

        Raises
        ------
        ValueError
            If the sides differ in kind, in columns or in the shape of their rows, or if the transformer needs
            a `y` and X is Pairs or Triplets.
        """
        transformer = clone(self.transformer)
        if isinstance(X, Sides):
            self._check_unsupervised(X)
            transformer.fit(_stack(X))
        else:
            transformer.fit(X, y)
        self.transformer_ = transformer
        return self

    def fit_transform(self, X: Any, y: npt.ArrayLike | None = None) -> Any:
        """Fit a clone of the transformer and transform X.

        Parameters
        ----------
        X : Pairs, Triplets, or whatever the transformer takes
            As in `fit`.
        y : array-like of shape (n,), default=None
            As in `fit`.

        Returns
        -------
        X_new : as from `transform`
            For plain X, what the transformer's own `fit_transform` gives.
        """
        if isinstance(X, Sides):
            return self.fit(X).transform(X)
        transformer = clone(self.transformer)
        X_new = transformer.fit_transform(X, y)
        self.transformer_ = transformer
        return X_new

    def transform(self, X: Any) -> Any:
        """Transform each side of X, or plain X.

        Parameters
        ----------
        X : Pairs, Triplets, or whatever the transformer takes

        Returns
        -------
        X_new : Pairs, Triplets, or whatever the transformer gives
            Of the type of X where that is Pairs or Triplets.
        """
        check_is_fitted(self)
        return _on_each_side(self.transformer_.transform, X)

    @_if_inner_has("inverse_transform")
    def inverse_transform(self, X: Any) -> Any:
        """Undo `transform` for each side of X, or for plain X.

        Parameters
        ----------
        X : Pairs, Triplets, or whatever the transformer's `inverse_transform` takes

        Returns
        -------
        X_original : Pairs, Triplets, or whatever the transformer gives
        """
        check_is_fitted(self)
        return _on_each_side(self.transformer_.inverse_transform, X)

    @_if_inner_has("get_feature_names_out")
    def get_feature_names_out(
        self, input_features: npt.ArrayLike | None = None
    ) -> npt.NDArray[np.object_]:
        """Names of the transformer's output features.

        Parameters
        ----------
        input_features : array-like of str, default=None
            As the transformer takes them.

        Returns
        -------
        feature_names_out : ndarray of str
            Those of one side; both sides have the same.
        """
        check_is_fitted(self)
        names: npt.NDArray[np.object_] = self.transformer_.get_feature_names_out(
            input_features
        )
        return names

    @_if_inner_has("set_output")
    def set_output(self, *, transform: str | None = None) -> Self:
        """Choose the container of `transform` and `fit_transform`, for plain X and for each side.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"}, default=None
            None leaves it as it is.

        Returns
        -------
        self : PairTransformer
        """
        self.transformer.set_output(
            transform=transform
        )  # for the next fit: `clone` copies this setting
        if hasattr(self, "transformer_"):
            self.transformer_.set_output(transform=transform)
        return self

    @property
    def n_features_in_(self) -> int:
        """Number of features of a side."""
        return int(self.transformer_.n_features_in_)

    @property
    def feature_names_in_(self) -> npt.NDArray[np.object_]:
        """Names of the features of a side."""
        names: npt.NDArray[np.object_] = self.transformer_.feature_names_in_
        return names

    def __sklearn_tags__(self) -> Tags:
        inner = get_tags(self.transformer)
        tags = super().__sklearn_tags__()
        tags.input_tags = inner.input_tags
        tags.target_tags = inner.target_tags
        tags.transformer_tags = inner.transformer_tags
        tags.non_deterministic = inner.non_deterministic
        tags.no_validation = inner.no_validation
        return tags

    def _check_unsupervised(self, X: Sides) -> None:
        if get_tags(self.transformer).target_tags.required:
            raise ValueError(
                f"`transformer`={self.transformer!r} needs a label for each row, but "
                f"{type(X).__name__} have none: fit it on plain X and y first."
            )


def _on_each_side(function: Callable[[Side], Side], X: Any) -> Any:
    if not isinstance(X, Sides):
        return function(X)
    _check_rows_alike(X)
    return X.map(function)


def _check_rows_alike(X: Sides) -> None:
    shapes = [tuple(side.shape[1:]) for side in X.sides]
    if len(set(shapes)) > 1:
        _raise_two_kinds("rows of shape " + " and ".join(map(str, shapes)))


def _raise_two_kinds(came: str) -> None:
    raise ValueError(
        f"One transformer cannot serve sides that differ; got {came}. Use one `transformer` for each side: "
        "Pairs(a.transform(pairs.left), b.transform(pairs.right))."
    )


def _stack(X: Sides) -> Side:
    """Rows of all sides under one another, the first side's first (n_sides * n, ...)."""
    _check_rows_alike(X)
    kinds = [_kind(side) for side in X.sides]
    if len(set(kinds)) > 1:
        _raise_two_kinds(" and ".join(kinds))
    columns = [list(getattr(side, "columns", [])) for side in X.sides]
    if any(names != columns[0] for names in columns):
        _raise_two_kinds("columns " + " and ".join(map(str, columns)))
    return _STACKS[kinds[0]](X.sides)


def _kind(side: Side) -> str:
    if sparse.issparse(side):
        return "sparse matrix"
    if hasattr(side, "columns"):
        return "pandas frame" if isinstance(side, pd.DataFrame) else "polars frame"
    return "array"  # and series: a column of things


_STACKS: dict[str, Callable[[tuple[Side, ...]], Side]] = {
    "sparse matrix": lambda sides: sparse.vstack(sides, format="csr"),
    "pandas frame": lambda sides: pd.concat(sides, ignore_index=True),
    # polars is optional: who hands us its frames has imported it
    "polars frame": lambda sides: sys.modules["polars"].concat(
        sides, how="vertical_relaxed"
    ),
    "array": np.concatenate,
}
