"""Parameters of estimators: one declaration holds default, check and documentation."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import Field, field, fields
from numbers import Real
from typing import Any, TypeAlias, TypeVar

from sklearn.base import BaseEstimator

__all__ = [
    "check_parameters",
    "check_unchanged",
    "documented",
    "fixed_parameters",
    "or_none",
    "parameter",
]

Check: TypeAlias = Callable[[str, Any], Any]
Class = TypeVar("Class", bound=type)


def parameter(
    default: Any,
    kind: str,
    text: str,
    *,
    check: Check | None = None,
    fixed: bool = False,
) -> Any:
    """Declare a parameter as a field of a dataclass.

    Parameters
    ----------
    default : object
    kind : str
        Accepted values, as numpydoc writes them after the name.
    text : str
        What the parameter does.
    check : callable, default=None
        Called as ``check(name, value)``; raises a ValueError or TypeError that names
        the parameter. None if the value is checked where it is used.
    fixed : bool, default=False
        Whether the network is built with it, so that it cannot change while training
        continues.

    Returns
    -------
    dataclasses.Field
    """
    metadata = {"kind": kind, "text": text, "check": check, "fixed": fixed}
    return field(default=default, metadata=metadata)


def or_none(check: Check) -> Check:
    """Return a check that also accepts None."""

    def check_or_none(name: str, value: Any) -> Any:
        return None if value is None else check(name, value)

    return check_or_none


def documented(cls: Class) -> Class:
    """Add the declared parameters of a dataclass to its docstring."""
    if cls.__doc__ is not None:  # it is None under python -OO
        text = inspect.cleandoc(cls.__doc__)  # indented or not: Python 3.13 strips it
        before, attributes, after = text.partition("Attributes\n----------\n")
        entries = "".join(map(_entry, _declared(cls)))
        parameters = f"Parameters\n----------\n{entries}"
        cls.__doc__ = f"{before.rstrip()}\n\n{parameters}\n{attributes}{after}".rstrip()
    return cls


def check_parameters(estimator: Any) -> None:
    """Raise an error that names the first parameter with an invalid value.

    Parameters without a check (`tower`, `loss`, `device`, ...) are checked where they
    are used, which is also before training starts.
    """
    for each in _declared(type(estimator)):
        check = each.metadata["check"]
        if check is not None:
            check(each.name, getattr(estimator, each.name))


def fixed_parameters(estimator: Any) -> dict[str, str]:
    """Record the parameters a network is built with as strings, to compare them later.

    Modules and callables are omitted, because they are not compared.
    """
    names = (each.name for each in _declared(type(estimator)) if each.metadata["fixed"])
    values = {name: getattr(estimator, name) for name in names}
    return {
        name: repr(value)
        for name, value in values.items()
        if value is None or isinstance(value, str | Real | BaseEstimator)
    }


def check_unchanged(estimator: Any, before: dict[str, str]) -> None:
    """Raise a ValueError if fixed parameters have changed since the network was built.

    Parameters
    ----------
    estimator : estimator
    before : dict of str to str
        What `fixed_parameters` recorded when the network was built.
    """
    now = fixed_parameters(estimator)
    for name in (each.name for each in _declared(type(estimator))):
        if now.get(name) != before.get(name):
            raise ValueError(
                f"`{name}` is {now.get(name, 'a module')}, but the model to continue "
                f"was built with {before.get(name, 'a module')}. Set it back, or fit a "
                "new model (warm_start=False)."
            )


def _declared(cls: type) -> Iterator[Field[Any]]:
    return (each for each in fields(cls) if "kind" in each.metadata)


def _entry(declared: Field[Any]) -> str:
    default = declared.default
    quoted = f'"{default}"' if isinstance(default, str) else repr(default)
    head = f"{declared.name} : {declared.metadata['kind']}, default={quoted}"
    text = inspect.cleandoc(declared.metadata["text"])
    return f"{head}\n{textwrap.indent(text, ' ' * 4)}\n"
