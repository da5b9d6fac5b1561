"""Docstrings as plain text: outside of backticks, |, * and a final _ are themselves.

So docstrings write |u - v|, (B, *row_shape) and (n_features_in_,) as a terminal shows
them, without the backslashes that reStructuredText wants there.
"""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx

_CODE = re.compile(r"(``.*?``|`[^`]*`)")
_MARKUP = re.compile(r"(?<!\\)(\||\*(?=\w)|(?<=\w)_(?!\w))")
_BEFORE_NUMPYDOC = 100  # which connects with the default priority of 500


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.connect("autodoc-process-docstring", _escape, priority=_BEFORE_NUMPYDOC)
    return {"version": "1", "parallel_read_safe": True}


def _escape(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    end = lines.index("Examples") if "Examples" in lines else len(lines)
    lines[:end] = [_escaped(line) for line in lines[:end]]


def _escaped(line: str) -> str:
    heading, colon, kind = line.partition(" : ")
    if colon and re.fullmatch(r"[\w*, ]+", heading):  # numpydoc escapes these names
        return heading + colon + _outside_of_code(kind)
    return line if line.startswith("*") else _outside_of_code(line)


def _outside_of_code(text: str) -> str:
    parts = _CODE.split(text)
    parts[::2] = [_MARKUP.sub(r"\\\1", part) for part in parts[::2]]
    return "".join(parts)
