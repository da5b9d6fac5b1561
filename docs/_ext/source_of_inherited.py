"""[source] links of inherited methods: sphinx.ext.viewcode looks in the class only."""

from __future__ import annotations

from importlib import import_module
from operator import attrgetter
from typing import Any

from docutils import nodes
from sphinx.addnodes import desc_signature
from sphinx.application import Sphinx

_BEFORE_VIEWCODE = 400  # which connects with the default priority of 500


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.connect("doctree-read", _name_where_defined, priority=_BEFORE_VIEWCODE)
    return {"version": "1", "parallel_read_safe": True}


def _name_where_defined(app: Sphinx, doctree: nodes.document) -> None:
    for signature in doctree.findall(desc_signature):
        module, name = signature.get("module") or "", signature.get("fullname", "")
        if module.startswith("siamese_sklearn") and "." in name:
            method = attrgetter(name)(import_module(module))
            signature["module"] = method.__module__
            signature["fullname"] = method.__qualname__
