"""Parameters of all estimators: each is declared, checked and documented once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch import Tensor

from siamese_sklearn._checks import (
    check_boolean,
    check_integer,
    check_number,
    check_option,
)
from siamese_sklearn._labels import label_keys
from siamese_sklearn._net import SCHEDULES
from siamese_sklearn._typing import Array
from siamese_sklearn._validation import or_none, parameter
from siamese_sklearn.heads import HEADS
from siamese_sklearn.losses._resolve import LossLike
from siamese_sklearn.sampling import SamplerLike
from siamese_sklearn.search._resolve import check_search
from siamese_sklearn.towers._resolve import TowerLike

__all__ = [
    "SharedParameters",
    "check_head",
    "check_unknown_is_no_class",
    "check_unknown_label",
    "purpose_parameter",
]

_SMALLEST_BATCH = 4  # two classes of two rows: an anchor, its positive, and a negative


def _check_batch_size(name: str, value: Any) -> None:
    check_integer(name, value, low=1)
    if value < _SMALLEST_BATCH:
        raise ValueError(
            f"`{name}` must be at least {_SMALLEST_BATCH}, so that a batch can hold a "
            f"positive and a negative pair; got {value}."
        )


def _check_augment(name: str, value: Any) -> None:
    is_auto = isinstance(value, str) and value == "auto"
    if value is not None and not is_auto and not callable(value):
        got = repr(value) if isinstance(value, str) else type(value).__name__
        raise TypeError(
            f'`{name}` must be "auto", None or a callable that takes a batch tensor; '
            f"got {got}."
        )


def _check_sampler(name: str, value: Any) -> None:
    if value is not None and not callable(value):
        raise TypeError(
            f"`{name}` must be None or a callable (labels, batch_size) -> batches, "
            "such as siamese_sklearn.sampling.BalancedBatches; "
            f"got {type(value).__name__}."
        )


def _check_lr_schedule(name: str, value: Any) -> None:
    if not callable(value):
        check_option(name, value, SCHEDULES)


def check_head(name: str, value: Any) -> None:
    """Raise if a name of a head is unknown."""
    if isinstance(value, str):
        check_option(name, value, HEADS)


def check_unknown_label(name: str, value: Any) -> None:
    """Raise if it is not one label."""
    if value is not None and np.ndim(value) > 0:
        raise TypeError(f"`{name}` must be one label or None; got {value!r}.")


def check_unknown_is_no_class(unknown: Any, classes: Array) -> None:
    """Raise a ValueError if `unknown_label` is among classes to enroll."""
    if unknown is None:
        return
    key = label_keys(np.asarray(unknown, dtype=object))[0]
    if key in label_keys(classes):
        raise ValueError(
            f"`unknown_label`={unknown!r} is a class in `y`, so `predict` could not "
            "tell its rows from strangers. Choose a label that is no class, such as "
            "set_params(unknown_label='unknown')."
        )


def _check_callbacks(name: str, value: Any) -> None:
    if value is not None and not isinstance(value, list | tuple):
        raise TypeError(
            f"`{name}` must be None or a list of skorch callbacks; "
            f"got {type(value).__name__}."
        )


def _check_random_state(name: str, value: Any) -> None:
    try:
        check_random_state(value)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"`{name}` must be an integer from 0 to 2**32 - 1, a "
            f"numpy.random.RandomState or None; got {value!r}."
        ) from error


def _check_verbose(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        check_integer(name, value, low=0, also=", or True or False")


def purpose_parameter(default: str) -> Any:
    """Declare `purpose`, whose default depends on the estimator."""
    return parameter(
        default,
        '{"known_classes", "new_classes"}',
        """The classes that the embedding is for: those of training, which become as
        compact as possible; or new ones, which training never sees. For new classes,
        up to half of the components, at most one more than there are features, are
        computed from the input by a linear map instead of the network, because a
        network discards what does not tell apart the classes of training. How much
        these components weigh is chosen by leaving classes out of three short
        trainings. With fewer than four classes, and in `partial_fit`, they weigh one
        half; `partial_fit` learns the map from the rows of its first call. The
        classes of training are then less compact, so that one threshold separates their
        pairs less well, while their nearest neighbors stay about the same. Ignored
        for `Pairs`, `Triplets` and sparse rows, for towers and losses that are modules
        of your own or do not compare embeddings by angle, for ``normalize=False``, and
        for fewer than 8 components.""",
        check=partial(check_option, options=("known_classes", "new_classes")),
        fixed=True,
    )


def search_parameter() -> Any:
    """Declare `search`, which finds references in the gallery."""
    return parameter(
        "exact",
        '{"exact", "approximate"} or object',
        """How `predict` and `kneighbors` search the gallery. "exact" compares a row
        with every reference. "approximate" searches a graph of neighbors, which is
        faster from about 100,000 references on and misses a few; it needs the package
        usearch, ``pip install siamese-sklearn[search]``. Also an object with the
        methods of `siamese_sklearn.search.Search`, or one with ``fit`` and
        ``kneighbors`` such as scikit-learn's ``NearestNeighbors``; it is copied. All
        but "exact" find references by the Euclidean distance of their embeddings, and
        at least 100 of them if another distance or a head scores them. Ignored by
        `decision_function`, `predict_proba` and `calibrate_threshold`, and for
        "two_channel".""",
        check=check_search,
    )


@dataclass(eq=False, repr=False)
class SharedParameters:
    """Parameters of all estimators. To add one, declare a field here and use it."""

    n_components: int | None = parameter(
        None,
        "int",
        """Dimension of the embedding. None means 32, and 32 more if a part is computed
        from the input, see `purpose`.""",
        check=or_none(partial(check_integer, low=1, also=" or None")),
        fixed=True,
    )
    _: KW_ONLY
    tower: TowerLike | tuple[TowerLike, TowerLike] = parameter(
        "auto",
        "str, tower spec, torch.nn.Module or callable",
        """The network. "auto" selects "mlp" for flat rows and "cnn" for images. The
        parameters of a spec, such as ``MLPTower(dropout=0.1)``, can be searched as
        ``tower__dropout``. A module maps (B, ...) to (B, n_components); it is
        deep-copied, so your instance is not trained. A callable is called as
        ``tower(input_shape, n_components)``, with the components that do not come from
        the input (see `purpose`), and returns a module. The built-in towers
        standardize their input (the MLP also clips it and adds a little noise,
        see `MLPTower`); your own module gets X as float32.""",
        fixed=True,
    )
    loss: LossLike = parameter(
        "triplet",
        "str, loss spec or torch.nn.Module",
        """A name in `siamese_sklearn.losses.LOSSES`; a spec such as
        ``TripletLoss(margin=0.2)``, whose parameters can be searched as
        ``loss__margin``; or a module with ``forward(embeddings, labels)``, which is
        deep-copied.""",
        fixed=True,
    )
    margin: float | Literal["soft"] | None = parameter(
        None,
        'float or "soft"',
        """Overrides the margin of `loss`; None keeps it. Ignored by losses without a
        margin.""",
        fixed=True,
    )
    distance: str | None = parameter(
        None,
        '{"euclidean", "sqeuclidean", "manhattan", "cosine"}',
        """Overrides the distance between embeddings that `loss` uses; None keeps it.
        Ignored by losses without a distance.""",
        fixed=True,
    )
    mining: str | None = parameter(
        None,
        "str",
        """Overrides how `loss` selects pairs or triplets from a batch; None keeps it.
        Ignored by losses without mining. All `Pairs` and `Triplets` passed to `fit` are
        used.""",
        fixed=True,
    )
    normalize: bool = parameter(
        True,
        "bool",
        """Scale embeddings to unit norm, so that Euclidean distances are between 0 and
        2 and margins are comparable. Embeddings with a single component are not
        scaled.""",
        check=check_boolean,
        fixed=True,
    )
    purpose: str = purpose_parameter("known_classes")
    max_epochs: int | None = parameter(
        None,
        "int",
        """Number of passes over the training data. None chooses it by their size: 40
        passes, or fewer, but at least one, if 40 take more than 5000 steps.""",
        check=or_none(partial(check_integer, low=1, also=" or None")),
    )
    batch_size: int = parameter(
        64,
        "int",
        """Rows (or pairs, or triplets) per step, at least 4. Rows are drawn in groups
        of up to 4 from the same class, or up to half a batch if that is less.""",
        check=_check_batch_size,
    )
    sampler: SamplerLike | None = parameter(
        None,
        "callable",
        """Makes the batches of rows. It is called as ``sampler(labels, batch_size)``
        with integer class labels. It returns an object like those in
        `siamese_sklearn.sampling`, with ``n_batches`` and ``epoch(rng)``, or any
        iterable of arrays of row numbers that has a length, such as a torch
        ``BatchSampler``. None uses `BalancedBatches`. Ignored for `Pairs` and
        `Triplets`, and in the short trainings of `purpose`.""",
        check=_check_sampler,
    )
    lr_schedule: str | Callable[[int, int], float] = parameter(
        "cosine",
        '{"constant", "cosine", "one_cycle"} or callable',
        """How the learning rate changes from step to step. "cosine" lets it fall to
        zero along half a cosine; "one_cycle" lets it rise first. A callable is called
        before each step as ``lr_schedule(step, n_steps)``, with steps counted from 0,
        and returns a factor for all learning rates. Ignored by `partial_fit`, and if
        `callbacks` contain a skorch ``LRScheduler``.""",
        check=_check_lr_schedule,
    )
    lr: float = parameter(
        1e-3,
        "float",
        "Learning rate.",
        check=partial(check_number, low=0, low_open=True),
    )
    optimizer: str | type[torch.optim.Optimizer] = parameter(
        "adamw",
        '{"adamw", "adam", "sgd"} or torch.optim.Optimizer class',
        """Set other optimizer parameters in `net_params`, for example
        ``{"optimizer__momentum": 0.9}``.""",
        fixed=True,
    )
    weight_decay: float = parameter(
        0.01,
        "float",
        "Weight decay. Ignored by optimizer classes that have no such parameter.",
        check=partial(check_number, low=0),
    )
    weight_averaging: float = parameter(
        0.99,
        "float",
        """Decay per step of an exponential moving average of the weights, which the
        fitted model uses; 0 disables it. 0.99 averages over about the last hundred
        steps, or over the last tenth of a short run. Must be below 1.""",
        check=partial(check_number, low=0, high=1, high_open=True),
    )
    augment: Callable[[Tensor], Tensor] | Literal["auto"] | None = parameter(
        "auto",
        '"auto", callable or None',
        """A callable takes a batch (B, ...) as a float32 tensor and returns a tensor of
        the same shape. It is called in training only, with torch's random generator
        seeded by `random_state`. "auto" applies
        `siamese_sklearn.augmentation.ImageAugmenter` if the rows are images for the
        built-in CNN: it rotates, scales, shears and shifts each image slightly. "auto"
        does nothing otherwise, or for `Pairs` and `Triplets`, or for rows with sides of
        more than 4 to 1 or fewer than 5 pixels, such as series (channels, time).""",
        check=_check_augment,
    )
    early_stopping: bool = parameter(
        False,
        "bool",
        """Stop training when a held-out score no longer improves, and restore the
        weights of the best epoch. An embedder is scored by MAP@R (for `Pairs`, the area
        under the ROC curve; for `Triplets`, the fraction whose positive is closer than
        their negative), a classifier by the area under the ROC curve of pairs.""",
        check=check_boolean,
    )
    validation_fraction: float = parameter(
        0.1,
        "float",
        "Fraction of the rows, or of the classes, to hold out.",
        check=partial(check_number, low=0, high=1, low_open=True, high_open=True),
    )
    validation_split: str = parameter(
        "rows",
        '{"rows", "classes"}',
        """"rows" holds out rows of every class. "classes" holds out whole classes,
        which training then misses, to measure on classes not seen in training; see also
        `purpose`. `Pairs` and `Triplets` are always held out by row.""",
        check=partial(check_option, options=("rows", "classes")),
    )
    n_iter_no_change: int = parameter(
        10,
        "int",
        "Epochs without improvement after which `early_stopping` stops training.",
        check=partial(check_integer, low=1),
    )
    callbacks: list[Any] | None = parameter(
        None,
        "list of skorch callbacks",
        """Additional callbacks. Each fit copies them, so that their own attributes are
        not shared; what they hold, such as a file or the run of a tracker, is. They are
        not called in the short trainings of `purpose`, and not if all weights are
        frozen. A callback that raises KeyboardInterrupt stops training, without an
        error. A change between calls that continue training takes effect.""",
        check=_check_callbacks,
    )
    net_params: dict[str, Any] | None = parameter(
        None,
        "dict",
        """Additional parameters of `skorch.NeuralNet`, passed on unchanged. They must
        not change while training continues.""",
    )
    warm_start: bool = parameter(
        False,
        "bool",
        """If True, `fit` continues from the last fit for another `max_epochs`, with the
        same tower, loss, optimizer and optimizer state. Parameters that define these
        must not change in between.""",
        check=check_boolean,
    )
    device: str = parameter(
        "auto",
        '{"auto", "cpu", "cuda", "cuda:1", "mps"}',
        '"auto" uses a GPU if one is available.',
        fixed=True,
    )
    n_threads: int | None = parameter(
        None,
        "int",
        """Number of threads that numerical libraries use during a call. None does not
        change it. If calls in several threads overlap, the first one sets the number
        for BLAS libraries.""",
        check=or_none(partial(check_integer, low=1, also=" or None")),
    )
    random_state: int | np.random.RandomState | None = parameter(
        None,
        "int, RandomState instance or None",
        """Seeds weights, batches, dropout and augmentation. With an int, repeated fits
        on the same data give the same result, bit for bit on the CPU. None draws the
        seed from NumPy's global random state; no other global random state is used or
        changed.""",
        check=_check_random_state,
    )
    verbose: int = parameter(
        0,
        "int",
        "1 shows a progress bar with the loss and the remaining time.",
        check=_check_verbose,
    )
