"""Draw the thumbnails of the gallery, each from what its script computes.

A figure of a page, shrunk to a thumbnail, cannot be read: these are drawn for their
size. They are part of the repository, so that a page has one also where its script is
not run. Each script runs here until it has computed what its drawing shows, which takes
about half an hour for all.

The faces are those of AT&T Laboratories Cambridge, the characters those of Omniglot
(Lake et al. 2015), the patches those of the photographs that come with scikit-learn.

Run: python docs/thumbnails.py [names such as plot_mnist_digits]
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

DOCS = Path(__file__).resolve().parent
FOLDER = DOCS / "_static" / "thumbnails"
EXAMPLES = DOCS.parent / "examples"
STYLE = {
    "figure.figsize": (4, 2.8),  # inches, of 100 pixels, as sphinx-gallery's thumbnails
    "figure.dpi": 100,
    "figure.constrained_layout.use": True,
    "font.size": 14,
}
RIGHT, WRONG = "tab:green", "tab:red"

Array = np.ndarray[Any, Any]


def plot_mnist_digits(planar_ten: Any, X_test: Array, y_test: Array) -> None:
    """Draw the map of all ten digits."""
    _draw_map(plt.subplots()[1], planar_ten.transform(X_test[:2000]), y_test[:2000])


def plot_dimension_reduction(
    planar: Any,
    model: Any,
    X_test: Array,
    y_test: Array,
) -> None:
    """Two maps of digits; `model` is the pipeline of the last one."""
    maps = {"PCA": planar["PCA"], "Siamese": model[:-1]}
    for ax, (name, fitted) in zip(plt.subplots(1, 2)[1], maps.items(), strict=True):
        _draw_map(ax, fitted.transform(X_test), y_test, size=4)
        ax.set_title(name)


def plot_face_verification(faces: Any) -> None:
    """Two photographs of one person."""
    left, between, right = plt.subplots(1, 3, width_ratios=[3, 1, 3])[1]
    _draw_image(left, faces.images[70])
    between.axis("off")
    between.text(0.5, 0.5, "=?", size=34, weight="bold", ha="center", va="center")
    _draw_image(right, faces.images[76])


def plot_access_control(
    faces: Any,
    names: Array,
    probes: Array,
    answer: Array,
    visitors: Array,
    answer_to_strangers: Array,
) -> None:
    """Above people who are let in, below strangers who are turned away."""
    let_in = probes[answer == names[probes]]
    turned_away = visitors[answer_to_strangers == "stranger"]
    axes = plt.subplots(2, 4)[1]
    for row, rows, color in ((0, let_in, RIGHT), (1, turned_away, WRONG)):
        for ax, face in zip(axes[row], rows[:: len(rows) // 4], strict=False):
            _draw_image(ax, faces.images[face], color)


def plot_omniglot_one_shot(
    alphabets: Any, draw_run: Callable[..., Any], answers: Callable[..., Array]
) -> None:
    """Above drawings of unseen characters, below the references chosen for them."""
    run = draw_run(alphabets["Katakana"], np.random.default_rng(0))
    references, queries = run
    answer = answers(*run)
    axes = plt.subplots(2, 5)[1]
    for column, (above, below) in enumerate(axes.T):
        _draw_image(above, -queries[column])
        color = RIGHT if answer[column] == column else WRONG
        _draw_image(below, -references[answer[column]], color)


def plot_kiln_flames(test_images: Array, test_state: Array, STATES: Any) -> None:
    """Two images of each state."""
    axes = plt.subplots(2, 3)[1]
    for k, column in enumerate(axes.T):
        column[0].set_title(STATES[k], size=12)
        for ax, image in zip(column, test_images[test_state == k], strict=False):
            _draw_image(ax, image)


def plot_record_linkage(same_test: Array, scored: Any) -> None:
    """Scores of pairs of records, on a logarithmic axis."""
    ax = plt.subplots()[1]
    score = scored["network"]
    bins = np.linspace(score.min(), score.max(), 40)
    for text, color, same in (("different", "C1", 0), ("same", "C0", 1)):
        chosen = score[same_test == same]
        ax.hist(chosen, bins, color=color, alpha=0.6)
        place = (np.median(chosen), 1.03)
        ax.annotate(text, place, xycoords=("data", "axes fraction"), ha="center")
    ax.axvline(0, color="black", linestyle="--")
    ax.set(yscale="log", xticks=[])
    ax.tick_params(which="both", left=False, labelleft=False)


def plot_cross_domain(large: Array, small_test: Array, embedded: Any) -> None:
    """Digits of one kind, and the nearest ones of the other kind."""
    axes = plt.subplots(2, 5, width_ratios=[1.3, 1, 1, 1, 1])[1]
    distances = ((embedded.left[:2, None] - embedded.right) ** 2).sum(axis=2)
    for row, image, found in zip(axes, large, distances.argsort(axis=1), strict=False):
        _draw_image(row[0], -image.astype(float), "black")
        for ax, neighbor in zip(row[1:], found, strict=False):
            _draw_image(ax, -small_test[neighbor])


def plot_patch_matching(pairs_test: Any, same_test: Array) -> None:
    """Two patches of one place, twice, and two patches of different places, twice."""
    axes = plt.subplots(2, 4)[1]
    chosen = [np.flatnonzero(same_test == same)[n] for same in (1, 0) for n in (0, 1)]
    for column, row in zip(axes.T, chosen, strict=True):
        for ax, side in zip(column, pairs_test.sides, strict=True):
            _draw_image(ax, side[row], RIGHT if same_test[row] else WRONG)


def plot_binary_codes(X_train: Array, y_train: Array, bits: Array) -> None:
    """Two threes and two sevens, and their codes."""
    axes = plt.subplots(4, 2, width_ratios=[1, 5])[1]
    plt.gcf().get_layout_engine().set(h_pad=0.1)
    rows = [np.flatnonzero(y_train == digit)[n] for digit in (3, 7) for n in (0, 1)]
    for (image, code), row in zip(axes, rows, strict=True):
        _draw_image(image, -X_train[row].reshape(28, 28))
        _draw_image(code, 1 - bits[row].reshape(4, 16))
        code.set_aspect("auto")


def plot_model_selection(rungs: Any, colors: Any) -> None:
    """Accuracy of the candidates that successive halving keeps."""
    ax = plt.subplots()[1]
    for (loss, _), points in rungs.items():
        ax.plot(*zip(*points, strict=True), "o-", color=colors[loss], linewidth=2)
    ax.set(xscale="log", xlabel="epochs", ylabel="accuracy")
    ax.tick_params(which="both", bottom=False, left=False, labelleft=False)
    ax.tick_params(which="both", labelbottom=False)


def plot_own_tower_and_loss(own: Any) -> None:
    """Draw the loss by epoch."""
    ax = plt.subplots()[1]
    ax.plot(own.history_[:, "epoch"], own.history_[:, "train_loss"], linewidth=3)
    ax.set(xlabel="epoch", ylabel="your own loss", xticks=[], yticks=[])


def _draw_map(ax: Axes, points: Array, labels: Array, size: float = 6) -> None:
    ax.scatter(*points.T, c=labels, s=size, cmap="tab10", linewidths=0)
    for label in np.unique(labels):
        place = np.median(points[labels == label], axis=0)
        text = ax.text(*place, str(label), ha="center", va="center", weight="bold")
        text.set_bbox({"boxstyle": "circle,pad=0.1", "fc": "#ffffffb0", "ec": "none"})
    ax.set(xticks=[], yticks=[])


def _draw_image(ax: Axes, image: Array, frame: str | None = None) -> None:
    ax.imshow(image, cmap="gray")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set(visible=frame is not None, edgecolor=frame, linewidth=3)


DRAWINGS = [
    plot_mnist_digits,
    plot_dimension_reduction,
    plot_face_verification,
    plot_access_control,
    plot_omniglot_one_shot,
    plot_kiln_flames,
    plot_record_linkage,
    plot_cross_domain,
    plot_patch_matching,
    plot_binary_codes,
    plot_model_selection,
    plot_own_tower_and_loss,
]


def run(script: Path, names: set[str]) -> dict[str, Any]:
    """Run the blocks of a script until it has all `names`, and return their values."""
    module = ModuleType(script.stem)
    sys.modules[script.stem] = module  # where pickle looks for the classes of a script
    for block in script.read_text().split("\n# %%\n"):
        exec(compile(block, script, "exec"), vars(module))
        if names <= vars(module).keys():
            break
    return {name: vars(module)[name] for name in names}


def main() -> None:
    """Run the scripts named, or all, and draw their thumbnails."""
    sys.path.insert(0, str(DOCS / "_ext"))
    from gallery import FOLDER as DATA
    from gallery_run import provided

    mpl.use("Agg")
    FOLDER.mkdir(exist_ok=True)
    chosen = sys.argv[1:]
    for draw in DRAWINGS:
        name = draw.__name__
        if chosen and name not in chosen:
            continue
        with provided(DATA, reduced=False):
            names = set(inspect.signature(draw).parameters)
            shown = run(EXAMPLES / f"{name}.py", names)
        plt.close("all")
        with mpl.rc_context(STYLE):
            draw(**shown)
            plt.savefig(FOLDER / f"{name}.png")


if __name__ == "__main__":
    main()
