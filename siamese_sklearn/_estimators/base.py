"""Base class of the estimators: builds and trains the net, and computes embeddings."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import issparse
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from torch import nn

from siamese_sklearn._documentation import DocumentationLink
from siamese_sklearn._estimators.axes import check_axes, warn_if_constant
from siamese_sklearn._estimators.class_folds import ClassFold, leave_classes_out
from siamese_sklearn._estimators.class_numbers import ClassNumbers
from siamese_sklearn._estimators.draft import draft_of
from siamese_sklearn._estimators.input_path import (
    InputScale,
    choose_scale,
    choose_weight,
    learn_input_path,
)
from siamese_sklearn._estimators.pair_metric import PairMetric
from siamese_sklearn._estimators.parameters import SharedParameters
from siamese_sklearn._estimators.stamped import StampedPickles
from siamese_sklearn._estimators.training_data import (
    TrainingData,
    augmenter,
    batches_of,
    check_loss,
)
from siamese_sklearn._net import (
    Rows,
    Scorer,
    TrainingRun,
    Watch,
    build_net,
    check_callbacks_of,
    embed,
    import_for_optimizers,
    net_to_continue,
    resolve_device,
    resolve_schedule,
    seeded,
    threads,
    train_briefly,
    training,
    usual_epochs,
    without_callbacks,
)
from siamese_sklearn._typing import FloatArray, IntArray
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
)
from siamese_sklearn.distances import RankedByEuclidean
from siamese_sklearn.heads import DistanceHead, HeadLike
from siamese_sklearn.losses import LOSSES
from siamese_sklearn.losses._resolve import make_loss
from siamese_sklearn.pairs import Pairs, Triplets
from siamese_sklearn.towers import InputPath
from siamese_sklearn.towers._architecture import make_network

__all__ = ["SiameseBase"]

_LEARNED = 32  # components, where the user does not choose
_MIN_TO_KEEP_INPUT = 8  # components, of which half are learned
_MAX_NUMBERS = 2**28  # in the rows of a brief training: 1 GB
_MIN_BRIEF_STEPS = 75  # of the trainings that choose the weight of the input


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
    StampedPickles,
    ABC,
    auto_wrap_output_keys=None,
):
    """Training and embedding; subclasses define the hold-out and the validation."""

    # Fitted state. `_right_side` holds the features of the right side, where they may
    # differ from those of the left.
    net_: Any = field(init=False)
    n_iter_: int = field(init=False)
    n_steps_: int = field(init=False)
    _built_with: dict[str, str] = field(init=False)
    _split_seed: int = field(init=False)
    _n_classes: int = field(init=False)  # that the loss is built for
    _class_numbers: ClassNumbers = field(default=ClassNumbers(), init=False)
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
    def input_weight_(self) -> float:
        """Share of the squared distances that comes from the input."""
        check_is_fitted(self)
        path = getattr(self.net_.module_, "input_path", None)
        return 0.0 if path is None else float(path.weight)

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
        folds: list[ClassFold],
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
            A data frame if `set_output` asks for one; a tensor on the device of `X` if
            `X` is one and scikit-learn's ``array_api_dispatch`` is on. For `Pairs` and
            `Triplets`, the same container with the embeddings of each side.
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
            ``(left, right) -> float``, for rows of any kind, such as those of a data
            frame. It uses the model as it is now: a later `fit` does not change it.
        """
        check_is_fitted(self)
        return PairMetric.of(self)

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

    def _begin_fit(self) -> None:
        """Forget what `fit` learns anew, also if it continues training."""

    @contextmanager
    def _training(
        self,
        X: Any,
        y: Any,
        *,
        n_epochs: int | None,
        is_whole: bool,
        known_classes: Sequence[npt.ArrayLike] = (),
    ) -> Iterator[tuple[Any, TrainingRun]]:
        """Check everything, yield the net to train, and learn the rest after the block.

        A whole training follows `lr_schedule` and may stop early; otherwise it is one
        of many on parts of the data. The previous state stays if anything raises;
        Ctrl-C in the training is raised again at the end.
        """
        with draft_of(self) as draft:
            if is_whole:
                draft._begin_fit()
            with draft._learning(X, y, n_epochs, is_whole, known_classes) as (net, run):
                yield net, run
        if run.interrupt is not None:
            raise run.interrupt

    @contextmanager
    def _learning(
        self,
        X: Any,
        y: Any,
        n_epochs: int | None,
        is_whole: bool,
        known_classes: Sequence[npt.ArrayLike],
    ) -> Iterator[tuple[Any, TrainingRun]]:
        check_parameters(self)
        continues = hasattr(self, "net_") and (bool(self.warm_start) or not is_whole)
        if continues:
            check_unchanged(self, self._built_with)
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
        import_for_optimizers()
        with seeded(seed + n_done, device), threads(self.n_threads):
            kept, held, run = self._prepare(data, n_epochs, is_whole, device, rng)
            net, folds = self._net_for(data, run, continues, is_whole)
            with training(net, run):
                yield net, run
            self.net_, self.history_ = net, net.history
            self.n_iter_, self.n_steps_ = len(net.history), run.n_steps
            self._learn_from(data, kept, held, folds, rng)

    def _prepare(
        self,
        data: TrainingData,
        n_epochs: int | None,
        is_whole: bool,
        device: torch.device,
        rng: np.random.Generator,
    ) -> tuple[IntArray, IntArray, TrainingRun]:
        """Choose the rows to train on and to hold out, and how to train."""
        # Rows held out by the first fit stay held out when training continues.
        split_rng = np.random.default_rng(self._split_seed)
        early_stopping = is_whole and self.early_stopping
        kept, held = self._hold_out(data, early_stopping, split_rng)
        run = self._run(data, kept, device, rng, n_epochs=n_epochs)
        run.verbose = int(self.verbose)
        if early_stopping:
            score = self._measure(data, kept, held, device, split_rng)
            run.watch = Watch(score, self.n_iter_no_change)
        if is_whole:
            run.schedule = resolve_schedule(self.lr_schedule, self.callbacks)
        return kept, held, run

    def _net_for(
        self, data: TrainingData, run: TrainingRun, continues: bool, is_whole: bool
    ) -> tuple[Any, list[ClassFold]]:
        """Return a net to train, and what brief trainings have given."""
        folds: list[ClassFold] = []
        if continues:
            rates = self.lr, self.weight_decay
            net = net_to_continue(self.net_, *rates, self.callbacks, self.net_params)
        else:
            net, folds = self._new_net(data, run, is_whole=is_whole)
        check_loss(net.criterion_, self.loss, data, self._architecture)
        warn_if_constant(data.sides)
        return net, folds

    def _forget_fit(self) -> None:
        """Delete fitted state that the next fit may not overwrite."""
        for name in ("classes_", "_class_numbers", "_right_side"):
            self.__dict__.pop(name, None)

    def _check_data(self, X: Any, y: Any, *, reset: bool) -> TrainingData:
        if isinstance(X, Pairs):
            same = check_same(X, y)
            return TrainingData("pairs", self._check_sides(X, reset=reset), same)
        if isinstance(X, Triplets):
            sides = self._check_sides(X, reset=reset)
            return TrainingData("triplets", sides, np.zeros(len(X), dtype=np.int64))
        if reset:
            check_axes(X, y, self.tower)
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
        """Set `classes_` to all known classes, and number the labels."""
        if data.classes is None:
            return data
        known = self._class_numbers
        self.classes_ = join_classes(
            data.classes, *known_classes, *([known.names] if len(known.names) else [])
        )
        self._class_numbers = known.extended(self.classes_)
        return replace(data, target=self._class_numbers.of(data.classes)[data.target])

    def _new_net(
        self, data: TrainingData, run: TrainingRun, *, is_whole: bool
    ) -> tuple[Any, list[ClassFold]]:
        """Build the net, after brief trainings of which it needs something."""
        n_classes = len(self.classes_) if data.kind == "rows" else 2
        self._n_classes = n_classes
        if not self._keeps_input(data):
            return self._build_net(run, n_classes), []
        width = self._width(True) // 2
        scale = choose_scale(data, run.kept, width, run.rng)
        path = learn_input_path(data, run.kept, width, scale, run.rng)
        net = self._build_net(run, n_classes, path)  # raises before any training
        folds = self._leave_classes_out(data, run, scale) if is_whole else []
        if is_whole:
            path.weight.fill_(choose_weight(data.target, folds))
        return net, folds

    def _build_net(
        self,
        run: TrainingRun,
        n_classes: int,
        path: InputPath | None = None,
        *,
        is_brief: bool = False,
    ) -> Any:
        n_components = self._width(path is not None)
        network = make_network(
            self._architecture,
            self.tower,
            lambda: (run.rows.sides(part) for part in run.rows.slices()),
            n_components,
            normalize=self.normalize,
            input_path=path,
        )
        callbacks, net_params = self.callbacks, self.net_params
        if is_brief:  # callbacks see the training of the model only
            callbacks, net_params = None, without_callbacks(net_params)
        net = build_net(
            network,
            self._loss(n_classes, n_components - (path.width if path else 0)),
            max_epochs=run.n_epochs,
            optimizer=self.optimizer,
            lr=self.lr,
            weight_decay=self.weight_decay,
            callbacks=callbacks,
            net_params=net_params,
            device=run.rows.device,
        )
        check_callbacks_of(net, run)
        return net

    def _width(self, keeps_input: bool) -> int:
        default = 2 * _LEARNED if keeps_input else _LEARNED
        return default if self.n_components is None else self.n_components

    def _loss(self, n_classes: int, n_components: int) -> nn.Module:
        given = {
            "margin": self.margin,
            "distance": self.distance,
            "mining": self.mining,
            "head": self._head,
        }
        return make_loss(self.loss, LOSSES, n_classes, n_components, **given)

    def _keeps_input(self, data: TrainingData) -> bool:
        """Whether a part of the embedding is computed from the input.

        The whole has to be compared by angle, as its parts are.
        """
        if (
            self.purpose == "known_classes"
            or data.kind != "rows"
            or issparse(data.sides[0])
            or self._architecture != "siamese"
            or not self.normalize
            or self._width(True) < _MIN_TO_KEEP_INPUT
            or isinstance(self.tower, nn.Module)
            or isinstance(self.loss, nn.Module | tuple)
        ):
            return False
        with torch.random.fork_rng(devices=[]):  # weights of a loss are drawn
            loss = self._loss(len(self.classes_), self._width(True))
        is_binary = getattr(loss, "binary", False)
        is_learned = not isinstance(getattr(loss, "head", None), DistanceHead | None)
        by_angle = isinstance(loss.distance, RankedByEuclidean)
        return by_angle and not is_binary and not is_learned

    def _leave_classes_out(
        self, data: TrainingData, run: TrainingRun, scale: InputScale
    ) -> list[ClassFold]:
        """Train briefly without some classes."""
        device, rng, width = run.rows.device, run.rng, self._width(True) // 2
        n_steps = min(run.n_steps, max(run.n_steps // 8, _MIN_BRIEF_STEPS))

        def train(known: IntArray, out: IntArray) -> ClassFold | None:
            classes, target = np.unique(data.target[known], return_inverse=True)
            part = replace(data.take(known), target=target)
            brief = self._run(part, np.arange(len(known)), device, rng, n_steps=n_steps)
            brief.schedule = run.schedule
            path = learn_input_path(data, known, width, scale, rng)
            net = self._build_net(brief, len(classes), path, is_brief=True)
            if not train_briefly(net, brief):
                return None
            of_known, of_out = (
                embed(net, Rows(data.sides[0][rows], device=device))
                for rows in (known, out)
            )
            return ClassFold(known, out, of_known, of_out, path.width)

        room = _MAX_NUMBERS // max(math.prod(data.sides[0].shape[1:]), 1)
        n_rows = min(n_steps * self.batch_size, max(room, 2))  # they are copied
        return leave_classes_out(data.target, run.kept, train, n_rows, rng)

    def _run(
        self,
        data: TrainingData,
        kept: IntArray,
        device: torch.device,
        rng: np.random.Generator,
        *,
        n_epochs: int | None = None,
        n_steps: int | None = None,
    ) -> TrainingRun:
        """Make a run of `n_epochs`, of at least `n_steps`, or of the usual length."""
        # a sampler of the user's need not fit the few classes of brief trainings
        sampler = self.sampler if n_steps is None else None
        batches = batches_of(data, kept, self.batch_size, sampler, self._architecture)
        if n_epochs is None:
            n_epochs = usual_epochs(batches.n_batches)
        if n_steps is not None:
            n_epochs = -(-n_steps // batches.n_batches)
        pass_both = data.kind == "rows" and self._architecture == "pseudo_siamese"
        return TrainingRun(
            Rows(*data.sides, device=device),
            torch.from_numpy(data.target).to(device),
            kept,
            batches,
            rng,
            n_epochs,
            augment=augmenter(self.augment, self.tower, data),
            averaging=self.weight_averaging,
            n_towers=2 if pass_both else 1,
        )

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
