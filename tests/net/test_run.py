"""What one call of training goes through: batches, their target, their loss."""

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from torch import nn

from nets import (
    CPU,
    WIDTH,
    X,
    Y,
    make_net,
    make_run,
    naive_distance,
    same_state,
    small_tower,
    train,
    two_channels,
    two_towers,
)
from siamese_sklearn import ContrastiveLoss, TripletLoss
from siamese_sklearn._net import Rows, TrainingRun, make_scorer, seeded
from siamese_sklearn.losses import BinaryCrossEntropyLoss, HingeLoss
from siamese_sklearn.losses._resolve import PluggedLoss
from siamese_sklearn.sampling import BalancedBatches, PairedBatches, ShuffledBatches
from siamese_sklearn.towers import SiameseNetwork


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def naive_contrastive(z, labels, margin=0.5):
    """Mean over same pairs plus mean over different ones within the margin, by two
    loops.
    """
    same, different = [], []
    for i, j in itertools.permutations(range(len(z)), 2):
        distance = naive_distance("euclidean", z[i].tolist(), z[j].tolist())
        if labels[i] == labels[j]:
            same.append(distance**2 / 2)
        elif distance < margin:
            different.append((margin - distance) ** 2 / 2)
    return mean(same) + mean(different)


class TestLossOfABatch:
    """The criterion of the net is the loss itself."""

    Z = 0.3 * torch.randn(12, WIDTH, generator=torch.Generator().manual_seed(0))
    LABELS = torch.tensor([0, 1, 2, 0, 1, 2])
    SAME = torch.tensor([1, 0, 0, 1, 0, 1])

    def test_logits(self):
        logits = [0.5, -1.0, 2.0, -0.25, 0.0, 3.0]
        same = [logit for logit, kind in zip(logits, self.SAME, strict=True) if kind]
        different = [
            logit for logit, kind in zip(logits, self.SAME, strict=True) if not kind
        ]
        expected = {
            BinaryCrossEntropyLoss(): (
                lambda o: math.log1p(math.exp(-o)),
                lambda o: math.log1p(math.exp(o)),
            ),
            HingeLoss(margin=1.5): (
                lambda o: max(1.5 - o, 0.0),
                lambda o: max(1.5 + o, 0.0),
            ),
        }
        for spec, (of_same, of_different) in expected.items():
            criterion = spec.build(2, WIDTH)
            value = criterion(torch.tensor(logits), self.SAME)
            assert value.item() == pytest.approx(
                mean(map(of_same, same)) + mean(map(of_different, different))
            )
            assert criterion.n_active.item() == 6

    def test_rows(self):
        criterion = ContrastiveLoss(margin=0.5).build(3, WIDTH)
        expected = naive_contrastive(self.Z[:6], self.LABELS)
        assert criterion(self.Z[:6], self.LABELS).item() == pytest.approx(
            expected, rel=1e-5
        )

    def test_rows_that_pass_two_towers_have_two_embeddings_of_one_class(self):
        losses = []

        class Record(Callback):
            def on_batch_end(self, net, batch, y_pred, **kwargs):
                expected = naive_contrastive(
                    y_pred.detach(), [*Y[self.rows(batch)]] * 2
                )
                losses.append((net.history[-1]["batches"][-1]["train_loss"], expected))

            def rows(self, batch):
                return [
                    int(np.flatnonzero((row == X).all(axis=1))[0])
                    for row in batch[0].numpy()
                ]

        loss = ContrastiveLoss(margin=0.5).build(3, WIDTH)
        train(
            make_net(loss, network=two_towers(), callbacks=[Record()]),
            make_run(1, n_towers=2),
        )
        assert len(losses) == 3
        for found, expected in losses:
            assert found == pytest.approx(expected, rel=1e-5)

    def test_pairs(self):
        left, right = self.Z.chunk(2)
        distance = [
            naive_distance("euclidean", u.tolist(), v.tolist())
            for u, v in zip(left, right, strict=True)
        ]
        of_same = mean(
            d**2 / 2 for d, same in zip(distance, self.SAME, strict=True) if same
        )
        within = [
            d
            for d, same in zip(distance, self.SAME, strict=True)
            if not same and d < 2.0
        ]
        criterion = ContrastiveLoss(margin=2.0).build(3, WIDTH)
        expected = of_same + mean((2.0 - d) ** 2 / 2 for d in within)
        assert criterion((left, right), self.SAME).item() == pytest.approx(
            expected, rel=1e-5
        )

    def test_triplets(self):
        sides = self.Z.chunk(3)
        cost = [
            naive_distance("euclidean", a.tolist(), p.tolist())
            - naive_distance("euclidean", a.tolist(), n.tolist())
            for a, p, n in zip(*sides, strict=True)
        ]
        criterion = TripletLoss(margin=0.4, distance="euclidean").build(3, WIDTH)
        expected = mean(c + 0.4 for c in cost if c + 0.4 > 0)
        assert criterion(sides, torch.zeros(4)).item() == pytest.approx(
            expected, rel=1e-5
        )

    def test_loss_that_does_not_tell_how_many_were_active(self):
        assert PluggedLoss(nn.CosineEmbeddingLoss()).n_active is None


def test_batches_of_given_pairs_pass_through_training():
    pairs = Rows(X, X[::-1].copy(), device=CPU)
    same = torch.from_numpy((Y[::-1] == Y).astype(np.int64))
    seen = []

    def augment(side):
        seen.append(side.shape)
        return side

    net = make_net()
    kept = np.arange(45)
    run = TrainingRun(
        pairs, same, kept, ShuffledBatches(45, 20), np.random.default_rng(0), 2, augment
    )
    train(net, run)
    assert len(net.history) == 2
    assert seen == [(15, 4)] * 12  # two sides, three batches, two epochs
    assert len(run) == 45


def test_only_the_kept_rows_are_trained_on():
    x = X.copy()
    x[:, 0] = np.arange(48)
    seen = []

    def augment(batch):
        seen.extend(batch[:, 0].tolist())
        return batch

    run = make_run(1, x=x, augment=augment)
    run.kept = np.arange(5, 41)
    run.batches = BalancedBatches(Y[5:41], 16)
    targets = torch.cat([target for _, target in run.epoch()])
    assert sorted(seen) == list(range(5, 41))
    assert targets.tolist() == [Y[int(row)] for row in seen]


def numbered():
    """The rows with their numbers in the first column."""
    x = X.copy()
    x[:, 0] = np.arange(48)
    return x


class TestBatchesOfPairs:
    """Pairs of labeled rows, made in the batch."""

    def run(self, n_epochs=1, kept=None, x=X, **changes):
        kept = np.arange(48) if kept is None else kept
        run = make_run(n_epochs, x=x, **changes)
        run.kept, run.batches = kept, PairedBatches(Y[kept], 16)
        return run

    def test_sides_and_target_follow_the_row_numbers(self):
        kept = np.random.default_rng(0).permutation(48)[:37]
        run, laid_out = self.run(kept=kept, x=numbered()), PairedBatches(Y[kept], 16)
        batches = list(run.epoch())
        positions = list(laid_out.epoch(np.random.default_rng(0)))
        assert len(batches) == len(positions) == laid_out.n_batches
        for ((left, right), same), (i, j) in zip(batches, positions, strict=True):
            assert left.numpy().tolist() == [
                numbered()[kept[row]].tolist() for row in i
            ]
            assert right.numpy().tolist() == [
                numbered()[kept[row]].tolist() for row in j
            ]
            assert same.tolist() == [
                int(Y[kept[a]] == Y[kept[b]]) for a, b in zip(i, j, strict=True)
            ]
            assert same.dtype == torch.int64

    def test_each_side_is_augmented_by_itself(self):
        seen = []

        def augment(side):
            seen.append(side[:, 0].tolist())
            return side + 100

        batches = list(self.run(x=numbered(), augment=augment).epoch())
        sides = [side for batch, _ in batches for side in batch]
        assert [(side[:, 0] - 100).tolist() for side in sides] == seen
        lefts = [row for rows in seen[::2] for row in rows]
        assert sorted(lefts) == list(range(48))

    def test_a_batch_is_a_copy(self):
        x = X.copy()
        for (left, right), _ in self.run(x=x).epoch():
            left.fill_(-1.0)
            right.fill_(-1.0)
        assert np.array_equal(x, X)

    @pytest.mark.slow
    @pytest.mark.parametrize("spec", [BinaryCrossEntropyLoss(), HingeLoss()], ids=repr)
    def test_two_channels_learn_from_them(self, spec):
        net = make_net(spec.build(3, WIDTH), network=two_channels(), lr=0.05)
        with seeded(0, CPU):  # the order of the two sides is random
            train(net, self.run(25))
        history = net.history[:, "train_loss"]
        assert np.mean(history[-5:]) < 0.8 * np.mean(history[:5])
        assert len(net.history[-1]["batches"]) == PairedBatches(Y, 16).n_batches
        row, column = np.divmod(np.arange(48 * 48), 48)
        score = make_scorer(net).pairs(X, X, row, column)
        assert score[Y[row] == Y[column]].mean() > score[Y[row] != Y[column]].mean()

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "network", [two_towers, lambda: SiameseNetwork(small_tower(), WIDTH)]
    )
    def test_networks_with_embeddings_learn_from_them_too(self, network):
        net = make_net(ContrastiveLoss(margin=1.0).build(3, WIDTH), network=network())
        train(net, self.run(10))
        assert net.history[-1]["train_loss"] < 0.8 * net.history[0]["train_loss"]


def test_two_towers_learn_from_rows():
    net = make_net(ContrastiveLoss(margin=1.0).build(3, WIDTH), network=two_towers())
    before = [copy.deepcopy(tower.state_dict()) for tower in net.module_.towers]
    train(net, make_run(10, n_towers=2))
    assert net.history[-1]["train_loss"] < 0.8 * net.history[0]["train_loss"]
    for tower, old in zip(net.module_.towers, before, strict=True):
        assert not same_state(tower.state_dict(), old)
