"""Data held out of training: who is held out, and what is measured on them."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from seeds import torch_seed
from siamese_sklearn import Pairs, SiameseEmbedder, Triplets
from siamese_sklearn._estimators.holdout import hold_out, measure
from siamese_sklearn._estimators.training_data import TrainingData
from siamese_sklearn._net import Rows, build_net, embed
from siamese_sklearn.losses import TripletLoss
from siamese_sklearn.metrics import map_at_r
from siamese_sklearn.towers import MLPTower, SiameseNetwork

CPU = torch.device("cpu")

labelings = st.lists(st.integers(1, 30), min_size=2, max_size=12).map(
    lambda counts: np.repeat(np.arange(len(counts)), counts)
)
fractions = st.floats(0.01, 0.9)
seeds = st.integers(0, 2**32 - 1)


def rng(seed=0):
    return np.random.default_rng(seed)


def shuffled(labels, seed):
    return rng(seed).permutation(labels)


class TestRows:
    @pytest.mark.slow
    @given(labelings, fractions, seeds)
    def test_every_row_is_kept_or_held(self, labels, fraction, seed):
        assume(np.bincount(labels).max() >= 3)
        labels = shuffled(labels, seed)
        kept, held = hold_out(labels, fraction, "rows", rng(seed))
        assert np.array_equal(
            np.sort(np.concatenate([kept, held])), np.arange(len(labels))
        )
        assert np.array_equal(kept, np.sort(kept))
        assert len(held) > 0

    @pytest.mark.slow
    @given(labelings, fractions, seeds)
    def test_every_class_keeps_two_rows(self, labels, fraction, seed):
        assume(np.bincount(labels).max() >= 3)
        kept, _ = hold_out(shuffled(labels, seed), fraction, "rows", rng(seed))
        before = np.bincount(labels)
        after = np.bincount(shuffled(labels, seed)[kept], minlength=len(before))
        assert (after >= np.minimum(before, 2)).all()

    @pytest.mark.slow
    @given(labelings, fractions, seeds)
    def test_each_class_gives_its_share(self, labels, fraction, seed):
        count = np.bincount(labels)
        assume(count.max() >= 3)
        _, held = hold_out(labels, fraction, "rows", rng(seed))
        n_held = np.bincount(labels[held], minlength=len(count))
        share = np.where(count >= 3, fraction * count, 0)
        assert (n_held < share + 1).all() or n_held.sum() == 1 or len(count) == 2
        full = share <= count - 2  # not cut short to leave two
        assert (n_held[full] > share[full] - 1).all()

    @pytest.mark.slow
    @given(st.integers(3, 20), st.integers(2, 60), st.floats(0.05, 0.3), seeds)
    def test_share_of_all_rows(self, n_rows, n_classes, fraction, seed):
        assume(
            fraction * n_rows <= n_rows - 2
            and n_classes * n_rows * fraction >= 1
            and n_classes > 2
        )
        labels = np.repeat(np.arange(n_classes), n_rows)
        _, held = hold_out(labels, fraction, "rows", rng(seed))
        wanted = fraction * len(labels)
        # also where a class's share is less than a row
        assert wanted - 1 < len(held) < wanted + 1

    def test_every_row_can_be_held_out(self):
        labels = np.repeat([0, 1, 2], [3, 5, 10])
        generator = rng()
        seen = np.concatenate(
            [hold_out(labels, 0.2, "rows", generator)[1] for _ in range(200)]
        )
        assert set(seen) == set(range(18))

    def test_rows_are_drawn_evenly(self):
        labels = np.repeat([0, 1, 2, 3], 10)
        generator = rng()
        seen = np.concatenate(
            [hold_out(labels, 0.2, "rows", generator)[1] for _ in range(1000)]
        )
        # Each row is held in 1 of 5 draws: 200 +- 5 standard deviations of a binomial,
        # sqrt(1000 * .2 * .8).
        assert np.abs(np.bincount(seen, minlength=40) - 200).max() < 5 * 12.65

    def test_seed(self):
        labels = np.repeat([0, 1, 2], 20)
        first, again, other = (
            hold_out(labels, 0.3, "rows", rng(seed))[1] for seed in (0, 0, 1)
        )
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)

    @pytest.mark.parametrize("counts", [(5, 5), (3, 3), (3, 900), (900, 4)])
    @pytest.mark.parametrize("seed", range(5))
    def test_of_two_classes_both_are_held_out(self, counts, seed):
        labels = np.repeat([0, 1], counts)
        _, held = hold_out(labels, 0.01, "rows", rng(seed))
        assert set(labels[held]) == {0, 1}

    def test_few_rows_hold_out_one(self):
        _, held = hold_out(np.array([0, 0, 0, 1, 2]), 0.01, "rows", rng())
        assert len(held) == 1
        assert held[0] < 3

    def test_classes_too_small(self):
        with pytest.raises(
            ValueError, match=r'no class has 3 of them.*validation_split="classes"'
        ):
            hold_out(np.array([0, 0, 1, 1, 2]), 0.5, "rows", rng())


class TestClasses:
    @pytest.mark.slow
    @given(labelings, fractions, seeds)
    def test_whole_classes_are_held_out(self, labels, fraction, seed):
        count = np.bincount(labels)
        n_held = max(round(fraction * len(count)), 2)
        assume((count >= 2).sum() >= n_held + 1 and len(count) >= n_held + 2)
        labels = shuffled(labels, seed)
        kept, held = hold_out(labels, fraction, "classes", rng(seed))
        assert np.array_equal(
            np.sort(np.concatenate([kept, held])), np.arange(len(labels))
        )
        assert set(labels[kept]).isdisjoint(labels[held])
        assert len(set(labels[held])) == n_held
        assert (count[np.unique(labels[held])] >= 2).all()
        assert np.bincount(labels[kept]).max() >= 2
        assert len(set(labels[kept])) >= 2

    def test_every_class_of_two_rows_can_be_held_out(self):
        labels = np.repeat(np.arange(7), [1, 2, 2, 2, 5, 5, 1])
        generator = rng()
        seen = [
            labels[hold_out(labels, 0.1, "classes", generator)[1]] for _ in range(100)
        ]
        assert set(np.concatenate(seen)) == {1, 2, 3, 4, 5}

    def test_the_error_names_what_helps(self):
        three, four = np.repeat(np.arange(3), 2), np.repeat(np.arange(4), 2)
        message = (
            r'at least 2 others, 4 in all; got 3 classes.* Set validation_split="rows"'
            r", or pass more classes\.$"
        )
        with pytest.raises(ValueError, match=message):
            hold_out(three, 0.1, "classes", rng())
        with pytest.raises(ValueError, match=r"6 in all.*, or a smaller `valid"):
            hold_out(four, 0.9, "classes", rng())

    @pytest.mark.parametrize(
        ("labels", "fraction", "text"),
        [
            (
                [0, 0, 1, 1, 2, 2],
                0.1,
                "holds out 2 classes .* got 3 classes, 3 of them",
            ),
            (
                [0, 0, 1, 1, 2, 3, 4, 5],
                0.1,
                "holds out 2 classes .* got 6 classes, 2 of them",
            ),
            (
                [0, 0, 1, 1, 2, 2, 3, 3],
                0.9,
                "holds out 4 classes .* got 4 classes, 4 of them",
            ),
            (
                [0, 0, 7, 7, 9, 9],
                0.1,
                "holds out 2 classes .* got 3 classes, 3 of them",
            ),
        ],
    )
    def test_too_few_classes(self, labels, fraction, text):
        with pytest.raises(ValueError, match=text):
            hold_out(np.array(labels), fraction, "classes", rng())

    def test_numbers_of_absent_classes_do_not_count(self):
        # as when partial_fit was told of 1000 classes
        labels = np.repeat([3, 500, 700, 999], 2)
        _, held = hold_out(labels, 0.1, "classes", rng())
        assert len(held) == 4


@pytest.fixture(params=["euclidean", "sqeuclidean", "manhattan", "cosine"])
def net(request):
    with torch_seed():
        tower = MLPTower(hidden_layer_sizes=(8,)).build((4,), 3)
    return build_net(
        SiameseNetwork(tower, 3, normalize=False),
        TripletLoss(distance=request.param).build(2, 3),
        optimizer="adamw",
        lr=1e-3,
        weight_decay=0.0,
        max_epochs=1,
        callbacks=None,
        net_params=None,
        device=CPU,
    )


def naive_distance(net, left, right):
    """Distance of the loss between the embeddings of rows, one pair at a time, in
    float64.
    """
    name = net.criterion_.distance.name
    one, other = (
        embed(net, Rows(side, device=CPU)).astype(np.float64) for side in (left, right)
    )
    values = []
    for u, v in zip(one, other, strict=True):
        if name == "manhattan":
            values.append(np.abs(u - v).sum())
        elif name == "cosine":
            values.append(1 - u @ v / np.linalg.norm(u) / np.linalg.norm(v))
        else:
            values.append(np.linalg.norm(u - v))
    return np.array(values)


def table(n, seed):
    return rng(seed).normal(size=(n, 4)).astype(np.float32)


def measured(data, held=None, gallery=None):
    """What early stopping watches; all rows are held out unless others are given."""
    held = np.arange(len(data.target)) if held is None else held
    return measure(data, held, gallery, CPU, rng())


class TestMeasures:
    def test_rows_among_themselves(self, net):
        X, labels = table(30, 0), np.arange(30) % 4
        figure = measured(TrainingData("rows", (X,), labels))
        name = {"sqeuclidean": "euclidean"}.get(
            net.criterion_.distance.name, net.criterion_.distance.name
        )
        embeddings = embed(net, Rows(X, device=CPU))
        assert figure(net) == map_at_r(embeddings, labels, distance=name)

    def test_rows_in_a_gallery(self, net):
        X, labels = table(30, 0), np.arange(30) % 4
        G, gallery_labels = table(50, 1), np.arange(50) % 4
        data = TrainingData(
            "rows", (np.concatenate([G, X]),), np.concatenate([gallery_labels, labels])
        )
        figure = measured(data, held=np.arange(50, 80), gallery=np.arange(50))
        by_hand = []
        for row, label in zip(X, labels, strict=True):
            distance = naive_distance(net, np.tile(row, (50, 1)), G)
            relevant = gallery_labels[np.argsort(distance)] == label
            n_relevant = relevant.sum()
            precision = [
                relevant[: i + 1].mean() * relevant[i] for i in range(n_relevant)
            ]
            by_hand.append(sum(precision) / n_relevant)
        assert figure(net) == pytest.approx(np.mean(by_hand))

    def test_pairs(self, net):
        left, right, same = table(30, 0), table(30, 1), np.arange(30) % 2
        figure = measured(TrainingData("pairs", (left, right), same))
        distance = naive_distance(net, left, right)
        in_order = np.mean(
            [near < far for near in distance[same == 1] for far in distance[same == 0]]
        )
        assert figure(net) == pytest.approx(in_order)
        assert figure(net) == pytest.approx(roc_auc_score(same, -distance))

    def test_triplets(self, net):
        anchor, positive, negative = table(30, 0), table(30, 1), table(30, 2)
        figure = measured(
            TrainingData(
                "triplets", (anchor, positive, negative), np.zeros(30, dtype=int)
            )
        )
        expected = np.mean(
            naive_distance(net, anchor, positive)
            < naive_distance(net, anchor, negative)
        )
        assert figure(net) == pytest.approx(expected)
        assert 0 < figure(net) < 1

    def test_measure_follows_the_net(self, net):
        X, labels = table(30, 0), np.arange(30) % 4
        figure = measured(TrainingData("rows", (X,), labels))
        before = figure(net)
        with torch.no_grad():
            net.module_.tower[-1].weight.mul_(torch.tensor([[1.0], [0.0], [0.0]]))
        assert figure(net) != before

    @pytest.mark.parametrize("kind", [0, 1])
    def test_pairs_of_one_kind(self, kind):
        data = TrainingData("pairs", (table(5, 0), table(5, 1)), np.full(5, kind))
        with pytest.raises(
            ValueError, match=r"`early_stopping=True` .* fewer than 3 of one kind"
        ):
            measured(data)


class TestInTheEmbedder:
    @pytest.mark.parametrize("split", ["rows", "classes"])
    def test_recorded_figure_is_that_of_the_held_rows(self, digits, split, monkeypatch):
        X, y = digits
        drawn = []

        def spy(*args):
            drawn.append(hold_out(*args))
            return drawn[-1]

        monkeypatch.setattr("siamese_sklearn._estimators.embedder.hold_out", spy)
        embedder = SiameseEmbedder(
            n_components=4,
            tower="mlp",
            max_epochs=1,
            early_stopping=True,
            validation_split=split,
            random_state=0,
        ).fit(X, y)
        ((kept, held),) = drawn
        gallery = {}
        if split == "rows":
            gallery = {
                "gallery": embedder.transform(X[kept]),
                "gallery_labels": y[kept],
            }
        assert embedder.history_[-1]["valid_score"] == map_at_r(
            embedder.transform(X[held]), y[held], **gallery
        )

    @pytest.mark.parametrize("seed", range(4))
    def test_few_pairs_of_both_kinds_are_enough(self, iris, seed):
        X, _ = iris
        embedder = SiameseEmbedder(
            n_components=2, max_epochs=2, early_stopping=True, random_state=seed
        )
        embedder.fit(Pairs(X[:10], X[40:50]), np.repeat([0, 1], [7, 3]))
        assert all(0 <= score <= 1 for score in embedder.history_[:, "valid_score"])

    def test_too_few_pairs_of_one_kind(self, iris):
        X, _ = iris
        embedder = SiameseEmbedder(n_components=2, early_stopping=True)
        with pytest.raises(
            ValueError, match=r"`early_stopping=True` .* fewer than 3 of one kind"
        ):
            embedder.fit(Pairs(X[:10], X[40:50]), np.repeat([0, 1], [8, 2]))

    def test_triplets(self, iris):
        X, _ = iris
        embedder = SiameseEmbedder(
            n_components=2,
            loss=TripletLoss(),
            max_epochs=3,
            early_stopping=True,
            random_state=0,
        )
        embedder.fit(Triplets(X[:40], X[5:45], X[60:100]))
        assert all(0 <= score <= 1 for score in embedder.history_[:, "valid_score"])
