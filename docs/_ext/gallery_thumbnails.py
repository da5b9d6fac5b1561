"""Thumbnails that were drawn for their size, in place of figures that were shrunk.

`thumbnails.py` draws them. A script without one keeps what sphinx-gallery made.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

_AFTER_GALLERY = 900  # which connects with the default priority of 500


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.connect("builder-inited", _replace, priority=_AFTER_GALLERY)
    return {"version": "1", "parallel_read_safe": True}


def _replace(app: Sphinx) -> None:
    made = Path(app.srcdir, "auto_examples", "images", "thumb")
    for drawn in Path(app.srcdir, "_static", "thumbnails").glob("*.png"):
        shutil.copy(drawn, made / f"sphx_glr_{drawn.stem}_thumb.png")
