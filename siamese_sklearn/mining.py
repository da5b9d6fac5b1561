"""Mining: select triplets from the distances and labels of a batch.

A miner takes the distances within a batch, the mask of its positive pairs (same class,
different rows) and the mask of its negative pairs, each (B, B). It returns the indices
(anchor, positive, negative) of triplets, each (T,). No miner builds all B^3 triplets.
Nothing here is differentiable: mine under ``torch.no_grad``, then compute the loss of
the selected triplets.

`every_triplet` is different: once the active triplets are known, the hinge over all
triplets is linear in the distances, so it returns one weight per distance instead of
indices.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = [
    "MINERS",
    "easy_positive",
    "every_triplet",
    "hard",
    "pair_masks",
    "random_negative",
    "semihard",
]

Triples = tuple[Tensor, Tensor, Tensor]


def pair_masks(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Masks of the positive and the negative pairs of a batch.

    Parameters
    ----------
    labels : Tensor of shape (B,)

    Returns
    -------
    positive, negative : bool Tensor of shape (B, B)
        A row is neither a positive nor a negative of itself.

    Examples
    --------
    >>> import torch
    >>> positive, negative = pair_masks(torch.tensor([0, 0, 1]))
    >>> positive.int()
    tensor([[0, 1, 0],
            [1, 0, 0],
            [0, 0, 0]], dtype=torch.int32)
    """
    same = labels[:, None] == labels[None, :]
    return same.clone().fill_diagonal_(False), ~same


def has_any(mask: Tensor) -> Tensor:
    """Whether each row of a mask has any True entry.

    Parameters
    ----------
    mask : bool Tensor of shape (n, m)

    Returns
    -------
    bool Tensor of shape (n,)

    Examples
    --------
    >>> import torch
    >>> has_any(torch.tensor([[True, False], [False, False]]))
    tensor([ True, False])
    """
    return mask.sum(1) > 0  # faster than `any`


def semihard(distance: Tensor, positive: Tensor, negative: Tensor) -> Triples:
    """For each (anchor, positive), the closest negative farther than the positive.

    Pairs whose positive is farther than every negative have no such triplet and are
    skipped. As in `every_triplet`, each negative is looked up in the sorted positives:
    O(B^2 log B).

    References
    ----------
    Schroff, Kalenichenko & Philbin, "FaceNet: A Unified Embedding for Face Recognition
    and Clustering", CVPR 2015.
    """
    anchor, positive_index, slot = _positives(positive)
    width = _width(slot)
    # No negative is farther than the padding.
    near = distance.new_full((len(distance), width), torch.inf)
    near[anchor, slot] = distance[anchor, positive_index]
    near, order = near.sort(dim=1)
    far = distance.masked_fill(~negative, torch.inf)
    # (B, B): how many positives are closer than each negative
    rank = torch.searchsorted(near, far)
    closest = distance.new_full((len(distance), width + 1), torch.inf)
    closest.scatter_reduce_(1, rank, far, "amin")  # the closest negative of each rank
    row, column = ((far == closest.gather(1, rank)) & negative).nonzero(as_tuple=True)
    negative_index = torch.zeros_like(closest, dtype=torch.long)
    negative_index[row, rank[row, column]] = column
    # The negatives farther than the i-th closest positive are those of rank > i.
    beyond, rank = (side.flip(1) for side in closest[:, 1:].flip(1).cummin(dim=1))
    chosen = torch.empty_like(order).scatter_(
        1, order, negative_index.gather(1, width - rank)
    )
    found = torch.empty_like(near).scatter_(1, order, beyond)[anchor, slot] < torch.inf
    return anchor[found], positive_index[found], chosen[anchor, slot][found]


def hard(distance: Tensor, positive: Tensor, negative: Tensor) -> Triples:
    """For each anchor, its farthest positive and its closest negative ("batch hard").

    References
    ----------
    Hermans, Beyer & Leibe, "In Defense of the Triplet Loss for Person
    Re-Identification", arXiv:1703.07737, 2017.
    """
    farthest = distance.masked_fill(~positive, -torch.inf).max(dim=1).indices
    return _one_triplet_per_anchor(farthest, distance, positive, negative)


def easy_positive(distance: Tensor, positive: Tensor, negative: Tensor) -> Triples:
    """For each anchor, its closest positive and its closest negative.

    A class can then form several clusters.

    References
    ----------
    Xuan, Stylianou & Pless, "Improved Embeddings with Easy Positive Triplet Mining",
    WACV 2020.
    """
    nearest = distance.masked_fill(~positive, torch.inf).min(dim=1).indices
    return _one_triplet_per_anchor(nearest, distance, positive, negative)


def random_negative(distance: Tensor, positive: Tensor, negative: Tensor) -> Triples:
    """For each (anchor, positive), a uniformly drawn negative.

    It is drawn with torch's default generator.
    """
    del distance
    count = negative.sum(1)
    first = count.cumsum(0) - count
    # The negatives of a row are contiguous and start at its `first`.
    place = negative.flatten().nonzero().squeeze(1)
    anchor, positive_index = (positive & (count > 0)[:, None]).nonzero(as_tuple=True)
    draw = (torch.rand(len(anchor), device=count.device) * count[anchor]).long()
    return anchor, positive_index, place[first[anchor] + draw] - anchor * len(count)


def entries(table: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Return ``table[row, column]``, with a faster gradient.

    Parameters
    ----------
    table : Tensor of shape (n, m)
    row, column : Tensor of shape (T,)

    Returns
    -------
    Tensor of shape (T,)

    Examples
    --------
    >>> import torch
    >>> table = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> entries(table, torch.tensor([0, 1]), torch.tensor([1, 0]))
    tensor([2., 3.])
    """
    return table.flatten().index_select(0, row * table.shape[1] + column)


MINERS: dict[str, Callable[[Tensor, Tensor, Tensor], Triples]] = {
    "semihard": semihard,
    "hard": hard,
    "easy_positive": easy_positive,
    "random": random_negative,
}


def every_triplet(
    distance: Tensor, positive: Tensor, negative: Tensor, margin: float
) -> tuple[Tensor, Tensor]:
    """Weights of the distances in the sum of the hinge over all triplets.

    With weights w, the sum of [D_ap - D_an + margin]+ over all B^3 triplets is
    sum(w * D) + margin * n_active, and its gradient is that of sum(w * D) with w held
    constant. Here w_ap is the number of active triplets with anchor a and positive p,
    and -w_an the number of those with anchor a and negative n. Both come from a binary
    search of each anchor's negatives in its sorted positives: O(B^2 log B) time, O(B^2)
    memory.

    Parameters
    ----------
    distance : Tensor of shape (B, B)
    positive, negative : bool Tensor of shape (B, B)
    margin : float

    Returns
    -------
    weight : Tensor of shape (B, B)
    n_active : int64 Tensor of shape ()
        Number of triplets with a hinge above zero.
    """
    anchor, column, slot = _positives(positive)
    width = _width(slot)
    # No negative is closer than the padding.
    threshold = distance.new_full((len(distance), width), -torch.inf)
    threshold[anchor, slot] = distance[anchor, column] + margin
    ordered, order = threshold.sort(dim=1)
    rank = torch.searchsorted(
        ordered, distance.masked_fill(~negative, torch.inf), right=True
    )  # (B, B)
    negatives_at = rank.new_zeros(len(distance), width + 1)
    negatives_at.scatter_add_(1, rank, torch.ones_like(rank))
    active_at = torch.empty_like(order).scatter_(
        1, order, negatives_at.cumsum(1)[:, :width]
    )
    # Minus the number of active triplets of each negative.
    weight = rank.to(distance.dtype) - width
    n_active = active_at[anchor, slot]
    weight[anchor, column] = n_active.to(distance.dtype)
    return weight, n_active.sum()


def _positives(positive: Tensor) -> Triples:
    """Anchor, column and index within the anchor of every positive pair.

    Each has shape (n_pairs,).
    """
    anchor, column = positive.nonzero(as_tuple=True)
    count = positive.sum(1)
    first = count.cumsum(0) - count
    return (
        anchor,
        column,
        torch.arange(len(anchor), device=anchor.device) - first[anchor],
    )


def _width(slot: Tensor) -> int:
    return int(slot.max()) + 1 if len(slot) else 1


def _one_triplet_per_anchor(
    chosen: Tensor, distance: Tensor, positive: Tensor, negative: Tensor
) -> Triples:
    anchor = (has_any(positive) & has_any(negative)).nonzero(as_tuple=True)[0]
    # `min` is faster than `argmin`.
    nearest_negative = distance.masked_fill(~negative, torch.inf).min(dim=1).indices
    return anchor, chosen[anchor], nearest_negative[anchor]
