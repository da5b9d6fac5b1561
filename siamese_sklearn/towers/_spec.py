"""Base class of the tower specs."""

from __future__ import annotations

from abc import ABC, abstractmethod

from sklearn.base import BaseEstimator
from torch import nn

from siamese_sklearn._checks import check_option
from siamese_sklearn._documentation import DocumentationLink

__all__ = ["ACTIVATIONS", "TowerSpec", "activation_layer"]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}


class TowerSpec(DocumentationLink, BaseEstimator, ABC):
    """Parameters of a tower, as a scikit-learn estimator that can be cloned."""

    @abstractmethod
    def build(self, input_shape: tuple[int, ...], n_components: int) -> nn.Module:
        """Build the network, with initial weights from torch's default generator.

        Parameters
        ----------
        input_shape : tuple of int
            Shape of one row of X.
        n_components : int
            Width of the output.

        Returns
        -------
        torch.nn.Module
            Maps (B, *input_shape) to (B, n_components).

        Raises
        ------
        ValueError, TypeError
            If a parameter has a value that the tower does not accept, or `input_shape`
            does not fit.
        """


def activation_layer(owner: TowerSpec, name: str) -> nn.Module:
    """Build the layer for the parameter `activation` of `owner`, or raise."""
    return ACTIVATIONS[
        check_option(f"{type(owner).__name__}.activation", name, ACTIVATIONS)
    ]()
