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

from siamese_sklearn._documentation import DocumentationLink
from siamese_sklearn.pairs._containers import Side, Sides

__all__ = ["PairTransformer"]


Method = TypeVar("Method", bound=Callable[..., Any])


def _if_inner_has(name: str) -> Callable[[Method], Method]:
    """Make a method available only if the transformer has a method of that name."""
    decorator: Callable[[Method], Method] = available_if(
        lambda self: hasattr(getattr(self, "transformer_", self.transformer), name)
    )
    return decorator


# The inner transformer wraps its output itself, for each side, so scikit-learn's
# automatic wrapping is off.
class PairTransformer(  # type: ignore[call-arg]
    TransformerMixin,
    MetaEstimatorMixin,
    DocumentationLink,
    BaseEstimator,
    auto_wrap_output_keys=None,
):
    """Apply one transformer to both sides of `Pairs`, or to plain X.

    Use it to put a scaler, a decomposition or a vectorizer before a pair classifier in
    a Pipeline. The transformer is fitted on the rows of both sides together and then
    applied to each side, so the order within a pair does not matter. `Triplets` are
    handled in the same way.

    Parameters
    ----------
    transformer : transformer instance
        Any scikit-learn transformer. A clone of it is fitted, never the instance
        itself. Its parameters are available as ``transformer__<name>``.

    Attributes
    ----------
    transformer_ : transformer
        The fitted clone.
    n_features_in_ : int
        Number of features of a side, if the transformer has this attribute.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if the transformer has this attribute.

    See Also
    --------
    Pairs : The container.

    Notes
    -----
    The `y` of pairs says which pairs are the same. It says nothing about a single row,
    so it is not passed on to the transformer; the `y` of plain X is. If the sides
    differ in shape, transform each with its own transformer outside of the Pipeline:
    ``Pairs(a.transform(pairs.left), b.transform(pairs.right))``.

    Examples
    --------
    >>> from sklearn.preprocessing import MinMaxScaler
    >>> from siamese_sklearn.pairs import Pairs, PairTransformer
    >>> pairs = Pairs([[0.0], [1.0]], [[4.0], [2.0]])
    >>> scaled = PairTransformer(MinMaxScaler()).fit_transform(pairs)
    >>> scaled.left.ravel(), scaled.right.ravel()
    (array([0.  , 0.25]), array([1. , 0.5]))
    """

    # Its page is that of the top-level name.
    _doc_link_template = DocumentationLink._doc_link_template.replace(
        "{estimator_module}", "siamese_sklearn"
    )

    def __init__(self, transformer: Any) -> None:
        self.transformer = transformer

    def fit(self, X: Any, y: npt.ArrayLike | None = None) -> Self:
        """Fit a clone of the transformer.

        Parameters
        ----------
        X : Pairs, Triplets, or any input of the transformer
            Sides must be of the same type, with rows of the same shape.
        y : array-like of shape (n,), default=None
            Passed on for plain X, ignored for Pairs and Triplets.

        Returns
        -------
        self : PairTransformer

        Raises
        ------
        ValueError
            If the sides differ in type, in columns or in the shape of their rows; or if
            the transformer requires `y` and X is Pairs or Triplets.
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
        X : Pairs, Triplets, or any input of the transformer
            As in `fit`.
        y : array-like of shape (n,), default=None
            As in `fit`.

        Returns
        -------
        X_new : as from `transform`
            For plain X, the result of the transformer's own `fit_transform`.
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
        X : Pairs, Triplets, or any input of the transformer

        Returns
        -------
        X_new : Pairs, Triplets, or any output of the transformer
            Of the same type as X if that is Pairs or Triplets.
        """
        check_is_fitted(self)
        return _on_each_side(self.transformer_.transform, X)

    @_if_inner_has("inverse_transform")
    def inverse_transform(self, X: Any) -> Any:
        """Undo `transform` for each side of X, or for plain X.

        Parameters
        ----------
        X : Pairs, Triplets, or any input of the transformer's `inverse_transform`

        Returns
        -------
        X_original : Pairs, Triplets, or any output of the transformer
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
            As for the transformer.

        Returns
        -------
        feature_names_out : ndarray of str
            The names for one side; both sides have the same.
        """
        check_is_fitted(self)
        names: npt.NDArray[np.object_] = self.transformer_.get_feature_names_out(
            input_features
        )
        return names

    @_if_inner_has("set_output")
    def set_output(self, *, transform: str | None = None) -> Self:
        """Set the output container, for plain X and for each side.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"}, default=None
            None keeps the current container.

        Returns
        -------
        self : PairTransformer
        """
        # for the next fit: `clone` copies this setting
        self.transformer.set_output(transform=transform)
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


def _raise_two_kinds(got: str) -> None:
    raise ValueError(
        f"`transformer` cannot be applied to sides that differ; got {got}. Transform "
        "each side by itself: "
        "Pairs(a.transform(pairs.left), b.transform(pairs.right))."
    )


def _stack(X: Sides) -> Side:
    """Stack the rows of all sides, the first side first, (n_sides * n, ...)."""
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
    return "array"  # series are stacked as arrays


_STACKS: dict[str, Callable[[tuple[Side, ...]], Side]] = {
    "sparse matrix": lambda sides: sparse.vstack(sides, format="csr"),
    "pandas frame": lambda sides: pd.concat(sides, ignore_index=True),
    # polars is optional; if there is a polars frame, it has been imported
    "polars frame": lambda sides: sys.modules["polars"].concat(
        sides, how="vertical_relaxed"
    ),
    "array": np.concatenate,
}
