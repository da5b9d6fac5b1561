"""The parameters that all estimators have, each declared, checked and documented once."""

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
from siamese_sklearn._validation import or_none, parameter
from siamese_sklearn.losses._resolve import LossLike
from siamese_sklearn.sampling import SamplerLike
from siamese_sklearn.towers._resolve import TowerLike

__all__ = ["SharedParameters"]

_SMALLEST_BATCH = 4  # two classes of two rows: an anchor, its positive, and a negative


def _check_batch_size(name: str, value: Any) -> None:
    check_integer(name, value, low=1)
    if value < _SMALLEST_BATCH:
        raise ValueError(
            f"`{name}` must be at least {_SMALLEST_BATCH}, so that a batch holds a "
            f"positive pair and a negative one; got {value}."
        )


def _check_augment(name: str, value: Any) -> None:
    is_auto = isinstance(value, str) and value == "auto"
    if value is not None and not is_auto and not callable(value):
        came = repr(value) if isinstance(value, str) else type(value).__name__
        raise TypeError(
            f'`{name}` must be "auto", None or a callable on a batch tensor; got {came}.'
        )


def _check_sampler(name: str, value: Any) -> None:
    if value is not None and not callable(value):
        raise TypeError(
            f"`{name}` must be None or a callable (labels, batch_size) -> batches, such as "
            f"siamese_sklearn.sampling.BalancedBatches; got {type(value).__name__}."
        )


def _check_callbacks(name: str, value: Any) -> None:
    if value is not None and not isinstance(value, list | tuple):
        raise TypeError(
            f"`{name}` must be None or a list of skorch callbacks; got {type(value).__name__}."
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


@dataclass(eq=False, repr=False)
class SharedParameters:
    """Parameters of all estimators; a new one is a field here, and its use."""

    n_components: int = parameter(
        32,
        "int",
        "Width of the embedding.",
        check=partial(check_integer, low=1),
        fixed=True,
    )
    _: KW_ONLY
    tower: TowerLike | tuple[TowerLike, TowerLike] = parameter(
        "auto",
        '{"auto", "mlp", "cnn"}, MLPTower, CNNTower, torch.nn.Module or callable',
        """The network. "auto" takes an MLP for flat rows and a CNN for images. A spec
        (``MLPTower(dropout=0.1)``) is searched as ``tower__dropout``. A module maps
        (B, ...) to (B, n_components); it is deep-copied, never trained in place. A
        callable is called as ``tower(input_shape, n_components)`` and returns a module.
        The built-in towers standardize their input (and the MLP clips it and adds a little
        noise, see `MLPTower`); a module of your own sees X as it is.""",
        fixed=True,
    )
    loss: LossLike = parameter(
        "triplet",
        "str, loss spec or torch.nn.Module",
        """A name in `siamese_sklearn.losses.LOSSES`, a spec (``TripletLoss(margin=0.2)``,
        searched as ``loss__margin``), or a module with ``forward(embeddings, labels)``,
        which is deep-copied.""",
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
        """Overrides the distance between embeddings that `loss` shapes; None keeps it.
        Ignored by losses that know no distance.""",
        fixed=True,
    )
    mining: str | None = parameter(
        None,
        "str",
        """Overrides which pairs or triplets of a batch `loss` takes; None keeps it. Ignored
        by losses without mining. Given `Pairs` and `Triplets` are all taken as they
        are.""",
        fixed=True,
    )
    normalize: bool = parameter(
        True,
        "bool",
        """Scale embeddings to unit norm, so that distances lie between 0 and 2 and margins
        mean the same everywhere. A single component is left as it is.""",
        check=check_boolean,
        fixed=True,
    )
    max_epochs: int = parameter(
        40,
        "int",
        "Passes over the data.",
        check=partial(check_integer, low=1),
    )
    batch_size: int = parameter(
        64,
        "int",
        """Rows (or pairs, or triplets) per step, at least 4. Rows come in groups of 4 of
        one class, or of half a batch if that is less.""",
        check=_check_batch_size,
    )
    sampler: SamplerLike | None = parameter(
        None,
        "callable",
        """Makes the batches of rows. It is called as ``sampler(labels, batch_size)``, with
        the classes as integers, and returns batches like those of
        `siamese_sklearn.sampling` (``n_batches`` and ``epoch(rng)``), or any iterable of
        arrays of row numbers that has a length, such as a torch ``BatchSampler``. None is
        `BalancedBatches`. Ignored for given `Pairs` and `Triplets`.""",
        check=_check_sampler,
    )
    lr: float = parameter(
        5e-4,
        "float",
        "Learning rate.",
        check=partial(check_number, low=0, low_open=True),
    )
    optimizer: str | type[torch.optim.Optimizer] = parameter(
        "adamw",
        '{"adamw", "adam", "sgd"} or torch.optim.Optimizer class',
        """Its further parameters belong into `net_params`, for instance
        ``{"optimizer__momentum": 0.9}``.""",
        fixed=True,
    )
    weight_decay: float = parameter(
        0.01,
        "float",
        "Ignored by an optimizer class that has none.",
        check=partial(check_number, low=0),
    )
    weight_averaging: float = parameter(
        0.99,
        "float",
        """Decay per step of an exponential moving average of the weights, which the fitted
        model uses; 0 disables it. 0.99 averages over about the last hundred steps, or the
        last tenth of a short training. Below 1.""",
        check=partial(check_number, low=0, high=1, high_open=True),
    )
    augment: Callable[[Tensor], Tensor] | Literal["auto"] | None = parameter(
        "auto",
        '"auto", callable or None',
        """A callable takes a batch (B, ...) as a float32 tensor and returns one of the same
        shape. It is called in training only, with torch's generator seeded by
        `random_state`. "auto" is an `siamese_sklearn.augmentation.ImageAugmenter`, which
        rotates, scales, shears and shifts each image a little, where rows are images for
        the built-in CNN, and nothing otherwise or for given `Pairs` and `Triplets`.""",
        check=_check_augment,
    )
    early_stopping: bool = parameter(
        False,
        "bool",
        """Hold out part of the data, watch how well the embedding does on it, stop when
        that no longer improves, and restore the weights of the best epoch. An embedder
        watches retrieval (MAP@R; for `Pairs` the area under the ROC curve, for `Triplets`
        the share in order), a classifier the area under the ROC curve of pairs.""",
        check=check_boolean,
    )
    validation_fraction: float = parameter(
        0.1,
        "float",
        "Share of the rows, or of the classes, that is held out.",
        check=partial(check_number, low=0, high=1, low_open=True, high_open=True),
    )
    validation_split: str = parameter(
        "rows",
        '{"rows", "classes"}',
        """Hold out rows of every class, or whole classes, for a model that has to work on
        classes it has not seen. `Pairs` and `Triplets` are always held out by rows.""",
        check=partial(check_option, options=("rows", "classes")),
    )
    n_iter_no_change: int = parameter(
        10,
        "int",
        "Epochs without a new best after which `early_stopping` stops.",
        check=partial(check_integer, low=1),
    )
    callbacks: list[Any] | None = parameter(
        None,
        "list of skorch callbacks",
        "Deep-copied in `fit`.",
        check=_check_callbacks,
    )
    net_params: dict[str, Any] | None = parameter(
        None,
        "dict",
        "Further parameters of `skorch.NeuralNet`, passed on as they are.",
    )
    warm_start: bool = parameter(
        False,
        "bool",
        """Let `fit` continue from the last fit for another `max_epochs`, with its tower,
        loss and optimizer (and the optimizer's state). Parameters that shape these must
        not change in between; `callbacks` and `net_params` are those of the first fit.""",
        check=check_boolean,
    )
    device: str = parameter(
        "auto",
        '{"auto", "cpu", "cuda", "cuda:1", "mps"}',
        '"auto" takes a GPU where there is one.',
        fixed=True,
    )
    n_threads: int | None = parameter(
        None,
        "int",
        """Threads that numerical libraries use during the call; None leaves them as they
        are.""",
        check=or_none(partial(check_integer, low=1, also=" or None")),
    )
    random_state: int | np.random.RandomState | None = parameter(
        None,
        "int, RandomState instance or None",
        """Seeds weights, batches, dropout and augmentation. With an int, every fit on the
        same data is the same, bit for bit on the CPU. None draws the seed from NumPy's
        global generator; apart from that, no global generator is touched.""",
        check=_check_random_state,
    )
    verbose: int = parameter(
        0,
        "int",
        "1 shows a progress bar with the loss and the time left.",
        check=_check_verbose,
    )
