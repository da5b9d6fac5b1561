"""What the displays share: colors, lazy matplotlib, axes to draw on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "BLUE",
    "GREEN",
    "ORANGE",
    "VERMILLION",
    "axes_to_draw_on",
    "check_matplotlib",
]

# Okabe & Ito 2008, "Color Universal Design": distinct in common kinds of color
# blindness
BLUE, GREEN, ORANGE, VERMILLION = "#0072B2", "#009E73", "#E69F00", "#D55E00"


def check_matplotlib(display: type) -> None:
    """Raise an ImportError if matplotlib is missing, before anything is computed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{display.__name__} needs matplotlib, which is not installed. Install it "
            "with `pip install matplotlib`, or together with this package: "
            "`pip install siamese-sklearn[plot]`."
        ) from error


def axes_to_draw_on(
    display: type, ax: Axes | None, figsize: tuple[float, float] | None = None
) -> Axes:
    """Return `ax` after checking it, or the axes of a new figure."""
    check_matplotlib(display)
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes

    if ax is None:
        return plt.subplots(figsize=figsize, layout="constrained")[1]
    if not isinstance(ax, Axes):
        raise TypeError(
            f"`ax` must be one matplotlib Axes or None; got {type(ax).__name__}."
        )
    return ax
