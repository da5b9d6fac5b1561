"""For the templates of the reference: which methods of a class this package defines."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from types import ModuleType
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config

import siamese_sklearn


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.connect("config-inited", _add_to_templates)
    return {"version": "1", "parallel_read_safe": True}


def _add_to_templates(app: Sphinx, config: Config) -> None:
    config.autosummary_context["own_methods"] = {
        f"{module.__name__}.{name}": _own_methods(value)
        for module in public_modules()
        for name, value in vars(module).items()
        if inspect.isclass(value)
    }


def public_modules() -> list[ModuleType]:
    """Return the package and its public modules."""
    names = [info.name for info in pkgutil.iter_modules(siamese_sklearn.__path__)]
    public = [f"siamese_sklearn.{name}" for name in names if not name.startswith("_")]
    return [siamese_sklearn, *map(importlib.import_module, public)]


def _own_methods(of: type) -> list[str]:
    """Public methods that this package defines, those of its bases first."""
    names = [
        name
        for base in reversed(of.__mro__)
        if base.__module__.startswith("siamese_sklearn")
        for name, value in vars(base).items()
        if (name == "__call__" or not name.startswith("_")) and _is_method(value)
    ]
    return list(dict.fromkeys(names))


def _is_method(value: object) -> bool:
    return callable(value) or isinstance(value, classmethod | staticmethod)
