"""Predicting with a trained net: embeddings, and scores of pairs.

What pairs are scored by are the codes of their sides: the embeddings, or for a 2-channel network, which has
none, the rows themselves.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from skorch import NeuralNet
from torch import Tensor

from siamese_sklearn._net._rows import Rows
from siamese_sklearn.binary import to_bits
from siamese_sklearn.distances import paired, pairwise
from siamese_sklearn.heads import DistanceHead
from siamese_sklearn.towers import TwoChannelNetwork

__all__ = ["cross_scores", "embed", "embedding_distance", "score_codes", "scores_by_distance"]

FloatArray = npt.NDArray[np.float32]
Index = npt.NDArray[np.int64]

_FULL = 64  # rows from which on matrix products round a row alike, whatever rows are beside it


def embed(net: NeuralNet, rows: Rows, side: int = 0) -> FloatArray:
    """Embeddings of all rows, in slices; bits as 0 and 1 if that is what the loss is about.

    Flat rows are filled up to whole groups of 64, so that a row alone gets the embedding that it gets among
    others, to the bit on the CPUs tried. For images that would cost too much.

    Parameters
    ----------
    net : NeuralNet
    rows : Rows of n rows
    side : int, default=0
        The side of a pair that the rows are of, for a network with two towers.

    Returns
    -------
    array of shape (n, n_components)
    """
    module = net.module_
    module.eval()
    embeddings = np.empty((len(rows), module.n_components), dtype=np.float32)
    with torch.inference_mode():
        for part in rows.slices():
            batch = rows.sides(part)[0]
            z = module.embed(_filled(batch) if batch.ndim == 2 else batch, side)
            embeddings[part] = z[: len(batch)].float().cpu().numpy()
    is_binary = getattr(net.criterion_.loss, "binary", False)
    return to_bits(embeddings).astype(np.float32) if is_binary else embeddings


def _filled(batch: Tensor) -> Tensor:
    """Repeat the last row of a batch (n, d) up to the next multiple of `_FULL`."""
    missing = -len(batch) % _FULL
    return batch if missing == 0 else torch.cat([batch, batch[-1:].expand(missing, -1)])


def embedding_distance(net: NeuralNet) -> str:
    """Name of the distance between embeddings: that of the loss, or its root if it is squared."""
    distance = getattr(net.criterion_.loss, "distance", "euclidean")
    return distance if distance in ("manhattan", "cosine") else "euclidean"


def scores_by_distance(net: NeuralNet) -> bool:
    """Whether the score of a pair is minus the distance of its embeddings, and no logit of another head."""
    head = getattr(net.criterion_.loss, "head", None)
    is_distance = head is None or isinstance(head, DistanceHead)
    return is_distance and not isinstance(net.module_, TwoChannelNetwork)


def score_codes(net: NeuralNet, left: Rows, right: Rows, row: Index, column: Index) -> FloatArray:
    """Score pairs by the codes of their sides: minus the distance, or the logit; higher is more alike.

    Parameters
    ----------
    net : NeuralNet
    left, right : Rows
        The codes that occur.
    row, column : array of shape (n,)
        Which of `left` is paired with which of `right`.

    Returns
    -------
    array of shape (n,)
    """
    score = _scorer(net)
    scores = np.empty(len(row), dtype=np.float32)
    step = min(left.rows_at_once, right.rows_at_once)
    with torch.inference_mode():
        for start in range(0, len(row), step):
            part = slice(start, start + step)
            pair = left.sides(row[part])[0], right.sides(column[part])[0]
            scores[part] = score(*pair).float().cpu().numpy()
    return scores


def cross_scores(net: NeuralNet, left: Rows, right: Rows) -> FloatArray:
    """Score every code of one side with every code of the other, as `score_codes` does.

    Parameters
    ----------
    net : NeuralNet
    left : Rows of n codes
    right : Rows of m codes

    Returns
    -------
    array of shape (n, m)
    """
    if isinstance(net.module_, TwoChannelNetwork):
        row, column = np.divmod(np.arange(len(left) * len(right)), len(right))
        return score_codes(net, left, right, row, column).reshape(len(left), len(right))
    net.criterion_.eval()
    (first,), (second,) = left.sides(slice(None)), right.sides(slice(None))
    with torch.inference_mode():
        if scores_by_distance(net):
            scores = -pairwise(first, second, distance=embedding_distance(net))
        else:
            scores = net.criterion_.loss.head.pairwise(first, second)
        found: FloatArray = scores.float().cpu().numpy()
    return found


def _scorer(net: NeuralNet) -> Callable[[Tensor, Tensor], Tensor]:
    net.module_.eval()
    if isinstance(net.module_, TwoChannelNetwork):
        return lambda left, right: net.module_((left, right))
    if scores_by_distance(net):
        distance = embedding_distance(net)
        return lambda left, right: -paired(left, right, distance)
    net.criterion_.eval()
    head: Callable[[Tensor, Tensor], Tensor] = net.criterion_.loss.head
    return head
