"""The gallery: its order, and which of its scripts can run here."""

from __future__ import annotations

import re
from pathlib import Path

import gallery_data

# Scripts that are not run are searched for names that need this import.
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sphinx.util.logging import getLogger
from sphinx_gallery.sorting import FileNameSortKey

__all__ = ["GalleryOrder", "scripts_to_run"]

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

_LOADERS = {
    "mnist": gallery_data.mnist,
    "faces": gallery_data.faces,
    "omniglot": lambda: gallery_data.omniglot("small1"),
}


class GalleryOrder(FileNameSortKey):
    """Scripts in the order of `ORDER`; those it does not name come last, by name."""

    def __call__(self, filename: str) -> tuple[int, str]:  # type: ignore[override]
        """Key to sort by."""
        stem = filename.removesuffix(".py")
        return (ORDER.index(stem) if stem in ORDER else len(ORDER), filename)


def scripts_to_run(folder: Path) -> str:
    """Pattern of the scripts whose data are here or can be fetched; the others are shown, but not run."""
    scripts = {script: _loaded_by(script) for script in sorted(folder.glob("plot_*.py"))}
    reasons = {name: _why_not(name) for name in set().union(*scripts.values())}
    without = []
    for script, names in scripts.items():
        reason = next((reasons[name] for name in names if reasons[name]), None)
        if reason:
            getLogger(__name__).info("%s is shown without being run. %s", script.name, reason)
            without.append(script.stem)
    return rf"/(?!(?:{'|'.join(without)})\.py)plot_" if without else "/plot_"


def _loaded_by(script: Path) -> list[str]:
    """Which data a script loads."""
    imported = re.search(r"^from gallery_data import (.*)$", script.read_text(), flags=re.MULTILINE)
    return [name for name in _LOADERS if imported and name in imported[1].split(", ")]


def _why_not(name: str) -> str | None:
    try:
        _LOADERS[name]()
    except OSError as error:  # neither the file, nor a network to fetch it from
        return f"Its data cannot be had: {error}"
    return None
