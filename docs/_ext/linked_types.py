"""Which words in the types of parameters are links: ``numpydoc_xref_aliases``."""

from __future__ import annotations

import inspect
from typing import Any

from numpydoc.xref import DEFAULT_LINKS
from own_methods import public_modules
from sphinx.application import Sphinx
from sphinx.config import Config

TYPES = {
    "array": "numpy.ndarray",
    "array-like": "numpy.typing.ArrayLike",
    "ndarray": "numpy.ndarray",
    "numpy.random.Generator": "numpy.random.Generator",
    "RandomState": "numpy.random.RandomState",
    "Tensor": "torch.Tensor",
    "nn.Module": "torch.nn.Module",
    "torch.nn.Module": "torch.nn.Module",
    "torch.optim.Optimizer": "torch.optim.Optimizer",
    "skorch.NeuralNet": "skorch.net.NeuralNet",
    "skorch.history.History": "skorch.history.History",
    "Axes": "matplotlib.axes.Axes",
    "AxesImage": "matplotlib.image.AxesImage",
    "BarContainer": "matplotlib.container.BarContainer",
    "Colormap": "matplotlib.colors.Colormap",
    "Figure": "matplotlib.figure.Figure",
    "Legend": "matplotlib.legend.Legend",
    "Line2D": "matplotlib.lines.Line2D",
    "PathCollection": "matplotlib.collections.PathCollection",
    "Rectangle": "matplotlib.patches.Rectangle",
}


_BEFORE_NUMPYDOC = 400  # which connects with the default priority of 500


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.connect("config-inited", _link, priority=_BEFORE_NUMPYDOC)
    return {"version": "1", "parallel_read_safe": True}


def _link(app: Sphinx, config: Config) -> None:
    """Link types of other projects, and classes of this package; int stays text."""
    classes = {
        name
        for module in public_modules()
        for name in module.__all__
        if inspect.isclass(getattr(module, name))
    }
    config.numpydoc_xref_aliases = {
        **{word: word for word in DEFAULT_LINKS},
        **{word: f":obj:`{word} <{target}>`" for word, target in TYPES.items()},
        **{name: f":obj:`{name}`" for name in classes},
    }
