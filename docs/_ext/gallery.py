"""The gallery: its order, which of its scripts can run here, and what they run with."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from gallery_run import fetchers, missing_files, provided
from sklearn import datasets

# Scripts that are not run are searched for names that need this import.
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sphinx.util.logging import getLogger
from sphinx_gallery.sorting import FileNameSortKey

__all__ = ["REDUCED", "GalleryOrder", "provide", "scripts_to_run"]

REDUCED = os.environ.get("SIAMESE_SKLEARN_REDUCED") == "1"
BESIDE_CHECKOUT = Path(__file__).resolve().parents[3] / "shared" / "data"
FOLDER = Path(os.environ.get("SIAMESE_SKLEARN_DATA", BESIDE_CHECKOUT))

ORDER = [
    "plot_mnist_digits",
    "plot_dimension_reduction",
    "plot_face_verification",
    "plot_access_control",
    "plot_omniglot_one_shot",
    "plot_kiln_flames",
    "plot_record_linkage",
    "plot_cross_domain",
    "plot_patch_matching",
    "plot_binary_codes",
    "plot_model_selection",
    "plot_own_tower_and_loss",
]

# What scripts download: each fetcher is tried once, because there may be no network.
OMNIGLOT = "https://github.com/brendenlake/omniglot/raw/master/python"
DOWNLOADS = {
    "fetch_openml": {"name": "mnist_784", "version": 1, "as_frame": False},
    "fetch_olivetti_faces": {},
    "fetch_file": {"url": f"{OMNIGLOT}/images_background_small1.zip"},
}


class GalleryOrder(FileNameSortKey):
    """Scripts in the order of `ORDER`; those it does not name come last, by name."""

    def __call__(self, filename: str) -> tuple[int, str]:  # type: ignore[override]
        """Key to sort by."""
        stem = filename.removesuffix(".py")
        return (ORDER.index(stem) if stem in ORDER else len(ORDER), filename)


def scripts_to_run(folder: Path) -> str:
    """Pattern of the scripts whose data are available; others are only shown."""
    called = {script: fetchers(script) for script in sorted(folder.glob("plot_*.py"))}
    reasons = {name: _why_not(name) for name in set().union(*called.values())}
    without = []
    for script, names in called.items():
        reason = next((reasons[name] for name in names if reasons[name]), None)
        if reason:
            message = "%s is shown without being run: %s"
            getLogger(__name__).info(message, script.name, reason)
            without.append(script.stem)
    return rf"/(?!(?:{'|'.join(without)})\.py)plot_" if without else "/plot_"


def _why_not(fetcher: str) -> str | None:
    missing = missing_files(fetcher, FOLDER)
    if not missing:
        return None
    try:
        getattr(datasets, fetcher)(**DOWNLOADS[fetcher])
    except OSError as error:
        return f"{missing[0]} is not in {FOLDER}, and the download failed ({error})"
    return None


_provided = ExitStack()


def provide(gallery_conf: dict[str, Any], fname: str, when: str) -> None:
    """Provide data and the reduced form before a script, and undo that after it."""
    if when == "before":
        _provided.enter_context(provided(FOLDER, reduced=REDUCED))
    else:
        _provided.close()
