"""Base class of the estimators: builds and trains the net, and computes embeddings."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils import Tags, check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from siamese_sklearn._documentation import DocumentationLink
from siamese_sklearn._estimators.parameters import SharedParameters
from siamese_sklearn._estimators.training_data import TrainingData
from siamese_sklearn._net import (
    Rows,
    Scorer,
    TrainingRun,
    Watch,
    build_net,
    check_net_params,
    conclude,
    embed,
    kept_on_error,
    resolve_device,
    seeded,
    set_learning_rate,
    threads,
)
from siamese_sklearn._typing import Array, FloatArray, IntArray
from siamese_sklearn._validation import (
    RightSide,
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
from siamese_sklearn.heads import HeadLike
from siamese_sklearn.losses import LOSSES, LogitLoss, TupleLoss
from siamese_sklearn.losses._resolve import make_loss
from siamese_sklearn.pairs import Pairs, Triplets
from siamese_sklearn.sampling import (
    Batches,
    PairedBatches,
    ShuffledBatches,
    make_batches,
)
from siamese_sklearn.towers._architecture import make_network
from siamese_sklearn.towers._resolve import is_cnn

__all__ = ["SiameseBase"]


def _has_embedding(estimator: SiameseBase) -> bool:
    return estimator._has_embedding


# `transform` wraps its output itself, for each side of Pairs and Triplets, so
# scikit-learn's automatic wrapping is off.
@dataclass(eq=False, repr=False)
class SiameseBase(  # type: ignore[call-arg]
    SharedParameters,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    DocumentationLink,
    BaseEstimator,
    ABC,
    auto_wrap_output_keys=None,
):
    """Training and embedding; subclasses define the hold-out and the validation."""

    # Fitted state. `_class_order` holds the classes in the order in which training
    # numbers them; `_right_side` holds the features of the right side, where they may
    # differ from those of the left.
    net_: Any = field(init=False)
    n_iter_: int = field(init=False)
    _built_with: dict[str, str] = field(init=False)
    _split_seed: int = field(init=False)
    _class_order: Array | None = field(default=None, init=False)
    _right_side: RightSide | None = field(default=None, init=False)

    @property
    @abstractmethod
    def _architecture(self) -> str:
        """Name of the architecture."""

    @property
    @abstractmethod
    def _head(self) -> HeadLike | None:
        """Head that overrides the one of `loss`, or None."""

    @property
    @abstractmethod
    def _scorer(self) -> Scorer:
        """Scores pairs with the fitted net."""

    @abstractmethod
    def _hold_out(
        self, data: TrainingData, early_stopping: bool, rng: np.random.Generator
    ) -> tuple[IntArray, IntArray]:
        """Choose the rows to train on and the rows to hold out."""

    @abstractmethod
    def _measure(
        self,
        data: TrainingData,
        kept: IntArray,
        held: IntArray,
        device: torch.device,
        rng: np.random.Generator,
    ) -> Callable[[Any], float]:
        """Make the held-out score that early stopping monitors."""

    @abstractmethod
    def _learn_from(
        self,
        data: TrainingData,
        kept: IntArray,
        held: IntArray,
        rng: np.random.Generator,
    ) -> None:
        """Learn whatever is needed beyond the network, after it is trained."""

    @available_if(_has_embedding)  # type: ignore[untyped-decorator]
    def transform(self, X: Any) -> Any:
        """Map rows to embeddings; not available for ``architecture="two_channel"``.

        Parameters
        ----------
        X : {array-like, sparse matrix, data frame, memmap}, Pairs or Triplets
            Rows of the shape seen in `fit`. With two towers, the left one embeds them.

        Returns
        -------
        Z : array of shape (n, n_components), float32
            A data frame if `set_output` asks for one. For `Pairs` and `Triplets`, the
            same container with the embeddings of each side.
        """
        check_is_fitted(self)
        if not isinstance(X, Pairs | Triplets):
            rows = check_rows(self, X, reset=False)
            with threads(self.n_threads):
                embeddings = embed(self.net_, self._rows(rows))
            return in_chosen_container(self, embeddings, X)
        sides = self._check_sides(X, reset=False)
        with threads(self.n_threads):
            embedded = [
                embed(self.net_, self._rows(side), number)
                for number, side in enumerate(sides)
            ]
        return type(X)(
            *(
                in_chosen_container(self, Z, side)
                for Z, side in zip(embedded, X.sides, strict=True)
            )
        )

    @available_if(_has_embedding)  # type: ignore[untyped-decorator]
    def fit_transform(self, X: Any, y: npt.ArrayLike | None = None) -> Any:
        """Train the network and return the embeddings of the training rows.

        Parameters
        ----------
        X, y
            As in `fit`.

        Returns
        -------
        Z : array of shape (n, n_components), float32
            As returned by `transform`.
        """
        return self.fit(X, y).transform(X)

    @available_if(_has_embedding)  # type: ignore[untyped-decorator]
    def get_feature_names_out(
        self, input_features: npt.ArrayLike | None = None
    ) -> npt.NDArray[np.object_]:
        """Names of the embedding components.

        Parameters
        ----------
        input_features : ignored

        Returns
        -------
        array of str, of shape (n_components,)
        """
        names: npt.NDArray[np.object_] = super().get_feature_names_out(input_features)
        return names

    def pair_score(self, pairs: Any) -> FloatArray:
        """Score how similar the two sides of each pair are.

        Parameters
        ----------
        pairs : Pairs of n rows

        Returns
        -------
        array of shape (n,), float32
            Higher means more similar. The negative distance between the embeddings; for
            a classifier with a learned head or without embeddings, the logit of "same".
        """
        check_is_fitted(self)
        if not isinstance(pairs, Pairs):
            raise TypeError(
                f"`pairs` must be Pairs(left, right); got {type(pairs).__name__}."
            )
        left, right = self._check_sides(pairs, reset=False)
        index = np.arange(left.shape[0])
        with threads(self.n_threads):
            scorer = self._scorer
            return scorer.pairs(
                scorer.codes(left, 0), scorer.codes(right, 1), index, index
            )

    def pair_distance(self, pairs: Any) -> FloatArray:
        """Measure how far apart the two sides of each pair are.

        Parameters
        ----------
        pairs : Pairs of n rows

        Returns
        -------
        array of shape (n,), float32
            Lower means more similar. The distance between the embeddings that `loss` is
            trained with, or its square root if that distance is squared; where
            `pair_score` is a logit, -log(sigmoid(logit)).
        """
        return self._scorer.distance_of(self.pair_score(pairs))

    def get_metric(self) -> Callable[[npt.ArrayLike, npt.ArrayLike], float]:
        """Return `pair_distance` of two rows as a function, for ``metric=``.

        The function works wherever scikit-learn takes a callable metric, and compares
        two rows per call. For many rows, `transform` them once and compare the
        embeddings, or pass all pairs to `pair_distance`.

        Returns
        -------
        callable
            ``(left, right) -> float``. It uses a copy of the current model: a later
            `fit` does not change it.
        """
        check_is_fitted(self)
        fitted = copy.copy(self)
        fitted.net_ = copy.deepcopy(self.net_)
        fitted._right_side = copy.copy(self._right_side)
        for side in (fitted, fitted._right_side):
            if side is not None:
                # the metric gets plain rows, without names
                side.__dict__.pop("feature_names_in_", None)
        return _Metric(fitted)

    def _cross(self, left: Any, right: Any) -> FloatArray:
        """Score every row of one side against every row of the other, (n, m)."""
        check_is_fitted(self)
        rows = check_rows(self, left, reset=False)
        references = check_rows(self._right, right, reset=False)
        with threads(self.n_threads):
            scorer = self._scorer
            return scorer.cross(scorer.codes(rows, 0), scorer.codes(references, 1))

    @property
    def _right(self) -> Any:
        """Estimator that knows the features of the right side."""
        return self if self._right_side is None else self._right_side

    @contextmanager
    def _training(
        self,
        X: Any,
        y: Any,
        *,
        n_epochs: int,
        continues: bool,
        early_stopping: bool,
        known_classes: Sequence[npt.ArrayLike] = (),
    ) -> Iterator[tuple[Any, TrainingRun]]:
        """Check everything, yield the net to train, and learn the rest after the block.

        If anything raises, the estimator keeps its previous state.
        """
        with keep_fitted_state(self):
            check_parameters(self)
            if continues:
                check_unchanged(self, self._built_with)
                check_net_params(self.net_params)
            else:
                self._forget_fit()
            data = self._check_data(X, y, reset=not continues)
            data = self._with_numbers(data, known_classes)
            device = resolve_device(self.net_.device if continues else self.device)
            seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
            n_done = self.n_iter_ if continues else 0
            if not continues:
                self._built_with, self._split_seed = fixed_parameters(self), seed
            rng = np.random.default_rng([seed, n_done])
            with seeded(seed + n_done, device), threads(self.n_threads):
                # Rows held out by the first fit stay held out when training continues.
                split_rng = np.random.default_rng(self._split_seed)
                kept, held = self._hold_out(data, early_stopping, split_rng)
                watch = None
                if early_stopping:
                    watch = Watch(
                        self._measure(data, kept, held, device, split_rng),
                        self.n_iter_no_change,
                    )
                rows = Rows(*data.sides, device=device)
                net = self.net_ if continues else self._build_net(rows, data, device)
                _check_loss(net.criterion_, self, data)
                if continues:
                    set_learning_rate(net, self.lr, self.weight_decay)
                run = self._run(rows, data, kept, rng, n_epochs, watch)
                with kept_on_error(net):
                    yield net, run
                    conclude(net, run, n_done)
                    self.net_, self.history_, self.n_iter_ = (
                        net,
                        net.history,
                        len(net.history),
                    )
                    self._learn_from(data, kept, held, rng)

    def _forget_fit(self) -> None:
        """Delete fitted state that the next fit may not overwrite."""
        self.__dict__.pop("classes_", None)
        self.__dict__.pop("_class_order", None)
        self.__dict__.pop("_right_side", None)

    def _check_data(self, X: Any, y: Any, *, reset: bool) -> TrainingData:
        if isinstance(X, Pairs):
            same = check_same(X, y)
            return TrainingData("pairs", self._check_sides(X, reset=reset), same)
        if isinstance(X, Triplets):
            sides = self._check_sides(X, reset=reset)
            return TrainingData("triplets", sides, np.zeros(len(X), dtype=np.int64))
        X = check_rows(self, X, reset=reset)
        classes, labels = check_labels(self, X, y)
        return TrainingData("rows", (X,), labels, classes)

    def _check_sides(self, X: Any, *, reset: bool) -> tuple[Any, ...]:
        if reset and self._architecture == "pseudo_siamese":
            self._right_side = RightSide()
        return check_sides(self, X, reset=reset, other=self._right_side)

    def _with_numbers(
        self, data: TrainingData, known_classes: Sequence[npt.ArrayLike]
    ) -> TrainingData:
        """Set `classes_` to all known classes, and number the labels.

        New classes get the next numbers and known ones keep theirs, because a loss may
        have a weight for each class.
        """
        if data.classes is None:
            return data
        known = self._class_order
        self.classes_ = join_classes(
            data.classes, *known_classes, *([] if known is None else [known])
        )
        if known is None:
            self._class_order = self.classes_
        else:
            self._class_order = np.concatenate(
                [known, self.classes_[~np.isin(self.classes_, known)]]
            )
        by_name = np.argsort(self._class_order)
        number = by_name[np.searchsorted(self.classes_, data.classes)]
        return replace(data, target=number[data.target])

    def _build_net(self, rows: Rows, data: TrainingData, device: torch.device) -> Any:
        network = make_network(
            self._architecture,
            self.tower,
            lambda: (rows.sides(part) for part in rows.slices()),
            self.n_components,
            normalize=self.normalize,
        )
        n_classes = len(self.classes_) if data.kind == "rows" else 2
        given = {
            "margin": self.margin,
            "distance": self.distance,
            "mining": self.mining,
            "head": self._head,
        }
        return build_net(
            network,
            make_loss(self.loss, LOSSES, n_classes, self.n_components, **given),
            max_epochs=self.max_epochs,
            optimizer=self.optimizer,
            lr=self.lr,
            weight_decay=self.weight_decay,
            callbacks=self.callbacks,
            net_params=self.net_params,
            device=device,
        )

    def _run(
        self,
        rows: Rows,
        data: TrainingData,
        kept: IntArray,
        rng: np.random.Generator,
        n_epochs: int,
        watch: Watch | None,
    ) -> TrainingRun:
        batches: Batches
        if data.kind == "rows":
            batches = make_batches(self.sampler, data.target[kept], self.batch_size)
            if self._architecture == "two_channel":
                batches = PairedBatches(data.target[kept], self.batch_size, batches)
        else:
            batches = ShuffledBatches(len(kept), self.batch_size)
        pass_both = data.kind == "rows" and self._architecture == "pseudo_siamese"
        return TrainingRun(
            rows,
            torch.from_numpy(data.target).to(rows.device),
            kept,
            batches,
            rng,
            n_epochs,
            augment=self._augmenter(data),
            averaging=self.weight_averaging,
            n_towers=2 if pass_both else 1,
            watch=watch,
            verbose=int(self.verbose),
        )

    def _augmenter(self, data: TrainingData) -> Callable[[Tensor], Tensor] | None:
        augment: Callable[[Tensor], Tensor] | str | None = self.augment
        if not isinstance(augment, str):
            return augment
        towers = self.tower if isinstance(self.tower, tuple) else (self.tower,)
        are_images = all(is_cnn(tower, data.sides[0].shape[1:]) for tower in towers)
        return ImageAugmenter() if data.kind == "rows" and are_images else None

    def _split_of(self, data: TrainingData) -> str:
        return self.validation_split if data.kind == "rows" else "rows"

    def _rows(self, rows: Any) -> Rows:
        return Rows(rows, device=torch.device(self.net_.device))

    @property
    def _has_embedding(self) -> bool:
        if hasattr(self, "net_"):  # `architecture` may have changed since the fit
            return int(self.net_.module_.n_components) > 0
        return self._architecture != "two_channel"

    @property
    def _n_features_out(self) -> int:
        return int(self.net_.module_.n_components)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _check_loss(loss: nn.Module, estimator: SiameseBase, data: TrainingData) -> None:
    """Raise if `loss` cannot be used with the architecture or the data."""
    given = estimator.loss
    if estimator._architecture == "two_channel" and not isinstance(loss, LogitLoss):
        able = ", ".join(
            repr(name) for name, spec in LOSSES.items() if spec.takes_logits
        )
        got = repr(given) if isinstance(given, str) else type(given).__name__
        raise ValueError(
            "architecture='two_channel' returns logits, not embeddings, but "
            f"`loss`={got} needs embeddings; use one of {able}."
        )
    if data.kind != "rows" and not isinstance(loss, TupleLoss):
        able = ", ".join(
            repr(name) for name, spec in LOSSES.items() if spec.takes_tuples
        )
        got = repr(given) if isinstance(given, str) else f"a {type(given).__name__}"
        raise TypeError(
            f"`loss` is {got}, which takes (embeddings, labels), but Pairs and "
            f"Triplets have no class labels. Use one of {able}, or fit on rows and "
            "their classes."
        )


@dataclass(frozen=True)
class _Metric:
    """Learned distance of two rows; a class, because a closure cannot be pickled."""

    estimator: SiameseBase

    def __call__(self, u: npt.ArrayLike, v: npt.ArrayLike) -> float:
        return float(
            self.estimator.pair_distance(
                Pairs(np.asarray(u)[None], np.asarray(v)[None])
            )[0]
        )
