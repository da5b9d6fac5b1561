"""Embeddings of a trained net, and the scores of pairs.

Pairs are scored by the codes of their sides: the embeddings, or the rows themselves for
a two-channel network, which has no embeddings.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from torch import Tensor

from siamese_sklearn._net._rows import Rows
from siamese_sklearn._typing import FloatArray, IntArray
from siamese_sklearn.binary import to_bits
from siamese_sklearn.distances import Distance
from siamese_sklearn.heads import DistanceHead, Head
from siamese_sklearn.towers import TwoChannelNetwork

__all__ = [
    "DistanceScorer",
    "HeadScorer",
    "PairNetworkScorer",
    "Scorer",
    "embed",
    "embedding_distance",
    "encode",
    "make_scorer",
]

_FULL = 64  # for multiples of this batch size, a row's result ignores the other rows


def embed(net: NeuralNet, rows: Rows, side: int = 0) -> FloatArray:
    """Embed all rows, slice by slice; for a binary loss, the embeddings are 0 and 1.

    Batches of flat rows are padded to a multiple of 64, so that a row gets the same
    embedding alone and among others, to the bit on the CPUs tried. Padding images would
    cost too much.

    Parameters
    ----------
    net : NeuralNet
    rows : Rows of n rows
    side : int, default=0
        Side of the pair that the rows belong to, for a network with two towers.

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
    is_binary = getattr(net.criterion_, "binary", False)
    return to_bits(embeddings).astype(np.float32) if is_binary else embeddings


def encode(net: NeuralNet, rows: Tensor, side: int) -> Tensor:
    """Embed a batch; for a binary loss, the embeddings are 0 and 1.

    Parameters
    ----------
    net : NeuralNet
    rows : Tensor of shape (B, ...)
    side : int

    Returns
    -------
    Tensor of shape (B, n_components), float32
    """
    z: Tensor = net.module_.embed(rows, side).float()
    return (z > 0).float() if getattr(net.criterion_, "binary", False) else z


def embedding_distance(net: NeuralNet) -> Distance:
    """Distance between embeddings: that of the loss, or its root if it is squared."""
    distance: Distance = net.criterion_.distance
    return distance.unsquared


@dataclass(frozen=True)
class Scorer(ABC):
    """Scores pairs by the codes of their sides; higher means more similar.

    Parameters
    ----------
    net : NeuralNet
        A trained net. The scorer holds nothing else of the model, and is cheap to
        create.
    """

    net: NeuralNet

    @abstractmethod
    def _paired(self, left: Tensor, right: Tensor) -> Tensor:
        """Score row i of `left` against row i of `right`, (n,)."""

    @abstractmethod
    def _encode(self, rows: Tensor, side: int) -> Tensor:
        """Return the codes of a batch."""

    @abstractmethod
    def of_tensors(self, left: Tensor, right: Tensor) -> Tensor:
        """Score row i of `left` against row i of `right`, (B,), with gradients.

        Parameters
        ----------
        left, right : Tensor of shape (B, ...)
            Rows, not codes.
        """

    @abstractmethod
    def codes(self, rows: Any, side: int) -> Any:
        """Return the codes of rows of one side: n embeddings, or the rows themselves.

        Parameters
        ----------
        rows : array of shape (n, ...) or CSR matrix
        side : int
            0 for the left side of pairs, 1 for the right side.
        """

    @abstractmethod
    def cross(self, left: Any, right: Any) -> FloatArray:
        """Score every code of one side against every code of the other.

        Parameters
        ----------
        left, right : codes of n and of m rows

        Returns
        -------
        array of shape (n, m)
        """

    @abstractmethod
    def distance_of(self, score: FloatArray) -> FloatArray:
        """Convert scores to distances; lower means more similar."""

    @property
    def searched_by(self) -> Distance | Callable[[Any, Any], FloatArray]:
        """Score for a search among codes: a distance between embeddings, or `cross`."""
        return self.cross

    def batch(self, left: Tensor, right: Tensor) -> Tensor:
        """Score a batch of pairs of rows, with torch alone.

        Parameters
        ----------
        left, right : Tensor of shape (B, ...)

        Returns
        -------
        Tensor of shape (B,), float32
        """
        return self._paired(self._encode(left, 0), self._encode(right, 1)).float()

    def pairs(
        self, left: Any, right: Any, row: IntArray, column: IntArray
    ) -> FloatArray:
        """Score pairs of codes.

        Parameters
        ----------
        left, right : codes
        row, column : array of shape (n,)
            Indices into `left` and `right`, one of each per pair.

        Returns
        -------
        array of shape (n,)
        """
        lefts, rights = self._rows(left), self._rows(right)
        scores, step = (
            np.empty(len(row), dtype=np.float32),
            min(lefts.rows_at_once, rights.rows_at_once),
        )
        self.net.module_.eval(), self.net.criterion_.eval()
        with torch.inference_mode():
            for start in range(0, len(row), step):
                part = slice(start, start + step)
                pair = lefts.sides(row[part])[0], rights.sides(column[part])[0]
                scores[part] = self._paired(*pair).float().cpu().numpy()
        return scores

    def rows(self, left: Any, right: Any, pairs: IntArray) -> FloatArray:
        """Score pairs of rows; each row is embedded once.

        Parameters
        ----------
        left, right : array of shape (n, ...) or CSR matrix
        pairs : array of shape (n_pairs, 2)
            Row numbers in `left` and `right`.

        Returns
        -------
        array of shape (n_pairs,)
        """
        row, row_of = np.unique(pairs[:, 0], return_inverse=True)
        column, column_of = np.unique(pairs[:, 1], return_inverse=True)
        return self.pairs(
            self.codes(left[row], 0), self.codes(right[column], 1), row_of, column_of
        )

    def _rows(self, codes: Any) -> Rows:
        return Rows(codes, device=torch.device(self.net.device))


class _EmbeddingScorer(Scorer):
    """Scores pairs of embeddings."""

    @abstractmethod
    def _pairwise(self, left: Tensor, right: Tensor) -> Tensor:
        """Score every row of `left` against every row of `right`, (n, m)."""

    def _encode(self, rows: Tensor, side: int) -> Tensor:
        return encode(self.net, rows, side)

    def codes(self, rows: Any, side: int) -> FloatArray:
        return embed(self.net, self._rows(rows), side)

    def of_tensors(self, left: Tensor, right: Tensor) -> Tensor:
        module = self.net.module_
        return self._paired(module.embed(left, 0), module.embed(right, 1))

    def cross(self, left: FloatArray, right: FloatArray) -> FloatArray:
        (first,), (second,) = (
            self._rows(side).sides(slice(None)) for side in (left, right)
        )
        self.net.criterion_.eval()
        with torch.inference_mode():
            found: FloatArray = self._pairwise(first, second).float().cpu().numpy()
        return found


@dataclass(frozen=True)
class DistanceScorer(_EmbeddingScorer):
    """Scores pairs by the negative distance between their embeddings."""

    distance: Distance

    @property
    def searched_by(self) -> Distance:
        return self.distance

    def distance_of(self, score: FloatArray) -> FloatArray:
        return -score

    def _paired(self, left: Tensor, right: Tensor) -> Tensor:
        return -self.distance.paired(left, right)

    def _pairwise(self, left: Tensor, right: Tensor) -> Tensor:
        return -self.distance.pairwise(left, right)


@dataclass(frozen=True)
class HeadScorer(_EmbeddingScorer):
    """Scores pairs by the logit of a learned head."""

    head: Head

    def distance_of(self, score: FloatArray) -> FloatArray:
        return _minus_log_probability(score)

    def _paired(self, left: Tensor, right: Tensor) -> Tensor:
        logits: Tensor = self.head(left, right)
        return logits

    def _pairwise(self, left: Tensor, right: Tensor) -> Tensor:
        return self.head.pairwise(left, right)


@dataclass(frozen=True)
class PairNetworkScorer(Scorer):
    """Scores pairs by the logit of a network that takes both sides; codes are rows."""

    def _encode(self, rows: Tensor, side: int) -> Tensor:
        return rows

    def codes(self, rows: Any, side: int) -> Any:
        return rows

    def of_tensors(self, left: Tensor, right: Tensor) -> Tensor:
        return self._paired(left, right)

    def cross(self, left: Any, right: Any) -> FloatArray:
        shape = left.shape[0], right.shape[0]
        row, column = np.divmod(np.arange(shape[0] * shape[1]), shape[1])
        return self.pairs(left, right, row, column).reshape(shape)

    def distance_of(self, score: FloatArray) -> FloatArray:
        return _minus_log_probability(score)

    def _paired(self, left: Tensor, right: Tensor) -> Tensor:
        logits: Tensor = self.net.module_((left, right))
        return logits


def make_scorer(net: NeuralNet) -> Scorer:
    """Return the scorer for a trained net; the only place that checks how it was built.

    Parameters
    ----------
    net : NeuralNet

    Returns
    -------
    Scorer
    """
    if isinstance(net.module_, TwoChannelNetwork):
        return PairNetworkScorer(net)
    head = getattr(net.criterion_, "head", None)
    if isinstance(head, Head) and not isinstance(head, DistanceHead):
        return HeadScorer(net, head)
    return DistanceScorer(net, embedding_distance(net))


def _filled(batch: Tensor) -> Tensor:
    """Repeat the last row of a batch (n, d) up to the next multiple of `_FULL`."""
    missing = -len(batch) % _FULL
    return batch if missing == 0 else torch.cat([batch, batch[-1:].expand(missing, -1)])


def _minus_log_probability(logit: FloatArray) -> FloatArray:
    """-log(sigmoid(logit)), without overflow."""
    return np.logaddexp(np.float32(0), -logit)
