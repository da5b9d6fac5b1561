"""Losses that classify rows by their cosines to one learned weight vector per class."""

from __future__ import annotations

import math
from collections.abc import Callable

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
    """Cosine of an angle that is widened by `margin` (Deng et al. 2019).

    Parameters
    ----------
    cosine : Tensor
        Cosine of the angle theta.
    margin : float
        In radians, from 0 to pi / 2.

    Returns
    -------
    Tensor, of the same shape
        cos(theta + margin). Beyond theta + margin = pi, where that would rise again, it
        is cos(theta) - margin sin(margin), as in the authors' code. The result
        therefore falls as theta grows from 0 to pi, with a downward jump at that point.

    Examples
    --------
    The angles are 60 and 180 degrees: cos(60° + 90°) and cos(180°) - pi / 2.

    >>> import math
    >>> import torch
    >>> add_angle(torch.tensor([0.5, -1.0]), margin=math.pi / 2)
    tensor([-0.8660, -2.5708])
    """
    smallest = torch.finfo(cosine.dtype).eps  # finite gradients at cosines of +-1
    sine = (1 - cosine.square()).clamp(min=smallest).sqrt()
    wider = math.cos(margin) * cosine - math.sin(margin) * sine
    return torch.where(
        cosine > -math.cos(margin), wider, cosine - margin * math.sin(margin)
    )


class _SoftmaxModule(ProxyModule):
    """Cross-entropy of scaled cosines.

    ``shrink(cosine, margin)`` lowers the cosine of the true class; None keeps it.
    """

    def __init__(
        self,
        n_classes: int,
        n_components: int,
        lr: float,
        scale: float,
        shrink: Callable[[Tensor, float], Tensor] | None = None,
        margin: float = 0.0,
    ) -> None:
        super().__init__(n_classes, n_components, lr)
        self.scale = scale
        self.shrink = shrink
        self.margin = margin

    def formula(self, unit: Tensor, proxies: Tensor, labels: Tensor) -> Tensor:
        logit = (self.scale * unit) @ proxies.T  # (B, n_classes)
        if self.shrink is not None:
            own = labels[:, None]  # (B, 1)
            cosine = logit.gather(1, own) / self.scale
            logit = logit.scatter_add(
                1, own, self.scale * (self.shrink(cosine, self.margin) - cosine)
            )
        return cross_entropy(logit, labels)


class ProxyNCALoss(ProxySpec):
    """ProxyNCA++: the nearest proxy of a row should be the proxy of its class.

    It is `NormalizedSoftmaxLoss` at half the temperature, because D^2 = 2 - 2 cos on
    the unit sphere: prefer either to losses on pairs when batches cannot be balanced or
    there are many classes, and `ProxyAnchorLoss` when hard rows should get more weight.

    The loss of a row is -log softmax(-D^2 / temperature) at its class, with D its
    distances to the proxies. There is one proxy per class, and the proxies are learned
    together with the network. Embeddings and proxies are normalized to unit norm. The
    loss of a batch is the mean over its rows.

    Parameters
    ----------
    temperature : float, default=0.25
        With lower values, a row stops moving sooner once it is classified correctly.
        The paper uses 1/9; on small data, that is too low to make classes compact, but
        it keeps more of what distinguishes unseen classes.
    weights_lr : float, default=0.05
        Learning rate of the proxies, independent of the estimator's `lr`.

    See Also
    --------
    ProxyAnchorLoss : gives the hard rows of a batch more weight.
    NormalizedSoftmaxLoss : the same at half the temperature.

    References
    ----------
    Movshovitz-Attias, Toshev, Leung, Ioffe & Singh, "No Fuss Distance Metric Learning
    using Proxies", ICCV 2017.

    Teh, DeVries & Taylor, "ProxyNCA++: Revisiting and Revitalizing Proxy Neighborhood
    Component Analysis", ECCV 2020.

    Examples
    --------
    The squared distances are 0 and 2, and the loss is log(1 + exp(-2)).

    >>> import torch
    >>> module = ProxyNCALoss(temperature=1.0).build(n_classes=2, n_components=2)
    >>> module.proxies.data = torch.eye(2)
    >>> module(torch.tensor([[3.0, 0.0]]), torch.tensor([0])).detach()
    tensor(0.1269)
    """

    def __init__(self, temperature: float = 0.25, *, weights_lr: float = 0.05) -> None:
        self.temperature = temperature
        self.weights_lr = weights_lr

    def build(self, n_classes: int, n_components: int) -> EmbeddingLoss:
        # D^2 = 2 - 2 cos, and the softmax ignores the constant.
        scale = 2 / self._positive("temperature")
        return _SoftmaxModule(
            n_classes, n_components, self._positive("weights_lr"), scale
        )


class NormalizedSoftmaxLoss(ProxySpec):
    """Normalized softmax: classifies rows by cosine, without a bias.

    Prefer it when batches cannot be balanced or there are many classes: it compares
    rows with classes, never with each other. It is the simplest loss of this kind;
    `ArcFaceLoss` and `CosFaceLoss` add a margin.

    The loss of a row is -log softmax(cos / temperature) at its class, with cos its
    cosines to the weight vectors. There is one weight vector per class, and the vectors
    are learned together with the network. The loss of a batch is the mean over its
    rows.

    Parameters
    ----------
    temperature : float, default=0.1
        With lower values, a row stops moving sooner once it is classified correctly.
        The paper uses 0.05; on small data, that is too low to make classes compact, but
        it keeps more of what distinguishes unseen classes.
    weights_lr : float, default=0.05
        Learning rate of the weight vectors, independent of the estimator's `lr`.

    See Also
    --------
    ProxyNCALoss : the same at twice the temperature.
    SupConLoss : a softmax over the other rows of the batch, without weight vectors.

    References
    ----------
    Zhai & Wu, "Classification is a Strong Baseline for Deep Metric Learning", BMVC
    2019.

    Examples
    --------
    The cosines are 1 and 0, and the loss is log(1 + exp(-1)).

    >>> import torch
    >>> loss = NormalizedSoftmaxLoss(temperature=1.0)
    >>> module = loss.build(n_classes=2, n_components=2)
    >>> module.proxies.data = torch.eye(2)
    >>> module(torch.tensor([[3.0, 0.0]]), torch.tensor([0])).detach()
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
    """ArcFace: classifies rows by angle, with an additive margin on the angle.

    Prefer it for faces and similar data: many classes with many rows each, which must
    be compact and well separated.

    The loss of a row is the cross-entropy of the logits scale cos(theta), where theta
    are the angles between the row and the weight vectors; the logit of its own class is
    scale cos(theta + margin). There is one weight vector per class, and the vectors are
    learned together with the network. Beyond theta + margin = pi, the logit of its own
    class would rise again; there it is scale (cos(theta) - margin sin(margin)), as in
    the authors' code, so that the loss grows with theta everywhere. The loss of a batch
    is the mean over its rows.

    Parameters
    ----------
    margin : float, default=0.5
        In radians, from 0 to pi / 2.
    scale : float, default=16.0
        With higher values, a row stops moving sooner once it is classified correctly.
        The paper uses 64, for 10,000 people and more; with 10 to 150 classes, 64 learns
        more slowly.
    weights_lr : float, default=0.05
        Learning rate of the weight vectors, independent of the estimator's `lr`.

    See Also
    --------
    CosFaceLoss : a margin on the cosine.
    NormalizedSoftmaxLoss : no margin.

    References
    ----------
    Deng, Guo, Xue & Zafeiriou, "ArcFace: Additive Angular Margin Loss for Deep Face
    Recognition", CVPR 2019.

    Examples
    --------
    The logits are cos(theta + margin) = 0.6 * 0.8 - 0.8 * 0.6 = 0 and 0.8.

    >>> import math
    >>> import torch
    >>> loss = ArcFaceLoss(margin=math.asin(0.6), scale=1.0)
    >>> module = loss.build(n_classes=2, n_components=2)
    >>> module.proxies.data = torch.eye(2)
    >>> module(torch.tensor([[3.0, 4.0]]), torch.tensor([0])).detach()
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
        return _SoftmaxModule(n_classes, n_components, lr, scale, add_angle, margin)


class CosFaceLoss(ProxySpec):
    """CosFace: classifies rows by cosine, with an additive margin on the cosine.

    It serves the same purpose as `ArcFaceLoss`. Its margin is the same at every angle;
    at right angles, where training starts, it is the smaller of the two (0.35 against
    0.48 with the default parameters). Prefer it for a gentler start.

    The loss of a row is the cross-entropy of the logits scale cos, where cos are the
    cosines between the row and the weight vectors; the logit of its own class is
    scale (cos - margin). There is one weight vector per class, and the vectors are
    learned together with the network. The loss of a batch is the mean over its rows.

    Parameters
    ----------
    margin : float, default=0.35
        From 0 to 2.
    scale : float, default=16.0
        With higher values, a row stops moving sooner once it is classified correctly.
        The paper uses 64, for 10,000 people and more; with 10 to 150 classes, 64 learns
        more slowly.
    weights_lr : float, default=0.05
        Learning rate of the weight vectors, independent of the estimator's `lr`.

    See Also
    --------
    ArcFaceLoss : a margin on the angle.
    NormalizedSoftmaxLoss : no margin.

    References
    ----------
    Wang, Wang, Zhou, Ji, Gong, Zhou, Li & Liu, "CosFace: Large Margin Cosine Loss for
    Deep Face Recognition", CVPR 2018.

    Examples
    --------
    The logits are 2 * (1 - 0.5) and 0.

    >>> import torch
    >>> module = CosFaceLoss(margin=0.5, scale=2.0).build(n_classes=2, n_components=2)
    >>> module.proxies.data = torch.eye(2)
    >>> module(torch.tensor([[3.0, 0.0]]), torch.tensor([0])).detach()
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
        return _SoftmaxModule(n_classes, n_components, lr, scale, torch.sub, margin)
