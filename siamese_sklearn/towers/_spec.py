"""The cloneable description of a tower."""

from __future__ import annotations

from abc import ABC, abstractmethod

from sklearn.base import BaseEstimator
from torch import nn

from siamese_sklearn._checks import check_option

__all__ = ["ACTIVATIONS", "TowerSpec", "activation_layer"]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}


class TowerSpec(BaseEstimator, ABC):
    """The parameters of a tower, in scikit-learn's manner (``clone``, ``get_params``, ``set_params``)."""

    @abstractmethod
    def build(self, input_shape: tuple[int, ...], n_components: int) -> nn.Module:
        """Make the network, with fresh weights from torch's default generator.

        Parameters
        ----------
        input_shape : tuple of int
            Shape of one row of X.
        n_components : int
            Number of outputs.

        Returns
        -------
        torch.nn.Module
            Maps (B, *input_shape) to (B, n_components).

        Raises
        ------
        ValueError, TypeError
            If a parameter has a value that the tower cannot take, or `input_shape` does not fit.
        """


def activation_layer(owner: TowerSpec, name: str) -> nn.Module:
    """Make the activation that the parameter `activation` of `owner` names, or raise."""
    return ACTIVATIONS[
        check_option(f"{type(owner).__name__}.activation", name, ACTIVATIONS)
    ]()
