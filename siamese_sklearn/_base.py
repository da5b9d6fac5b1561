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
from torch import nn

from siamese_sklearn import _holdout
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
from siamese_sklearn._parameters import check_parameters, check_unchanged, fixed_parameters
from siamese_sklearn._sides import Sides
from siamese_sklearn._validation import (
    check_labels,
    check_rows,
    check_same,
    check_sides,
    in_chosen_container,
    join_classes,
    keep_fitted_state,
)
from siamese_sklearn.distances import paired
from siamese_sklearn.losses import LOSSES, EmbeddingLoss, make_loss
from siamese_sklearn.pairs import Pairs
from siamese_sklearn.sampling import BalancedBatches, ShuffledBatches
from siamese_sklearn.towers import SiameseNetwork, Standardize, TowerSpec, make_tower

__all__ = ["SiameseBase", "TrainingData"]

_MOST_QUERIES, _MOST_GALLERY = 2000, 5000  # rows that early stopping looks at in each epoch


@dataclass
class TrainingData:
    """Checked data of one call of `fit`.

    Attributes
    ----------
    sides : tuple of arrays
        The rows, or the sides of pairs or triplets.
    target : array of shape (n,)
        Class numbers of rows, `same` of pairs, zeros for triplets.
    classes : array of shape (n_classes,) or None
        The classes, for rows only.
    """

    sides: tuple[Any, ...]
    target: npt.NDArray[np.int64]
    classes: npt.NDArray[Any] | None

    def take(self, index: npt.NDArray[np.int64]) -> TrainingData:
        """Keep the rows of `index`."""
        return TrainingData(tuple(side[index] for side in self.sides), self.target[index], self.classes)


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
            check_parameters(self)
            goes_on = self.warm_start and hasattr(self, "net_")
            return self._fit(X, y, n_epochs=self.max_epochs, goes_on=goes_on, holds_out=self.early_stopping)

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
            check_parameters(self)
            known = [] if classes is None else [classes]
            goes_on = hasattr(self, "net_")
            return self._fit(X, y, n_epochs=1, goes_on=goes_on, holds_out=False, known_classes=known)

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
            embeddings = self._embed(*check_sides(self, X, reset=False))
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
        left, right = self._embed(*check_sides(self, pairs, reset=False))
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
        holds_out: bool,
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
            kept, watch = np.arange(len(data.target)), None
            if holds_out:
                # The rows held out by the first fit stay held out in the next ones.
                kept, watch = self._hold_out(data, device, np.random.default_rng(self._split_seed))
            rows = Rows(*data.sides, device=device)
            net = self.net_ if goes_on else self._build_net(rows, data, device)
            _check_loss(net.criterion_.loss, data)
            if goes_on:
                set_learning_rate(net, self.lr, self.weight_decay)
            train(net, self._run(rows, data, kept, rng, n_epochs, watch))
        self.net_ = net
        self.history_ = net.history
        self.n_iter_ = len(net.history)
        return self

    def _check_data(self, X: Any, y: Any, *, reset: bool) -> TrainingData:
        if isinstance(X, Sides):
            target = check_same(X, y) if isinstance(X, Pairs) else np.zeros(len(X), dtype=np.int64)
            return TrainingData(check_sides(self, X, reset=reset), target, None)
        X = check_rows(self, X, reset=reset)
        classes, labels = check_labels(self, X, y)
        return TrainingData((X,), labels, classes)

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
        tower = make_tower(self.tower, rows.sides(slice(2))[0].cpu(), self.n_components)
        for layer in tower.modules():
            if isinstance(layer, Standardize):
                layer.fit(side for part in rows.slices() for side in rows.sides(part))
        network = SiameseNetwork(
            tower,
            self.n_components,
            # On a line, unit norm would leave nothing but the sign, and no gradient to learn from.
            normalize=self.normalize and self.n_components > 1,
            may_write=not isinstance(self.tower, str | TowerSpec),
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
        given = {"margin": self.margin, "distance": self.distance, "mining": self.mining}
        return make_loss(self.loss, LOSSES, n_classes, self.n_components, **given)

    def _run(
        self,
        rows: Rows,
        data: TrainingData,
        kept: npt.NDArray[np.int64],
        rng: np.random.Generator,
        n_epochs: int,
        watch: Watch | None,
    ) -> TrainingRun:
        batches: BalancedBatches | ShuffledBatches
        if len(data.sides) == 1:
            batches = BalancedBatches(data.target[kept], self.batch_size)
        else:
            batches = ShuffledBatches(len(kept), self.batch_size)
        target = torch.from_numpy(data.target).to(rows.device)
        return TrainingRun(rows, target, kept, batches, rng, n_epochs, self.augment, watch, int(self.verbose))

    def _hold_out(
        self, data: TrainingData, device: torch.device, rng: np.random.Generator
    ) -> tuple[npt.NDArray[np.int64], Watch]:
        """Choose the rows to train on, and what to watch on the rest."""
        split = self.validation_split if len(data.sides) == 1 else "rows"
        kept, held = _holdout.hold_out(data.target, self.validation_fraction, split, rng)
        held_data = data.take(_some_queries(held, data, rng))
        sides = [Rows(side, device=device) for side in held_data.sides]
        if len(sides) == 3:
            measure = _holdout.measure_triplets(sides[0], sides[1], sides[2])
        elif len(sides) == 2:
            measure = _holdout.measure_pairs(sides[0], sides[1], held_data.target)
        elif split == "classes":
            measure = _holdout.measure_rows(sides[0], held_data.target, None, None)
        else:
            gallery = data.take(_some(kept, _MOST_GALLERY, rng))
            gallery_rows = Rows(*gallery.sides, device=device)
            measure = _holdout.measure_rows(sides[0], held_data.target, gallery_rows, gallery.target)
        return kept, Watch(measure, self.n_iter_no_change)

    def _embed(self, *sides: Any) -> tuple[npt.NDArray[np.float32], ...]:
        device = torch.device(self.net_.device)
        with threads(self.n_threads):
            return tuple(embed(self.net_.module_, Rows(side, device=device)) for side in sides)

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


def _check_loss(loss: nn.Module, data: TrainingData) -> None:
    if len(data.sides) > 1 and not isinstance(loss, EmbeddingLoss):
        raise TypeError(
            f"`loss` is a {type(loss).__name__}, which takes (embeddings, labels), but Pairs and Triplets "
            f"have no labels. Take one of {', '.join(map(repr, LOSSES))}, or fit on rows and their classes."
        )


def _some_queries(
    held: npt.NDArray[np.int64], data: TrainingData, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """At most `_MOST_QUERIES` of the held-out rows; of pairs half of each kind, so that none gets lost."""
    if data.classes is not None or len(data.sides) != 2:
        return _some(held, _MOST_QUERIES, rng)
    kinds = [held[data.target[held] == kind] for kind in (0, 1)]
    return np.concatenate([_some(kind, _MOST_QUERIES // 2, rng) for kind in kinds])


def _some(index: npt.NDArray[np.int64], most: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    return index if len(index) <= most else np.sort(rng.choice(index, most, replace=False))
