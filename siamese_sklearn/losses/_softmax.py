"""Losses that classify: softmax over the cosines of an embedding with a learned weight vector per class."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from siamese_sklearn._checks import check_number
from siamese_sklearn.losses._base import EmbeddingLoss
from siamese_sklearn.losses._proxy import ProxyModule, ProxySpec

__all__ = [
    "ArcFaceLoss",
    "CosFaceLoss",
    "NormalizedSoftmaxLoss",
    "ProxyNCALoss",
    "add_angle",
]


def add_angle(cosine: Tensor, margin: float) -> Tensor:
    """Cosine of the angle that is `margin` wider (Deng et al. 2019).

    Parameters
    ----------
    cosine : Tensor
        Of the angle theta.
    margin : float
        In radians, from 0 to pi / 2.

    Returns
    -------
    Tensor, of the same shape
        cos(theta + margin); beyond theta + margin = pi, where that would rise again, cos(theta) - margin
        sin(margin), as in the authors' code. So it falls as theta grows from 0 to pi, with a jump downwards
        at that point.

    Examples
    --------
    >>> import math
    >>> import torch
    >>> add_angle(torch.tensor([0.5, -1.0]), margin=math.pi / 2)  # cos(60° + 90°); cos(180°) - pi / 2
    tensor([-0.8660, -2.5708])
    """
    smallest = torch.finfo(
        cosine.dtype
    ).eps  # the root has no finite gradient at cosines of +-1
    sine = (1 - cosine.square()).clamp(min=smallest).sqrt()
    wider = math.cos(margin) * cosine - math.sin(margin) * sine
    return torch.where(
        cosine > -math.cos(margin), wider, cosine - margin * math.sin(margin)
    )


class _SoftmaxModule(ProxyModule):
    """Cross entropy of cosines times `scale`, that of a row's own class made smaller by `shrink` first."""

    def __init__(
        self,
        n_classes: int,
        n_components: int,
        lr: float,
        scale: float,
        shrink: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__(n_classes, n_components, lr)
        self.scale = scale
        self.shrink = shrink

    def formula(self, unit: Tensor, proxies: Tensor, labels: Tensor) -> Tensor:
        logit = (self.scale * unit) @ proxies.T  # (B, n_classes)
        if self.shrink is not None:
            own = labels[:, None]  # (B, 1)
            cosine = logit.gather(1, own) / self.scale
            logit = logit.scatter_add(
                1, own, self.scale * (self.shrink(cosine) - cosine)
            )
        return cross_entropy(logit, labels)


class ProxyNCALoss(ProxySpec):
    """ProxyNCA++: the nearest proxy of a row shall be that of its class.

    A row costs -log softmax(-D^2 / temperature) at its class, with D its distances to the proxies, one for
    each class, learned with the network; embeddings and proxies are of unit norm. The loss of a batch is the
    mean over its rows.

    There D^2 = 2 - 2 cos, so that this is `NormalizedSoftmaxLoss` at half the temperature: take either.

    Parameters
    ----------
    temperature : float, default=0.25
        The lower, the less a row moves once it is right. The paper takes 1/9; on small data that is too
        little to make classes compact, but keeps more of what tells unseen classes apart.
    weights_lr : float, default=0.05
        Learning rate of the proxies, absolute, apart from the estimator's `lr`.

    See Also
    --------
    ProxyAnchorLoss : weighs the hard rows of a batch.

    References
    ----------
    Movshovitz-Attias, Toshev, Leung, Ioffe & Singh, "No Fuss Distance Metric Learning using Proxies", ICCV
    2017.

    Teh, DeVries & Taylor, "ProxyNCA++: Revisiting and Revitalizing Proxy Neighborhood Component Analysis",
    ECCV 2020.

    Examples
    --------
    >>> import torch
    >>> module = ProxyNCALoss(temperature=1.0).build(n_classes=2, n_components=2)
    >>> module.proxies.data = torch.eye(2)
    >>> module(torch.tensor([[3.0, 0.0]]), torch.tensor([0])).detach()  # log(1 + exp(-2))
    tensor(0.1269)
    """

    def __init__(self, temperature: float = 0.25, *, weights_lr: float = 0.05) -> None:
        self.temperature = temperature
        self.weights_lr = weights_lr

    def build(self, n_classes: int, n_components: int) -> EmbeddingLoss:
        scale = 2 / self._positive(
            "temperature"
        )  # D^2 = 2 - 2 cos, and the softmax does not see that 2
        return _SoftmaxModule(
            n_classes, n_components, self._positive("weights_lr"), scale
        )


class NormalizedSoftmaxLoss(ProxySpec):
    """Normalized softmax: classification by cosines, without a bias.

    A row costs -log softmax(cos / temperature) at its class, with cos its cosines to the weight vectors, one
    for each class, learned with the network. The loss of a batch is the mean over its rows.

    Take it as the plainest loss of its kind, when batches cannot be balanced or classes are many: it compares
    rows with classes, never with each other. `ArcFaceLoss` and `CosFaceLoss` ask for a margin as well.

    Parameters
    ----------
    temperature : float, default=0.1
        The lower, the less a row moves once it is right. The paper takes 0.05; on small data that is too
        little to make classes compact, but keeps more of what tells unseen classes apart.
    weights_lr : float, default=0.05
        Learning rate of the weight vectors, absolute, apart from the estimator's `lr`.

    See Also
    --------
    ProxyNCALoss : the same at twice the temperature.
    SupConLoss : a softmax over the other rows of the batch, without weights.

    References
    ----------
    Zhai & Wu, "Classification is a Strong Baseline for Deep Metric Learning", BMVC 2019.

    Examples
    --------
    >>> import torch
    >>> module = NormalizedSoftmaxLoss(temperature=1.0).build(n_classes=2, n_components=2)
    >>> module.proxies.data = torch.eye(2)
    >>> module(torch.tensor([[3.0, 0.0]]), torch.tensor([0])).detach()  # log(1 + exp(-1))
    tensor(0.3133)
    """

    def __init__(self, temperature: float = 0.1, *, weights_lr: float = 0.05) -> None:
        self.temperature = temperature
        self.weights_lr = weights_lr

    def build(self, n_classes: int, n_components: int) -> EmbeddingLoss:
        scale = 1 / self._positive("temperature")
        return _SoftmaxModule(
            n_classes, n_components, self._positive("weights_lr"), scale
        )


class ArcFaceLoss(ProxySpec):
    """ArcFace: classification by angles, that to a row's own class made wider by a margin.

    With theta the angles of a row to the weight vectors, one for each class, learned with the network, a row
    costs the cross entropy of the logits scale cos(theta), where that of its own class is scale cos(theta +
    margin). Beyond theta + margin = pi that would rise again; there it is scale (cos(theta) - margin
    sin(margin)), as in the authors' code, so that the cost grows with theta all the way. The loss of a batch
    is the mean over its rows.

    Take it for faces and the like: many classes of many rows, which have to be compact and apart.

    Parameters
    ----------
    margin : float, default=0.5
        In radians, from 0 to pi / 2.
    scale : float, default=16.0
        The higher, the less a row moves once it is right. The paper takes 64, for 10,000 people and more;
        with 10 to 150 classes that learns more slowly.
    weights_lr : float, default=0.05
        Learning rate of the weight vectors, absolute, apart from the estimator's `lr`.

    See Also
    --------
    CosFaceLoss : a margin on the cosine.
    NormalizedSoftmaxLoss : without a margin.

    References
    ----------
    Deng, Guo, Xue & Zafeiriou, "ArcFace: Additive Angular Margin Loss for Deep Face Recognition", CVPR 2019.

    Examples
    --------
    >>> import math
    >>> import torch
    >>> module = ArcFaceLoss(margin=math.asin(0.6), scale=1.0).build(n_classes=2, n_components=2)
    >>> module.proxies.data = torch.eye(2)
    >>> module(torch.tensor([[3.0, 4.0]]), torch.tensor([0])).detach()  # cosines 0.6 * 0.8 - 0.8 * 0.6, 0.8
    tensor(1.1711)
    """

    def __init__(
        self, margin: float = 0.5, *, scale: float = 16.0, weights_lr: float = 0.05
    ) -> None:
        self.margin = margin
        self.scale = scale
        self.weights_lr = weights_lr

    def build(self, n_classes: int, n_components: int) -> EmbeddingLoss:
        margin = check_number(
            "ArcFaceLoss.margin", self.margin, low=0, high=math.pi / 2
        )
        lr, scale = self._positive("weights_lr"), self._positive("scale")
        return _SoftmaxModule(
            n_classes, n_components, lr, scale, partial(add_angle, margin=margin)
        )


class CosFaceLoss(ProxySpec):
    """CosFace: classification by cosines, that to a row's own class made smaller by a margin.

    With cos the cosines of a row to the weight vectors, one for each class, learned with the network, a row
    costs the cross entropy of the logits scale cos, where that of its own class is scale (cos - margin). The
    loss of a batch is the mean over its rows.

    Take it for what `ArcFaceLoss` is for: its margin is the same at every angle, and at a right angle, where
    training begins, it is the smaller of the two.

    Parameters
    ----------
    margin : float, default=0.35
        From 0 to 2.
    scale : float, default=16.0
        The higher, the less a row moves once it is right. The paper takes 64, for 10,000 people and more;
        with 10 to 150 classes that learns more slowly.
    weights_lr : float, default=0.05
        Learning rate of the weight vectors, absolute, apart from the estimator's `lr`.

    See Also
    --------
    ArcFaceLoss : a margin on the angle.
    NormalizedSoftmaxLoss : without a margin.

    References
    ----------
    Wang, Wang, Zhou, Ji, Gong, Zhou, Li & Liu, "CosFace: Large Margin Cosine Loss for Deep Face Recognition",
    CVPR 2018.

    Examples
    --------
    >>> import torch
    >>> module = CosFaceLoss(margin=0.5, scale=2.0).build(n_classes=2, n_components=2)
    >>> module.proxies.data = torch.eye(2)
    >>> module(torch.tensor([[3.0, 0.0]]), torch.tensor([0])).detach()  # logits 2 * 0.5 and 0
    tensor(0.3133)
    """

    def __init__(
        self, margin: float = 0.35, *, scale: float = 16.0, weights_lr: float = 0.05
    ) -> None:
        self.margin = margin
        self.scale = scale
        self.weights_lr = weights_lr

    def build(self, n_classes: int, n_components: int) -> EmbeddingLoss:
        margin = check_number("CosFaceLoss.margin", self.margin, low=0, high=2)
        lr, scale = self._positive("weights_lr"), self._positive("scale")
        return _SoftmaxModule(
            n_classes, n_components, lr, scale, partial(torch.sub, other=margin)
        )
