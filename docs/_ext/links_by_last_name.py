"""Links from docstrings to objects named without module, such as `TripletLoss`."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.domains.python import PythonDomain
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.connect("missing-reference", _resolve)
    return {"version": "1", "parallel_read_safe": True}


def _resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: nodes.Element
) -> nodes.reference | None:
    """Link to the object whose name ends in the target, if there is exactly one."""
    if node.get("refdomain") != "py" or not node["reftarget"]:
        return None
    domain = env.get_domain("py")
    assert isinstance(domain, PythonDomain)
    # siamese_sklearn.TripletLoss has its page as siamese_sklearn.losses.TripletLoss
    ending = "." + node["reftarget"].removeprefix("siamese_sklearn.")
    found = [
        (name, entry)
        for name, entry in domain.objects.items()
        if name.endswith(ending)
        and entry.objtype in ("class", "function")
        and not entry.aliased
    ]
    if len(found) != 1:
        return None
    name, entry = found[0]
    target = entry.docname, entry.node_id
    return make_refnode(app.builder, node["refdoc"], *target, contnode, name)
