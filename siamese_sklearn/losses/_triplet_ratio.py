"""The loss of the triplet network: which of two rows belongs to the anchor's class."""

from __future__ import annotations

import torch
from torch import Tensor

from siamese_sklearn.losses._base import UNSQUARED, LossSpec, TupleLoss
from siamese_sklearn.losses._triplet import SmoothTripletModule

__all__ = ["TripletRatioLoss", "triplet_ratio"]


def triplet_ratio(near: Tensor, far: Tensor) -> Tensor:
    """Ratio loss of each triplet (Hoffer & Ailon 2015).

    Parameters
    ----------
    near, far : Tensor
        Distances of the anchors to their positives and to their negatives.

    Returns
    -------
    Tensor, of the same shape
        |(p_near, p_far) - (0, 1)|^2 with (p_near, p_far) = softmax(D_ap, D_an).

    Examples
    --------
    >>> import torch
    >>> triplet_ratio(torch.tensor([1.0, 9.0]), torch.tensor([1.0, 0.0]))
    tensor([0.5000, 1.9995])
    """
    # Both components are equal, because p_near = 1 - p_far.
    return 2 * torch.sigmoid(near - far).square()


class TripletRatioLoss(LossSpec):
    """Triplet ratio loss: classifies which of two rows belongs to the anchor's class.

    Prefer it to `TripletLoss` when some labels may be wrong: the loss of a triplet is
    at most 2, and its gradient vanishes for a triplet that is far off, so that a
    mislabeled row pulls less than an undecided one. With correct labels, `TripletLoss`
    usually learns more. This loss has no margin.

    With (p_near, p_far) = softmax(D_ap, D_an), the loss of a triplet is
    |(p_near, p_far) - (0, 1)|^2 = 2 p_near^2. The loss of a batch is the mean over the
    mined triplets.

    Set ``normalize=False`` in the estimator, as in the paper: on the unit sphere,
    Euclidean distances differ by at most 2, too little for this loss to become small.

    Parameters
    ----------
    distance : {"euclidean", "manhattan", "cosine"}, default="euclidean"
        The paper uses "euclidean".
    mining : {"all", "semihard", "hard", "easy_positive", "random"}, default="all"
        Which triplets of the batch are used, as in `TripletLoss`. "all" takes O(B^2 K)
        time and memory for batches of B rows, K per class.

    See Also
    --------
    TripletLoss : stops at a margin, or has a soft one with ``margin="soft"``.

    References
    ----------
    Hoffer & Ailon, "Deep Metric Learning Using Triplet Network", SIMBAD 2015.

    Examples
    --------
    The losses of anchors 0 and 1 are 2 / 4 and 2 / (1 + exp(-1))^2.

    >>> import torch
    >>> module = TripletRatioLoss().build(n_classes=2, n_components=1)
    >>> module(torch.tensor([[0.0], [1.0], [1.0]]), torch.tensor([0, 0, 1]))
    tensor(0.7844)
    """

    distances = UNSQUARED
    minings = ("all", "semihard", "hard", "easy_positive", "random")
    takes_tuples = True

    def __init__(self, distance: str = "euclidean", *, mining: str = "all") -> None:
        self.distance = distance
        self.mining = mining

    def build(self, n_classes: int, n_components: int) -> TupleLoss:
        distance = self._option("distance", self.distances)
        return SmoothTripletModule(
            distance, self._option("mining", self.minings), False, triplet_ratio
        )
