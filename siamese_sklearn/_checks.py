"""Checks of parameter values; errors say what was given and what is expected."""

from __future__ import annotations

import difflib
import math
import numbers
import os
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

_PACKAGE = str(Path(__file__).parent) + os.sep


def check_option(name: str, value: object, options: Iterable[str]) -> str:
    """Return `value` if it is one of `options`, else raise an error that lists them."""
    legal = list(options)
    if isinstance(value, str) and value in legal:
        return value
    hint = ""
    if isinstance(value, str):
        close = difflib.get_close_matches(value, legal, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
    wanted = ", ".join(map(repr, legal))
    raise ValueError(f"`{name}` must be one of {wanted}; got {value!r}.{hint}")


def check_number(
    name: str,
    value: Any,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    low_open: bool = False,
    high_open: bool = False,
    also: str = "",
) -> float:
    """Return `value` as a float if it is finite, real and in the interval, else raise.

    `also` is text for the error message that names what else the parameter accepts.
    """
    wanted = f"a finite number{_interval(low, high, low_open, high_open)}{also}"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(
            f"`{name}` must be {wanted}; got {value!r} of type {type(value).__name__}."
        )
    number = float(value)
    too_low = number <= low if low_open else number < low
    too_high = number >= high if high_open else number > high
    if not math.isfinite(number) or too_low or too_high:
        raise ValueError(f"`{name}` must be {wanted}; got {value!r}.")
    return number


def check_integer(name: str, value: Any, *, low: int, also: str = "") -> int:
    """Return `value` as an int if it is an integer of at least `low`, else raise."""
    wanted = f"an integer of at least {low}{also}"
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(
            f"`{name}` must be {wanted}; got {value!r} of type {type(value).__name__}."
        )
    if value < low:
        raise ValueError(f"`{name}` must be {wanted}; got {value!r}.")
    return int(value)


def check_boolean(name: str, value: Any) -> bool:
    """Return `value` if it is True or False, else raise."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise TypeError(
        f"`{name}` must be True or False; got {value!r} of type {type(value).__name__}."
    )


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line of user code that called this package, at any call depth."""
    frame: FrameType | None = sys._getframe()
    depth = outermost = 1
    while frame is not None:
        if frame.f_code.co_filename.startswith(_PACKAGE):
            outermost = depth
        frame, depth = frame.f_back, depth + 1
    warnings.warn(message, category, stacklevel=outermost + 1)


def _interval(low: float, high: float, low_open: bool, high_open: bool) -> str:
    parts = []
    if low > -math.inf:
        parts.append(f"above {low:g}" if low_open else f"of at least {low:g}")
    if high < math.inf:
        parts.append(f"below {high:g}" if high_open else f"of at most {high:g}")
    return " " + " and ".join(parts) if parts else ""
