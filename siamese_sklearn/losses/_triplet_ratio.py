"""The loss of the triplet network: which of two rows is of the anchor's class."""

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
    return (
        2 * torch.sigmoid(near - far).square()
    )  # p_near = 1 - p_far, so that both parts are equal


class TripletRatioLoss(LossSpec):
    """Triplet ratio loss, that of the triplet network: which of two rows is of the anchor's class.

    With (p_near, p_far) = softmax(D_ap, D_an), a triplet costs |(p_near, p_far) - (0, 1)|^2 = 2 p_near^2, at
    most 2. The loss of a batch is the mean over the mined triplets.

    Take it where some labels may be wrong: a triplet that is far off costs little more than one that is just
    undecided, and pulls less. It has no margin. Where the labels are right, `TripletLoss` usually goes
    further. Set ``normalize=False`` in the estimator, as in the paper: on the unit sphere distances differ by
    2 at the most, too little for this cost to become small.

    Parameters
    ----------
    distance : {"euclidean", "manhattan", "cosine"}, default="euclidean"
        The paper uses "euclidean".
    mining : {"all", "semihard", "hard", "easy_positive", "random"}, default="all"
        Which triplets of the batch, as for `TripletLoss`. "all" needs O(B^2 K) time and memory for batches of
        B rows, K per class.

    See Also
    --------
    TripletLoss : until a margin is kept, or softly with ``margin="soft"``.

    References
    ----------
    Hoffer & Ailon, "Deep Metric Learning Using Triplet Network", SIMBAD 2015.

    Examples
    --------
    >>> import torch
    >>> module = TripletRatioLoss().build(n_classes=2, n_components=1)
    >>> module(torch.tensor([[0.0], [1.0], [1.0]]), torch.tensor([0, 0, 1]))  # 2 / 4 and 2 / (1 + exp(-1))^2
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
