"""Checks of the parameters that both estimators have, before any work starts."""

from __future__ import annotations

from numbers import Real
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from siamese_sklearn._checks import check_boolean, check_integer, check_number, check_option

__all__ = ["SPLITS", "check_parameters", "check_unchanged", "fixed_parameters"]

# What a network is built with, and cannot be changed under it. Modules and callables are not compared.
_FIXED = (
    "n_components",
    "architecture",
    "tower",
    "loss",
    "head",
    "margin",
    "distance",
    "mining",
    "normalize",
    "optimizer",
    "device",
)

SPLITS = ("rows", "classes")

_SMALLEST_BATCH = 4  # two classes of two rows: an anchor, its positive, and a negative


def check_parameters(estimator: Any) -> None:
    """Raise a ValueError or TypeError that names the first parameter with a value that cannot be used.

    `tower`, `loss` (with `margin`, `distance`, `mining`), `optimizer`, `device` and `net_params` are checked
    where they are built, before training starts as well.
    """
    check_integer("n_components", estimator.n_components, low=1)
    check_integer("max_epochs", estimator.max_epochs, low=1)
    check_number("lr", estimator.lr, low=0, low_open=True)
    check_number("weight_decay", estimator.weight_decay, low=0)
    check_number("weight_averaging", estimator.weight_averaging, low=0, high=1, high_open=True)
    check_boolean("early_stopping", estimator.early_stopping)
    check_number(
        "validation_fraction", estimator.validation_fraction, low=0, high=1, low_open=True, high_open=True
    )
    check_option("validation_split", estimator.validation_split, SPLITS)
    check_integer("n_iter_no_change", estimator.n_iter_no_change, low=1)
    check_boolean("normalize", estimator.normalize)
    check_boolean("warm_start", estimator.warm_start)
    if not isinstance(estimator.verbose, bool):
        check_integer("verbose", estimator.verbose, low=0, also=", or True or False")
    if estimator.n_threads is not None:
        check_integer("n_threads", estimator.n_threads, low=1, also=" or None")
    _check_batch_size(estimator.batch_size)
    _check_callables(estimator)
    _check_random_state(estimator.random_state)


def fixed_parameters(estimator: Any) -> dict[str, str]:
    """Take down the parameters that a network is built with, as texts that can be compared later."""
    values = {name: getattr(estimator, name) for name in _FIXED if hasattr(estimator, name)}
    return {
        name: repr(value)
        for name, value in values.items()
        if value is None or isinstance(value, str | Real | BaseEstimator)
    }


def check_unchanged(estimator: Any, before: dict[str, str]) -> None:
    """Raise a ValueError if training is to go on with a network that was built with other parameters.

    Parameters
    ----------
    estimator : estimator
    before : dict of str to str
        What `fixed_parameters` took down when the network was built.
    """
    now = fixed_parameters(estimator)
    for name in _FIXED:
        if now.get(name) != before.get(name):
            raise ValueError(
                f"`{name}` is {now.get(name, 'a module')}, but the model to go on with was built with "
                f"{before.get(name, 'a module')}. Set it back, or fit a new model (warm_start=False)."
            )


def _check_batch_size(batch_size: Any) -> None:
    check_integer("batch_size", batch_size, low=1)
    if batch_size < _SMALLEST_BATCH:
        raise ValueError(
            f"`batch_size` must be at least {_SMALLEST_BATCH}, so that a batch holds a positive pair and a "
            f"negative one; got {batch_size}."
        )


def _check_callables(estimator: Any) -> None:
    augment = estimator.augment
    is_auto = isinstance(augment, str) and augment == "auto"
    if augment is not None and not is_auto and not callable(augment):
        came = repr(augment) if isinstance(augment, str) else type(augment).__name__
        raise TypeError(f'`augment` must be "auto", None or a callable on a batch tensor; got {came}.')
    callbacks = estimator.callbacks
    if callbacks is not None and not isinstance(callbacks, list | tuple):
        raise TypeError(
            f"`callbacks` must be None or a list of skorch callbacks; got {type(callbacks).__name__}."
        )


def _check_random_state(random_state: Any) -> None:
    try:
        check_random_state(random_state)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"`random_state` must be an integer from 0 to 2**32 - 1, a numpy.random.RandomState or None; "
            f"got {random_state!r}."
        ) from error
