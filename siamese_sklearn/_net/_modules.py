"""What a trained net computes, as modules of torch alone."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

from torch import Tensor, nn

from siamese_sklearn._net._scorer import Scorer, encode

__all__ = ["EmbeddingModule", "ScoreModule", "on_cpu", "uncompiled"]


def on_cpu(net: Any) -> Any:
    """Return what scorers need of a net: a copy of its network and loss on the CPU."""
    return SimpleNamespace(
        module_=copy.deepcopy(uncompiled(net.module_)).cpu().eval(),
        criterion_=copy.deepcopy(uncompiled(net.criterion_)).cpu().eval(),
    )


def uncompiled(module: Any) -> nn.Module:
    """Return the module itself, where torch.compile has wrapped it."""
    plain: nn.Module = getattr(module, "_orig_mod", module)
    return plain


class EmbeddingModule(nn.Module):
    """Embeds rows of one side, as `embed` does.

    Parameters
    ----------
    net : NeuralNet, or part of it as by `on_cpu`
    side : int
    """

    def __init__(self, net: Any, side: int) -> None:
        super().__init__()
        self.network = net.module_
        self._net = net
        self._side = side
        self.eval()

    def forward(self, X: Tensor) -> Tensor:
        """Map rows (B, ...) to embeddings (B, n_components)."""
        return encode(self._net, X, self._side)


class ScoreModule(nn.Module):
    """Scores pairs of rows, as a scorer does."""

    def __init__(self, scorer: Scorer) -> None:
        super().__init__()
        # attributes, so that torch finds the weights
        self.network = scorer.net.module_
        self.head = getattr(scorer, "head", None)
        self._scorer = scorer
        self.eval()

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Map the sides of pairs (B, ...) to scores (B,); higher means more similar."""
        return self._scorer.batch(left, right)
