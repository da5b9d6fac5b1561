"""What both estimators share: from parameters and data to a trained net, and from there to embeddings."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from siamese_sklearn._estimators import holdout as _holdout
from siamese_sklearn._estimators.holdout import TrainingData
from siamese_sklearn._net import (
    Rows,
    TrainingRun,
    Watch,
    build_net,
    check_net_params,
    embed,
    embedding_distance,
    resolve_device,
    seeded,
    set_learning_rate,
    threads,
    train,
)
from siamese_sklearn._validation import (
    check_labels,
    check_parameters,
    check_rows,
    check_same,
    check_sides,
    check_unchanged,
    fixed_parameters,
    in_chosen_container,
    join_classes,
    keep_fitted_state,
)
from siamese_sklearn.augmentation import ImageAugmenter
from siamese_sklearn.distances import paired
from siamese_sklearn.losses import LOSSES, TupleLoss, make_loss
from siamese_sklearn.pairs import Pairs
from siamese_sklearn.pairs._containers import Sides
from siamese_sklearn.sampling import BalancedBatches, Batches, PairedBatches, ShuffledBatches
from siamese_sklearn.towers import is_cnn, make_network

__all__ = ["SiameseBase"]

Index = npt.NDArray[np.int64]


# scikit-learn's own wrapping of the output is off: `transform` does it, for each side of Pairs and Triplets
class SiameseBase(  # type: ignore[call-arg]
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator, auto_wrap_output_keys=None
):
    """Fitting and embedding. The parameters are set, and documented, in the estimators."""

    net_: Any
    n_iter_: int
    classes_: npt.NDArray[Any]
    _class_order: npt.NDArray[Any] | None  # the classes as training numbers them
    _built_with: dict[str, str]
    _split_seed: int

    def fit(self, X: Any, y: npt.ArrayLike | None = None) -> Self:
        """Train the network.

        Ctrl-C stops training and keeps what was learned so far, with a warning.

        Parameters
        ----------
        X : {array-like, sparse matrix, data frame, memmap}, Pairs or Triplets
            Rows of shape (n, d), (n, H, W) or (n, C, H, W), of which pairs or triplets are made; or given
            ones.
        y : array-like of shape (n,)
            The class of each row; for `Pairs` 1 (same) or 0 (different); ignored for `Triplets`.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If a parameter or the data cannot be used. A model fitted before stays as it was.
        """
        with keep_fitted_state(self):
            self._check_parameters()
            goes_on = self.warm_start and hasattr(self, "net_")
            return self._fit(
                X, y, n_epochs=self.max_epochs, goes_on=goes_on, early_stopping=self.early_stopping
            )

    def partial_fit(
        self, X: Any, y: npt.ArrayLike | None = None, classes: npt.ArrayLike | None = None
    ) -> Self:
        """Train for one epoch on the data given, going on from where training stopped.

        The first call builds the network; a built-in tower standardises its input by the data of that call
        ever after. Later calls keep tower, loss, optimizer and the optimizer's state; `lr`, `weight_decay`,
        `batch_size` and `augment` may change between calls. `early_stopping` has no part in it.

        Parameters
        ----------
        X, y
            As in `fit`: each call needs two classes, one of them with two rows.
        classes : array-like of shape (n_classes,), default=None
            Classes that later calls will bring, for `classes_`; without it, `classes_` grows with each call.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If a parameter or the data cannot be used. A model fitted before stays as it was.
        """
        with keep_fitted_state(self):
            self._check_parameters()
            known = [] if classes is None else [classes]
            goes_on = hasattr(self, "net_")
            return self._fit(X, y, n_epochs=1, goes_on=goes_on, early_stopping=False, known_classes=known)

    def transform(self, X: Any) -> Any:
        """Map rows to their embeddings.

        Parameters
        ----------
        X : {array-like, sparse matrix, data frame, memmap}, Pairs or Triplets
            Of rows of the shape seen in `fit`.

        Returns
        -------
        Z : array of shape (n, n_components), float32
            A data frame if `set_output` asks for one. For `Pairs` and `Triplets` the same container, with the
            embeddings of each side.
        """
        check_is_fitted(self)
        if isinstance(X, Sides):
            embeddings = self._embed(*self._check_sides(X, reset=False))
            return type(X)(*map(partial(in_chosen_container, self), embeddings, X.sides))
        return in_chosen_container(self, self._embed(check_rows(self, X, reset=False))[0], X)

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
        return self.fit(X, y).transform(X)

    def pair_distance(self, pairs: Pairs) -> npt.NDArray[np.float32]:
        """Distance between the two embeddings of each pair.

        It is the distance that the loss shapes, or its root if that is squared.

        Parameters
        ----------
        pairs : Pairs of n rows

        Returns
        -------
        array of shape (n,), float32
            The smaller, the more alike.
        """
        check_is_fitted(self)
        if not isinstance(pairs, Pairs):
            raise TypeError(f"`pairs` must be Pairs(left, right); got {type(pairs).__name__}.")
        left, right = self._embed(*self._check_sides(pairs, reset=False))
        name = embedding_distance(self.net_)
        distance: npt.NDArray[np.float32] = paired(
            torch.from_numpy(left), torch.from_numpy(right), name
        ).numpy()
        return distance

    def pair_score(self, pairs: Pairs) -> npt.NDArray[np.float32]:
        """How alike the two sides of each pair are: minus `pair_distance`.

        Parameters
        ----------
        pairs : Pairs of n rows

        Returns
        -------
        array of shape (n,), float32
            The higher, the more alike.
        """
        return -self.pair_distance(pairs)

    def get_metric(self) -> Callable[[npt.ArrayLike, npt.ArrayLike], float]:
        """Make a function of two rows out of the learned distance, as scikit-learn's ``metric=`` takes it.

        It embeds two rows per call. For many rows `transform` them once and compare the embeddings instead.

        Returns
        -------
        callable
            ``(u, v) -> float``. It keeps the model of this moment: a later `fit` does not change it.
        """
        check_is_fitted(self)
        fitted = copy.copy(self)
        fitted.net_ = copy.deepcopy(self.net_)
        fitted.__dict__.pop("feature_names_in_", None)  # rows have none
        return _Metric(fitted)

    def _fit(
        self,
        X: Any,
        y: Any,
        *,
        n_epochs: int,
        goes_on: bool,
        early_stopping: bool,
        known_classes: Sequence[npt.ArrayLike] = (),
    ) -> Self:
        if goes_on:
            check_unchanged(self, self._built_with)
            check_net_params(self.net_params)
        data = self._check_data(X, y, reset=not goes_on)
        self._learn_classes(data, known_classes, goes_on=goes_on)
        device = torch.device(self.net_.device) if goes_on else resolve_device(self.device)
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        n_done = self.n_iter_ if goes_on else 0
        if not goes_on:
            self._built_with, self._split_seed = fixed_parameters(self), seed
        rng = np.random.default_rng([seed, n_done])
        with seeded(seed + n_done, device), threads(self.n_threads):
            # The rows held out by the first fit stay held out in the next ones.
            split_rng = np.random.default_rng(self._split_seed)
            kept, held = self._hold_out(data, early_stopping, split_rng)
            watch = None
            if early_stopping:
                watch = Watch(self._measure(data, kept, held, device, split_rng), self.n_iter_no_change)
            rows = Rows(*data.sides, device=device)
            net = self.net_ if goes_on else self._build_net(rows, data, device)
            self._check_loss(net.criterion_.loss, data)
            if goes_on:
                set_learning_rate(net, self.lr, self.weight_decay)
            train(net, self._run(rows, data, kept, rng, n_epochs, watch))
            self.net_, self.history_, self.n_iter_ = net, net.history, len(net.history)
            self._learn_from(data, kept, held, rng)
        return self

    @property
    def _architecture(self) -> str:
        return "siamese"

    @property
    def _head(self) -> Any:
        return None

    def _check_parameters(self) -> None:
        check_parameters(self)

    def _check_data(self, X: Any, y: Any, *, reset: bool) -> TrainingData:
        if isinstance(X, Sides):
            target = check_same(X, y) if isinstance(X, Pairs) else np.zeros(len(X), dtype=np.int64)
            return TrainingData(self._check_sides(X, reset=reset), target, None)
        X = check_rows(self, X, reset=reset)
        classes, labels = check_labels(self, X, y)
        return TrainingData((X,), labels, classes)

    def _check_sides(self, X: Sides, *, reset: bool) -> tuple[Any, ...]:
        return check_sides(self, X, reset=reset)

    def _learn_classes(
        self, data: TrainingData, known_classes: Sequence[npt.ArrayLike], *, goes_on: bool
    ) -> None:
        """Set `classes_` to all classes known so far, and number the labels by their order of appearance.

        A class keeps its number when others come: a loss may have weights for it.
        """
        if not goes_on:
            self.__dict__.pop("classes_", None)
            self._class_order = None
        if data.classes is None:
            return
        known = self._class_order
        self.classes_ = join_classes(data.classes, *known_classes, *([] if known is None else [known]))
        if known is None:
            self._class_order = self.classes_
        else:
            self._class_order = np.concatenate([known, self.classes_[~np.isin(self.classes_, known)]])
        by_name = np.argsort(self._class_order)
        data.target = by_name[np.searchsorted(self.classes_, data.classes)][data.target]

    def _build_net(self, rows: Rows, data: TrainingData, device: torch.device) -> Any:
        network = make_network(
            self._architecture,
            self.tower,
            lambda: (rows.sides(part) for part in rows.slices()),
            self.n_components,
            normalize=self.normalize,
        )
        return build_net(
            network,
            self._build_loss(data),
            max_epochs=self.max_epochs,
            optimizer=self.optimizer,
            lr=self.lr,
            weight_decay=self.weight_decay,
            callbacks=self.callbacks,
            net_params=self.net_params,
            device=device,
        )

    def _build_loss(self, data: TrainingData) -> nn.Module:
        n_classes = 2 if data.classes is None else len(self.classes_)
        given = {"margin": self.margin, "distance": self.distance, "mining": self.mining, "head": self._head}
        return make_loss(self.loss, LOSSES, n_classes, self.n_components, **given)

    def _run(
        self,
        rows: Rows,
        data: TrainingData,
        kept: Index,
        rng: np.random.Generator,
        n_epochs: int,
        watch: Watch | None,
    ) -> TrainingRun:
        batches: Batches
        if len(data.sides) > 1:
            batches = ShuffledBatches(len(kept), self.batch_size)
        elif self._architecture == "two_channel":
            batches = PairedBatches(data.target[kept], self.batch_size)
        else:
            batches = BalancedBatches(data.target[kept], self.batch_size)
        target = torch.from_numpy(data.target).to(rows.device)
        return TrainingRun(
            rows,
            target,
            kept,
            batches,
            rng,
            n_epochs,
            augment=self._augmenter(data),
            averaging=self.weight_averaging,
            watch=watch,
            verbose=int(self.verbose),
        )

    def _augmenter(self, data: TrainingData) -> Callable[[Tensor], Tensor] | None:
        augment: Callable[[Tensor], Tensor] | str | None = self.augment
        if not isinstance(augment, str):
            return augment
        towers = self.tower if isinstance(self.tower, tuple) else (self.tower,)
        made_here = len(data.sides) == 1
        is_image = made_here and all(is_cnn(tower, data.sides[0].shape[1:]) for tower in towers)
        return ImageAugmenter() if is_image else None

    def _hold_out(
        self, data: TrainingData, early_stopping: bool, rng: np.random.Generator
    ) -> tuple[Index, Index]:
        """Choose the rows to train on and those to hold out."""
        if not early_stopping:
            return np.arange(len(data.target)), np.empty(0, dtype=np.int64)
        return _holdout.hold_out(data.target, self.validation_fraction, self._split_of(data), rng)

    def _split_of(self, data: TrainingData) -> str:
        return self.validation_split if len(data.sides) == 1 else "rows"

    def _measure(
        self, data: TrainingData, kept: Index, held: Index, device: torch.device, rng: np.random.Generator
    ) -> Callable[[Any], float]:
        """Make what early stopping watches on the rows held out."""
        gallery = kept if self._split_of(data) == "rows" else None
        return _holdout.measure(data, held, gallery, device, rng)

    def _learn_from(self, data: TrainingData, kept: Index, held: Index, rng: np.random.Generator) -> None:
        """Learn what else a subclass learns, once the network is trained."""

    def _check_loss(self, loss: nn.Module, data: TrainingData) -> None:
        if len(data.sides) > 1 and not isinstance(loss, TupleLoss):
            able = ", ".join(repr(name) for name, spec in LOSSES.items() if spec.takes_tuples)
            name = repr(self.loss) if isinstance(self.loss, str) else f"a {type(self.loss).__name__}"
            raise TypeError(
                f"`loss` is {name}, which takes (embeddings, labels), but Pairs and Triplets have no labels. "
                f"Take one of {able}, or fit on rows and their classes."
            )

    def _embed(self, *sides: Any) -> tuple[npt.NDArray[np.float32], ...]:
        device = torch.device(self.net_.device)
        with threads(self.n_threads):
            return tuple(
                embed(self.net_, Rows(side, device=device), number) for number, side in enumerate(sides)
            )

    @property
    def _n_features_out(self) -> int:
        return int(self.net_.module_.n_components)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


@dataclass(frozen=True)
class _Metric:
    """Learned distance of two rows; a class and no closure, so that it can be pickled."""

    estimator: SiameseBase

    def __call__(self, u: npt.ArrayLike, v: npt.ArrayLike) -> float:
        return float(self.estimator.pair_distance(Pairs(np.asarray(u)[None], np.asarray(v)[None]))[0])
