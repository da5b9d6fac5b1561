"""Heads: from the embeddings of two things to a logit that says whether they are the same.

A logit is above zero where "same" is the likelier answer. The heads here are symmetric: the logit of (a, b)
is that of (b, a).
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

_FIRST_LOGIT = 5.0  # of two equal embeddings of unit norm, before training; minus that for opposite ones
_NUMBERS_AT_ONCE = (
    2**18
)  # in one side of the pairs that are taken together: what a cache holds
_TINY = 1e-30  # has a sign, and changes no logit


class Head(nn.Module, ABC):
    """Logit of a pair of embeddings, of `n_components` numbers each.

    The heads of this module compute it in the dtype of the embeddings, whatever that of their weights.

    Attributes
    ----------
    symmetric : bool
        Whether the logit of (a, b) is that of (b, a) by construction, so that losses need each pair once.
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
        """Logit of every row of `left` with every row of `right` (of `left` again, if that is None).

        Parameters
        ----------
        left : Tensor of shape (n, d)
        right : Tensor of shape (m, d), default=None

        Returns
        -------
        Tensor of shape (n, m)
        """


class DistanceHead(Head):
    """Logit that falls with the distance: ``exp(log_scale) * (offset - D)``, both numbers learned.

    The logit keeps the order of distances, so neighbours by one are neighbours by the other, and `offset` is
    the distance at which a pair is as likely the same as not. At first, embeddings of unit norm have logits
    from 5 (equal) to -5 (opposite).

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
    """Weighted absolute difference, component by component: ``sum_j weight_j |left_j - right_j| + bias``.

    It learns which components matter. At first all weights are equal, and the logit is that of a
    `DistanceHead` on the Manhattan distance.

    Parameters
    ----------
    n_components : int

    References
    ----------
    Koch, Zemel & Salakhutdinov, "Siamese Neural Networks for One-shot Image Recognition", ICML Deep Learning
    Workshop 2015.

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
        # Taken into the absolute values, the weights leave two Manhattan distances: of each sign one.
        right = left if right is None else right
        weight = self.weight.to(left.dtype) + _TINY * (
            self.weight == 0
        )  # (d,); else zeros had no gradient
        logits = self.bias.to(left.dtype).expand(len(left), len(right))
        for sign in (1.0, -1.0):
            chosen = (sign * weight > 0).nonzero()[:, 0]
            if len(chosen):
                a, b = (side[:, chosen] * weight[chosen] for side in (left, right))
                logits = logits + sign * torch.cdist(a, b, p=1.0)
        return logits


class ProductHead(Head):
    """Small network on the absolute difference and the product of the embeddings, component by component.

    One hidden layer of `n_components` units. At first they weigh the difference at random, but positively, so
    that the logit is close to that of a `DifferenceHead`: a start from a distance serves classes that are not
    in training better than one from weights of both signs.

    Parameters
    ----------
    n_components : int

    References
    ----------
    Zagoruyko & Komodakis, "Learning to Compare Image Patches via Convolutional Neural Networks", CVPR 2015;
    its decision network takes the two embeddings as they are, and is not symmetric.
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
        logits: Tensor = self(
            left.index_select(0, row), left.index_select(0, column)
        )  # half of a symmetric table
        table = logits.new_zeros(len(left), len(left))
        return table.index_put((row, column), logits).index_put((column, row), logits)


class PluggedHead(Head):
    """A head from elsewhere.

    Parameters
    ----------
    module : nn.Module
        Called as ``module(left, right)``; it need not be symmetric.
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
    """Build or copy the head, and try one that came ready on a few rows.

    Parameters
    ----------
    head : {"distance", "difference", "product"}, Head or torch.nn.Module
        A module has ``forward(left, right)``, from two Tensors of shape (n, n_components) to logits of shape
        (n,), and is deep-copied.
    n_components : int

    Returns
    -------
    Head
        A `PluggedHead` with the copy, for a module that is no `Head`.

    Raises
    ------
    TypeError
        If `head` is none of these.
    ValueError
        If its name is unknown, it fails on embeddings of that width, or its output is not of shape (n,).

    Examples
    --------
    >>> make_head("difference", n_components=2).weight.shape
    torch.Size([2])
    >>> make_head("diference", n_components=2)
    Traceback (most recent call last):
        ...
    ValueError: `head` must be one of 'distance', 'difference', 'product'; got 'diference'. Did you mean \
'difference'?
    """
    if isinstance(head, str):
        return HEADS[check_option("head", head, HEADS)](n_components)
    if isinstance(head, type) and issubclass(head, nn.Module):
        raise TypeError(
            f"`head` is the class {head.__name__}; pass an instance, {head.__name__}(...)."
        )
    if not isinstance(head, nn.Module):
        raise TypeError(
            f"`head` must be one of {', '.join(map(repr, HEADS))}, or a torch.nn.Module with "
            f"forward(left, right) -> logits of shape (n,); got {head!r}."
        )
    module = copy.deepcopy(head).cpu()
    _check_output(module, n_components)
    return module if isinstance(module, Head) else PluggedHead(module)


def _check_output(module: nn.Module, n_components: int) -> None:
    rows = torch.eye(2, n_components)
    trial = copy.deepcopy(
        module
    ).eval()  # nothing that a layer counts or averages may see these rows
    try:
        with torch.no_grad():
            logits: Any = trial(rows, rows.flip(0))
    except Exception as error:
        raise ValueError(
            f"`head` fails on two sides of shape {tuple(rows.shape)}: {error}"
        ) from error
    if not isinstance(logits, Tensor) or logits.shape != (len(rows),):
        came = (
            tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        )
        raise ValueError(
            f"`head` must map two sides of shape {tuple(rows.shape)} to logits of shape {(len(rows),)}; got "
            f"{came}. Let its forward(left, right) give one number for each row."
        )


def _linear(layer: nn.Linear, rows: Tensor) -> Tensor:
    return linear(rows, layer.weight.to(rows.dtype), layer.bias.to(rows.dtype))


def _every_pair(head: Head, left: Tensor, right: Tensor) -> Tensor:
    """Logits (n, m) by `head` on the pairs themselves, of a few rows of `left` at once."""
    parts = torch.split(left, max(_NUMBERS_AT_ONCE // max(right.numel(), 1), 1))
    logits = [
        head(a.repeat_interleave(len(right), dim=0), right.repeat(len(a), 1))
        for a in parts
    ]
    return torch.cat(logits).reshape(len(left), len(right))
