"""Heads: turn two embeddings into a logit for "same".

A logit above zero means that "same" is more likely than "different". The heads defined
here are symmetric: the logits of (a, b) and (b, a) are equal.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from siamese_sklearn._checks import check_integer, check_option
from siamese_sklearn.distances import Distance, as_distance, paired, pairwise

__all__ = [
    "HEADS",
    "DifferenceHead",
    "DistanceHead",
    "Head",
    "ProductHead",
]

HeadLike: TypeAlias = str | nn.Module

# Initial logit of two equal unit-norm embeddings; minus that for the farthest two.
_FIRST_LOGIT = 5.0
_NUMBERS_AT_ONCE = 2**18  # per side of the pairs computed together; fits in a cache
_TINY = 1e-30  # has a sign, but does not change a logit


class Head(nn.Module, ABC):
    """Logit of two embeddings, of `n_components` numbers each.

    The heads of this module compute the logit in the dtype of the embeddings, whatever
    the dtype of their own weights.

    Attributes
    ----------
    symmetric : bool
        Whether the logits of (a, b) and (b, a) are equal by construction, so that
        losses need each pair only once.
    """

    symmetric: ClassVar[bool] = False

    @abstractmethod
    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Logit of row i of `left` with row i of `right`.

        Parameters
        ----------
        left, right : Tensor of shape (n, d)

        Returns
        -------
        Tensor of shape (n,)
        """

    @abstractmethod
    def pairwise(self, left: Tensor, right: Tensor | None = None) -> Tensor:
        """Logit of every row of `left` with every row of `right`.

        Parameters
        ----------
        left : Tensor of shape (n, d)
        right : Tensor of shape (m, d), default=None
            None means `left`.

        Returns
        -------
        Tensor of shape (n, m)
        """


class DistanceHead(Head):
    """Logit that decreases with the distance D: ``exp(log_scale) * (offset - D)``.

    The default head, which suffices when the distance measures similarity well.
    `DifferenceHead` also weights the components, and `ProductHead` is a small network.

    Both `log_scale` and `offset` are learned. Logits rank pairs as distances do, so
    nearest neighbors are the same by either, and `offset` is the distance at which
    "same" and "different" are equally likely. Before training, the logits of unit-norm
    embeddings range from 5 (equal) to -5 (farthest apart).

    Parameters
    ----------
    n_components : int
    distance : {"euclidean", "sqeuclidean", "manhattan", "cosine"}, default="euclidean"

    Examples
    --------
    >>> import torch
    >>> head = DistanceHead(n_components=2)
    >>> east, west = torch.tensor([[1.0, 0.0]]), torch.tensor([[-1.0, 0.0]])
    >>> head(east, east).item(), head(east, west).item()
    (5.0, -5.0)
    """

    symmetric = True

    def __init__(
        self, n_components: int, distance: str | Distance = "euclidean"
    ) -> None:
        super().__init__()
        width = check_integer("DistanceHead.n_components", n_components, low=1)
        self.distance = as_distance(distance, "DistanceHead.distance")
        farthest = self.distance.farthest(width)  # at unit norm
        self.offset = nn.Parameter(torch.tensor(farthest / 2))
        self.log_scale = nn.Parameter(torch.tensor(2 * _FIRST_LOGIT / farthest).log())

    def forward(self, left: Tensor, right: Tensor) -> Tensor:  # noqa: D102
        return self._logit(paired(left, right, self.distance))

    def pairwise(self, left: Tensor, right: Tensor | None = None) -> Tensor:  # noqa: D102
        return self._logit(pairwise(left, right, self.distance))

    def _logit(self, distance: Tensor) -> Tensor:
        return self.log_scale.to(distance.dtype).exp() * (
            self.offset.to(distance.dtype) - distance
        )


class DifferenceHead(Head):
    """Weighted absolute differences: ``sum_j weight_j |left_j - right_j| + bias``.

    Prefer it to `DistanceHead` when some components matter more than others. Before
    training, all weights are equal, and the logit is that of a `DistanceHead` with the
    Manhattan distance.

    Parameters
    ----------
    n_components : int

    References
    ----------
    Koch, Zemel & Salakhutdinov, "Siamese Neural Networks for One-shot Image
    Recognition", ICML Deep Learning Workshop 2015.

    Examples
    --------
    >>> import torch
    >>> head = DifferenceHead(n_components=4)
    >>> a, b = torch.full((1, 4), 0.5), torch.tensor([[0.5, 0.5, 0.5, -0.5]])
    >>> head(a, a).item(), head(a, b).item()
    (5.0, 2.5)
    """

    symmetric = True

    def __init__(self, n_components: int) -> None:
        super().__init__()
        width = check_integer("DifferenceHead.n_components", n_components, low=1)
        self.weight = nn.Parameter(
            torch.full((width,), -_FIRST_LOGIT / math.sqrt(width))
        )
        self.bias = nn.Parameter(torch.tensor(_FIRST_LOGIT))

    def forward(self, left: Tensor, right: Tensor) -> Tensor:  # noqa: D102
        return (left - right).abs() @ self.weight.to(left.dtype) + self.bias.to(
            left.dtype
        )

    def pairwise(self, left: Tensor, right: Tensor | None = None) -> Tensor:  # noqa: D102
        # The weights can move into the absolute values, which leaves two Manhattan
        # distances: one of the positive weights and one of the negative weights.
        right = left if right is None else right
        # Without _TINY, weights of zero would get no gradient.
        weight = self.weight.to(left.dtype) + _TINY * (self.weight == 0)  # (d,)
        logits = self.bias.to(left.dtype).expand(len(left), len(right))
        for sign in (1.0, -1.0):
            columns = (sign * weight > 0).nonzero()[:, 0]
            if len(columns):
                a, b = (side[:, columns] * weight[columns] for side in (left, right))
                logits = logits + sign * torch.cdist(a, b, p=1.0)
        return logits


class ProductHead(Head):
    """Small network on the absolute differences and the products of the components.

    Prefer it when a weighted distance is not flexible enough. It has one hidden layer
    of `n_components` units. Before training, these weight the differences randomly, but
    positively, so that the logit is close to that of a `DifferenceHead`: a network that
    starts as a distance generalizes better to unseen classes than one that starts with
    weights of both signs.

    Parameters
    ----------
    n_components : int

    References
    ----------
    Zagoruyko & Komodakis, "Learning to Compare Image Patches via Convolutional Neural
    Networks", CVPR 2015. Their decision network takes the two embeddings as they are
    and is not symmetric.
    """

    symmetric = True

    def __init__(self, n_components: int) -> None:
        super().__init__()
        width = check_integer("ProductHead.n_components", n_components, low=1)
        self.hidden = nn.Linear(2 * width, width)
        self.output = nn.Linear(width, 1)
        nn.init.uniform_(
            self.hidden.weight[:, :width], 0.0, 2 * _FIRST_LOGIT / math.sqrt(width)
        )
        nn.init.zeros_(self.hidden.bias)
        nn.init.constant_(self.output.weight, -1 / width)
        nn.init.constant_(self.output.bias, _FIRST_LOGIT)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:  # noqa: D102
        both = torch.cat([(left - right).abs(), left * right], dim=1)  # (n, 2 d)
        logits: Tensor = _linear(
            self.output, _linear(self.hidden, both).relu()
        ).squeeze(1)
        return logits

    def pairwise(self, left: Tensor, right: Tensor | None = None) -> Tensor:  # noqa: D102
        if right is not None:
            return _every_pair(self, left, right)
        row, column = torch.triu_indices(len(left), len(left), device=left.device)
        # The table is symmetric, so half of it is enough.
        logits: Tensor = self(left.index_select(0, row), left.index_select(0, column))
        table = logits.new_zeros(len(left), len(left))
        return table.index_put((row, column), logits).index_put((column, row), logits)


class PluggedHead(Head):
    """Adapter that wraps a user's `nn.Module` as a head.

    Parameters
    ----------
    module : nn.Module
        Called as ``module(left, right)``; it does not have to be symmetric.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        logits: Tensor = self.module(left, right)
        return logits

    def pairwise(self, left: Tensor, right: Tensor | None = None) -> Tensor:
        return _every_pair(self, left, left if right is None else right)


HEADS: dict[str, type[Head]] = {
    "distance": DistanceHead,
    "difference": DifferenceHead,
    "product": ProductHead,
}


def make_head(head: HeadLike, n_components: int) -> Head:
    """Build or copy the head, and test a user's module on a few rows.

    Parameters
    ----------
    head : {"distance", "difference", "product"}, Head or torch.nn.Module
        A module must have ``forward(left, right)``, which maps two Tensors of shape
        (n, n_components) to logits of shape (n,). It is deep-copied.
    n_components : int

    Returns
    -------
    Head
        For a module that is not a `Head`, a `PluggedHead` with the copy.

    Raises
    ------
    TypeError
        If `head` is none of these.
    ValueError
        If the name is unknown, or the module fails on embeddings of that width or does
        not return logits of shape (n,).

    Examples
    --------
    >>> make_head("difference", n_components=2).weight.shape
    torch.Size([2])
    >>> make_head("diference", n_components=2)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    ValueError: `head` must be one of ...; got 'diference'. Did you mean 'difference'?
    """
    if isinstance(head, str):
        return HEADS[check_option("head", head, HEADS)](n_components)
    if isinstance(head, type) and issubclass(head, nn.Module):
        raise TypeError(
            f"`head` is the class {head.__name__}; pass an instance, "
            f"{head.__name__}(...)."
        )
    if not isinstance(head, nn.Module):
        raise TypeError(
            f"`head` must be one of {', '.join(map(repr, HEADS))}, or a "
            "torch.nn.Module with forward(left, right) -> logits of shape (n,); got "
            f"{head!r}."
        )
    module = copy.deepcopy(head).cpu()
    _check_output(module, n_components)
    return module if isinstance(module, Head) else PluggedHead(module)


def _check_output(module: nn.Module, n_components: int) -> None:
    rows = torch.eye(2, n_components)
    # A copy, so that these rows do not change running statistics.
    trial = copy.deepcopy(module).eval()
    try:
        with torch.no_grad():
            logits: Any = trial(rows, rows.flip(0))
    except Exception as error:
        raise ValueError(
            f"`head` failed on `left` and `right` of shape {tuple(rows.shape)}: {error}"
        ) from error
    if not isinstance(logits, Tensor) or logits.shape != (len(rows),):
        got = (
            tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        )
        raise ValueError(
            f"`head` must map `left` and `right` of shape {tuple(rows.shape)} to "
            f"logits of shape {(len(rows),)}; got {got}. Its forward(left, right) must "
            "return one number for each row."
        )


def _linear(layer: nn.Linear, rows: Tensor) -> Tensor:
    return linear(rows, layer.weight.to(rows.dtype), layer.bias.to(rows.dtype))


def _every_pair(head: Head, left: Tensor, right: Tensor) -> Tensor:
    """Logits (n, m) of all pairs, computed for a few rows of `left` at a time."""
    parts = torch.split(left, max(_NUMBERS_AT_ONCE // max(right.numel(), 1), 1))
    logits = [
        head(a.repeat_interleave(len(right), dim=0), right.repeat(len(a), 1))
        for a in parts
    ]
    return torch.cat(logits).reshape(len(left), len(right))
