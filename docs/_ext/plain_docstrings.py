"""Docstrings as plain text: a bar, a star or a final underscore outside of backticks stands for itself.

So docstrings write |u - v|, (B, *row_shape) and (n_features_in_,) as a terminal shows them, and not with the
backslashes that reStructuredText wants there.
"""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx

_CODE = re.compile(r"(``.*?``|`[^`]*`)")
_BEFORE_NUMPYDOC = 100  # which connects with the default priority of 500


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.connect("autodoc-process-docstring", _escape, priority=_BEFORE_NUMPYDOC)
    return {"version": "1", "parallel_read_safe": True}


def _escape(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    end = lines.index("Examples") if "Examples" in lines else len(lines)
    lines[:end] = [_escaped(line) for line in lines[:end]]


def _escaped(line: str) -> str:
    heading, colon, kind = line.partition(" : ")
    if colon and re.fullmatch(r"[\w*, ]+", heading):  # numpydoc itself escapes the names of parameters
        return heading + colon + _outside_of_code(kind)
    return line if line.startswith("*") else _outside_of_code(line)


def _outside_of_code(text: str) -> str:
    parts = _CODE.split(text)
    parts[::2] = [re.sub(r"(?<!\\)(\||\*(?=\w)|(?<=\w)_(?!\w))", r"\\\1", part) for part in parts[::2]]
    return "".join(parts)
