"""Small nets, what they train on, and how the estimators train them."""

import numpy as np
import torch
from scipy import sparse
from torch import nn

from arrays import memory_map, read_only
from models import quick
from seeds import torch_seed
from siamese_sklearn import MLPTower, TripletLoss
from siamese_sklearn import _net as nets_of_skorch
from siamese_sklearn._net import Rows, TrainingRun, build_net, embed
from siamese_sklearn.losses import EmbeddingLoss
from siamese_sklearn.losses._resolve import PluggedLoss
from siamese_sklearn.sampling import BalancedBatches
from siamese_sklearn.towers import (
    PseudoSiameseNetwork,
    SiameseNetwork,
    TwoChannelNetwork,
)

CPU = torch.device("cpu")
WIDTH = 3
Y = np.arange(48) % 3
X = (np.random.default_rng(0).normal(size=(48, 4)) + Y[:, None]).astype(np.float32)
X.flags.writeable = False


def small_tower(noise=0.0):
    with torch_seed():
        return MLPTower(hidden_layer_sizes=(8,), noise=noise).build((4,), WIDTH)


def make_net(loss=None, tower=None, normalize=True, network=None, **changes):
    settings = {
        "optimizer": "adamw",
        "lr": 1e-2,
        "weight_decay": 0.0,
        "max_epochs": 5,
        "callbacks": None,
        "net_params": None,
        "device": CPU,
    }
    loss = TripletLoss().build(3, WIDTH) if loss is None else loss
    loss = loss if isinstance(loss, EmbeddingLoss) else PluggedLoss(loss)
    if network is None:
        network = SiameseNetwork(
            small_tower() if tower is None else tower, WIDTH, normalize=normalize
        )
    return build_net(network, loss, **settings | changes)


def make_run(n_epochs, batch_size=16, x=X, y=Y, **changes):
    return TrainingRun(
        rows=Rows(x, device=CPU),
        target=torch.from_numpy(y),
        kept=np.arange(len(y)),
        batches=BalancedBatches(y, batch_size),
        rng=np.random.default_rng(0),
        n_epochs=n_epochs,
        **changes,
    )


def train(net, run):
    """Train as the estimators do."""
    with nets_of_skorch.training(net, run):
        net.fit_loop(run)


def embeddings_of(net):
    return embed(net, Rows(X, device=CPU))


def state_of(net):
    return {name: value.clone() for name, value in net.module_.state_dict().items()}


def same_state(one, other):
    return one.keys() == other.keys() and all(
        torch.equal(one[name], other[name]) for name in one
    )


def make_embedder(**changes):
    return quick(**{"n_components": WIDTH, "batch_size": 16, **changes})


NUMBERS = np.random.default_rng(1).integers(0, 200, size=(30, 6))
KINDS = {
    "float32": lambda _: NUMBERS.astype(np.float32),
    "read-only": lambda _: read_only(NUMBERS.astype(np.float32)),
    "images": lambda _: NUMBERS.reshape(30, 2, 3).astype(np.float32),
    "memmap uint8": lambda folder: memory_map(folder, NUMBERS.astype(np.uint8)),
    "memmap float64": lambda folder: memory_map(folder, NUMBERS.astype(np.float64)),
    "memmap float32": lambda folder: memory_map(folder, NUMBERS.astype(np.float32)),
    "memmap images": lambda folder: memory_map(
        folder, NUMBERS.reshape(30, 2, 3).astype(np.uint8)
    ),
    "csr array": lambda _: sparse.csr_array(NUMBERS.astype(np.float32)),
    "csr matrix": lambda _: sparse.csr_matrix(NUMBERS.astype(np.float64)),
}


def two_towers():
    """A network whose towers differ."""
    left, right = small_tower(), small_tower()
    with torch.no_grad():
        right[-1].weight.neg_()
    return PseudoSiameseNetwork(left, right, WIDTH, normalize=True, may_write=False)


def two_channels(d=4):
    """A network of two channels, of rows of d numbers."""
    with torch_seed():
        return TwoChannelNetwork(
            nn.Sequential(nn.Linear(2 * d, 5), nn.Tanh(), nn.Linear(5, 1))
        )


class DropoutHead(nn.Module):
    """A head from elsewhere, not symmetric, without weights, and not the same twice in
    training.
    """

    def forward(self, left, right):
        return nn.functional.dropout(left - 2 * right, training=self.training).sum(1)


def naive_distance(name, u, v):
    """Distance of two rows, number by number."""
    if name == "manhattan":
        return sum(abs(a - b) for a, b in zip(u, v, strict=True))
    if name == "cosine":
        norms = sum(a * a for a in u) ** 0.5 * sum(b * b for b in v) ** 0.5
        return 1 - sum(a * b for a, b in zip(u, v, strict=True)) / norms
    return sum((a - b) ** 2 for a, b in zip(u, v, strict=True)) ** 0.5


class NaNAfter(nn.Module):
    """A loss that is fine for some batches, and then is not."""

    def __init__(self, n_good, value=float("nan")):
        super().__init__()
        self.n_left = n_good
        self.value = value

    def forward(self, embeddings, labels):
        self.n_left -= 1
        loss = (
            (embeddings[labels == 0] - embeddings[labels == 0].mean(0)).square().mean()
        )
        return loss if self.n_left >= 0 else loss * self.value
