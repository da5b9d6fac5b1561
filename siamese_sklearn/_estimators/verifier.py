"""Verification (1:1): scores of pairs, and the threshold from which on they are the same."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import roc_auc_score
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from torch import nn

from siamese_sklearn._checks import check_number
from siamese_sklearn._estimators import holdout as _holdout
from siamese_sklearn._estimators.base import SiameseBase
from siamese_sklearn._estimators.holdout import TrainingData
from siamese_sklearn._net import Rows, embed, score_codes, scores_by_distance, threads
from siamese_sklearn._validation import RightSide, check_labels, check_rows, check_same, check_sides
from siamese_sklearn.calibration import choose_threshold, probability_slope
from siamese_sklearn.losses import LOSSES, LossLike
from siamese_sklearn.pairs import Pairs
from siamese_sklearn.pairs._containers import Sides
from siamese_sklearn.pairs._drawing import balanced_pairs, held_out_pairs, many_pairs
from siamese_sklearn.towers import TwoChannelNetwork

__all__ = ["Verifier"]

Index = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float32]

_LEAST_TO_HOLD_OUT = 3  # rows of a class, or pairs of a kind: two of them stay for training


def _has_embedding(estimator: Verifier) -> bool:
    return estimator._has_embedding


# scikit-learn's own wrapping of the output is off: `transform` does it, for each side of Pairs
class Verifier(SiameseBase, auto_wrap_output_keys=None):  # type: ignore[call-arg]
    """A Siamese network of any architecture that scores pairs, and a threshold learned on held-out pairs.

    What pairs are scored by are the codes of their sides: embeddings, or the rows themselves where the
    network has no embedding.
    """

    architecture: str
    loss: LossLike
    input_shape_: tuple[int, ...]
    threshold_: float
    _slope: float  # of the probability, which is one half at the midpoint
    _midpoint: float
    _other_side: RightSide | None = None

    def partial_fit(
        self, X: Any, y: npt.ArrayLike | None = None, classes: npt.ArrayLike | None = None
    ) -> Self:
        """Train for one epoch on the data given, going on from where training stopped.

        The references enrolled are embedded anew, those of the data join them, and `threshold_` is learned
        again, on rows held out of this call's data: a threshold that was calibrated or set has to be set
        again. For the rest as in `SiameseEmbedder`.

        Parameters
        ----------
        X, y
            As in `fit`.
        classes : array-like of shape (n_classes,), default=None
            Classes that later calls will bring, for a loss with weights for each class. `classes_` holds
            those enrolled, whatever is given here.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If a parameter or the data cannot be used. A model fitted before stays as it was.
        """
        return super().partial_fit(X, y, classes)

    def pair_score(self, pairs: Any) -> npt.NDArray[np.float32]:
        """How alike the two sides of each pair are.

        Parameters
        ----------
        pairs : Pairs of n rows

        Returns
        -------
        array of shape (n,), float32
            The higher, the more alike: minus the distance of the embeddings, or the logit of a head that
            is no distance and of a 2-channel network.
        """
        check_is_fitted(self)
        left, right = self._check_sides(pairs, reset=False)
        index = np.arange(left.shape[0])
        return self._score(self._codes(left, 0), self._codes(right, 1), index, index)

    def pair_distance(self, pairs: Any) -> npt.NDArray[np.float32]:
        """How far apart the two sides of each pair are.

        Parameters
        ----------
        pairs : Pairs of n rows

        Returns
        -------
        array of shape (n,), float32
            The smaller, the more alike: the distance of the embeddings, or for a head that is no distance and
            for a 2-channel network -log(sigmoid(logit)).
        """
        score = self.pair_score(pairs)
        return -score if scores_by_distance(self.net_) else np.logaddexp(np.float32(0), -score)

    def calibrate_threshold(
        self,
        X: Any,
        y: npt.ArrayLike,
        *,
        strategy: str = "accuracy",
        target: float | None = None,
        beta: float = 1.0,
    ) -> Self:
        """Choose `threshold_` on data that training has not seen.

        Parameters
        ----------
        X : rows, of which pairs are made, or Pairs
        y : array-like of shape (n,)
            The class of each row, or 1 (same) and 0 (different).
        strategy, target, beta
            As in `siamese_sklearn.calibration.choose_threshold`. Of rows, "accuracy" and "f_beta" look at as
            many same as different pairs, the others at up to 200,000 of each kind.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError, TypeError
            If the data or the strategy cannot be used; the threshold stays as it was.
        """
        check_is_fitted(self)
        if isinstance(X, Sides):
            same, score = check_same(X, y), self.pair_score(X)
        else:
            self._check_one_kind()
            rows = check_rows(self, X, reset=False)
            _, labels = check_labels(self, rows, y)
            draw = balanced_pairs if strategy in ("accuracy", "f_beta") else many_pairs
            pairs, same = draw(labels, np.random.default_rng(self._split_seed))
            score = self._score_index(rows, rows, pairs, self.net_)
        return self.set_threshold(choose_threshold(same, score, strategy, target=target, beta=beta))

    def set_threshold(self, threshold: float) -> Self:
        """Set `threshold_`: pairs with a score of at least that are the same.

        Parameters
        ----------
        threshold : float
            On the scale of `pair_score`.

        Returns
        -------
        self : object
        """
        check_is_fitted(self)
        self.threshold_ = check_number("threshold", threshold)
        return self

    @available_if(_has_embedding)  # type: ignore[untyped-decorator]
    def transform(self, X: Any) -> Any:
        """Map rows to their embeddings; not for ``architecture="two_channel"``, which has none.

        Parameters
        ----------
        X : {array-like, sparse matrix, data frame, memmap} or Pairs
            Rows of the left side, or pairs.

        Returns
        -------
        Z : array of shape (n, n_components), float32
            A data frame if `set_output` asks for one. For `Pairs` the same container, with the embeddings of
            each side.
        """
        return super().transform(X)

    @available_if(_has_embedding)  # type: ignore[untyped-decorator]
    def fit_transform(self, X: Any, y: npt.ArrayLike | None = None) -> Any:
        """Train the network and map the rows it was trained on to their embeddings.

        Parameters
        ----------
        X, y
            As in `fit`.

        Returns
        -------
        Z : array of shape (n, n_components), float32
            As from `transform`.
        """
        return super().fit_transform(X, y)

    @available_if(_has_embedding)  # type: ignore[untyped-decorator]
    def get_feature_names_out(self, input_features: npt.ArrayLike | None = None) -> npt.NDArray[np.object_]:
        """Names of the components of an embedding.

        Parameters
        ----------
        input_features : ignored

        Returns
        -------
        array of str, of shape (n_components,)
        """
        names: npt.NDArray[np.object_] = super().get_feature_names_out(input_features)
        return names

    def get_metric(self) -> Callable[[npt.ArrayLike, npt.ArrayLike], float]:
        """Make a function of two rows out of `pair_distance`, as scikit-learn's ``metric=`` takes it.

        It takes two rows per call. For many rows, pass all their pairs to `pair_distance` instead.

        Returns
        -------
        callable
            ``(left, right) -> float``. It keeps the model of this moment: a later `fit` does not change it.
        """
        fitted = copy.copy(self)
        if self._other_side is not None:
            fitted._other_side = copy.copy(self._other_side)
            fitted._other_side.__dict__.pop("feature_names_in_", None)  # rows have none
        return super(Verifier, fitted).get_metric()

    @property
    def _has_embedding(self) -> bool:
        if hasattr(self, "net_"):  # `architecture` may have been set since
            return not isinstance(self.net_.module_, TwoChannelNetwork)
        return self.architecture != "two_channel"

    @property
    def _architecture(self) -> str:
        return self.architecture

    @property
    def _head(self) -> Any:
        return self.head

    def _check_data(self, X: Any, y: Any, *, reset: bool) -> TrainingData:
        if isinstance(X, Sides) and not isinstance(X, Pairs):
            raise TypeError(f"X must be rows or Pairs; got {type(X).__name__}, which SiameseEmbedder takes.")
        if reset:
            self._other_side = None
        elif not isinstance(X, Sides):
            self._check_one_kind()
        return super()._check_data(X, y, reset=reset)

    def _check_sides(self, X: Any, *, reset: bool) -> tuple[Any, ...]:
        if not isinstance(X, Pairs):
            raise TypeError(f"What is compared must be Pairs(left, right); got {type(X).__name__}.")
        if reset and self.architecture == "pseudo_siamese":
            self._other_side = RightSide()
        return check_sides(self, X, reset=reset, other=self._other_side)

    def _check_one_kind(self) -> None:
        if self._other_side is None:
            return
        left, right = (
            (side.input_shape_, list(getattr(side, "feature_names_in_", [])))
            for side in (self, self._other_side)
        )
        if left != right:
            raise ValueError(
                f"The sides were fitted on rows of shape {left[0]} and {right[0]}, with columns of their own "
                "kind, so rows of one kind cannot be paired with each other; pass Pairs(left, right)."
            )

    def _side(self, number: int) -> Any:
        """Whoever knows the shape of the rows of a side."""
        return self if number == 0 or self._other_side is None else self._other_side

    def _hold_out(
        self, data: TrainingData, early_stopping: bool, rng: np.random.Generator
    ) -> tuple[Index, Index]:
        """Hold out rows in every fit: the threshold is learned on them."""
        count = np.bincount(data.target)
        enough = (count if data.classes is None else count.max()) >= _LEAST_TO_HOLD_OUT
        if early_stopping or self._split_of(data) == "classes" or np.all(enough):
            return _holdout.hold_out(data.target, self.validation_fraction, self._split_of(data), rng)
        warnings.warn(
            "There are too few rows to hold some out, so threshold_ is learned on the pairs of training, "
            "which are told apart too well. Call calibrate_threshold with other data.",
            stacklevel=5,
        )
        return super()._hold_out(data, early_stopping, rng)

    def _measure(
        self, data: TrainingData, kept: Index, held: Index, device: torch.device, rng: np.random.Generator
    ) -> Callable[[Any], float]:
        pairs, same = self._pairs_to_calibrate(data, held, rng)
        if len(np.unique(same)) < 2:
            raise ValueError(
                "`early_stopping=True` holds out same and different pairs, and 2 of each stay for training, "
                "but there are fewer than 3 of one kind. Give more pairs, or set early_stopping=False."
            )

        def measure(net: Any) -> float:
            return float(roc_auc_score(same, self._score_data(data, pairs, net)))

        return measure

    def _learn_from(self, data: TrainingData, kept: Index, held: Index, rng: np.random.Generator) -> None:
        """Learn threshold and probability on the pairs held out."""
        pairs, same = self._pairs_to_calibrate(data, held if len(held) else kept, rng)
        score = self._score_data(data, pairs, self.net_)
        self.threshold_ = self._midpoint = choose_threshold(same, score)
        self._slope = probability_slope(same, score, self.threshold_)

    def _pairs_to_calibrate(
        self, data: TrainingData, held: Index, rng: np.random.Generator
    ) -> tuple[Index, Index]:
        """Row numbers of both sides (n, 2), and which are the same (n,)."""
        if data.classes is None:
            return np.stack([held, held], axis=1), data.target[held]
        return held_out_pairs(data.target, held, rng)

    def _score_data(self, data: TrainingData, pairs: Index, net: Any) -> Scores:
        return self._score_index(data.sides[0], data.sides[-1], pairs, net)

    def _score_index(self, left: Any, right: Any, pairs: Index, net: Any) -> Scores:
        """Score pairs (n, 2) of row numbers, with each row embedded once."""
        row, row_of = np.unique(pairs[:, 0], return_inverse=True)
        column, column_of = np.unique(pairs[:, 1], return_inverse=True)
        return self._score(
            self._codes(left[row], 0, net), self._codes(right[column], 1, net), row_of, column_of, net
        )

    def _score(self, left: Any, right: Any, row: Index, column: Index, net: Any = None) -> Scores:
        net = self.net_ if net is None else net
        device = torch.device(net.device)
        with threads(self.n_threads):
            return score_codes(net, Rows(left, device=device), Rows(right, device=device), row, column)

    def _codes(self, rows: Any, side: int, net: Any = None) -> Any:
        """Give what rows of a side are scored by."""
        net = self.net_ if net is None else net
        if isinstance(net.module_, TwoChannelNetwork):
            return rows
        with threads(self.n_threads):
            return embed(net, Rows(rows, device=torch.device(net.device)), side)

    def _check_loss(self, loss: nn.Module, data: TrainingData) -> None:
        if self.architecture == "two_channel" and not hasattr(loss, "from_logits"):
            able = ", ".join(repr(name) for name, spec in LOSSES.items() if spec.takes_logits)
            came = repr(self.loss) if isinstance(self.loss, str) else type(self.loss).__name__
            raise ValueError(
                f"architecture='two_channel' has no embeddings, only logits, which `loss`={came} does not "
                f"take; take one of {able}."
            )
        super()._check_loss(loss, data)
