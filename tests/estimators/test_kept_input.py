"""What an embedding keeps of its input: the map against one worked out naively, and the
choice of its scale and its weight on data whose best choice is known.
"""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import inv, sqrtm
from sklearn.decomposition import PCA

from siamese_sklearn._estimators import class_folds, input_path
from siamese_sklearn._estimators.input_path import (
    InputScale,
    choose_scale,
    choose_weight,
    learn_input_path,
)
from siamese_sklearn._estimators.training_data import TrainingData

SHRINKAGES = [math.inf, 3.0, 0.3]
USUAL = InputScale(True, 1.0)


def rng(seed=0):
    return np.random.default_rng(seed)


def table(n=60, d=5, n_classes=4, seed=0):
    """Rows of classes that differ in their means, with features of different scale that
    are correlated within classes.
    """
    draw = rng(seed)
    labels = np.arange(n) % n_classes
    within = draw.normal(size=(n, d)) @ draw.normal(size=(d, d))
    means = 2 * draw.normal(size=(n_classes, d))[labels]
    return (within + means) * np.arange(1, d + 1) + 10, labels


def as_data(X, labels):
    return TrainingData("rows", (X,), labels, np.unique(labels))


def learned(X, labels, width=4, scale=USUAL, index=None, seed=0):
    index = np.arange(len(X)) if index is None else index
    return learn_input_path(as_data(X, labels), index, width, scale, rng(seed))


def mapped(path, X):
    """Unit vectors, in float64."""
    with torch.no_grad():
        return path.double()(torch.from_numpy(np.asarray(X, np.float64))).numpy()


def cosines(unit):
    return unit @ unit.T


def scatter_within(rows, labels):
    """Sum over all rows of the outer square of their distance to the mean of their
    class.
    """
    means = {label: rows[labels == label].mean(axis=0) for label in set(labels)}
    return sum(
        np.outer(row - means[label], row - means[label])
        for row, label in zip(rows, labels, strict=True)
    )


def naive(X, labels, width, alike, shrinkage):
    """The unit vectors of the rows, as the docstrings describe them."""
    variance = X.var(axis=0)
    scaled = (X - X.mean(0)) / np.sqrt(variance.mean() if alike else variance)
    within = scatter_within(scaled, labels)
    if not math.isinf(shrinkage):
        mean_eigenvalue = np.trace(within) / len(within)
        scaled = scaled @ inv(
            sqrtm(within + shrinkage * mean_eigenvalue * np.eye(len(within)))
        )
        scaled *= math.sqrt(mean_eigenvalue)
    components = PCA(width - 1).fit_transform(scaled)
    mean_square = np.square(components).sum(axis=1).mean()
    lifted = np.column_stack([components, np.full(len(X), math.sqrt(mean_square))])
    return lifted / np.linalg.norm(lifted, axis=1, keepdims=True)


class TestMap:
    @pytest.mark.parametrize("shrinkage", SHRINKAGES)
    @pytest.mark.parametrize("alike", [True, False])
    @pytest.mark.parametrize("width", [2, 4, 6])
    def test_is_the_naive_one_up_to_a_rotation(self, width, alike, shrinkage):
        X, labels = table()
        path = learned(X, labels, width, InputScale(alike, shrinkage))
        assert path.width == width
        assert float(path.weight) == 0.5
        np.testing.assert_allclose(
            cosines(mapped(path, X)),
            cosines(naive(X, labels, width, alike, shrinkage)),
            atol=1e-5,
        )

    def test_options_tell_the_maps_apart(self):
        X, labels = table()
        maps = [
            cosines(mapped(learned(X, labels, 4, InputScale(alike, shrinkage)), X))
            for alike in (True, False)
            for shrinkage in SHRINKAGES
        ]
        for number, one in enumerate(maps):
            for other in maps[number + 1 :]:
                assert np.abs(one - other).max() > 0.05

    def test_scatter_within_classes_is_damped(self):
        """Two features of the same variance, 1: classes differ in the first, whose
        variance within them is nearly zero; rows of one class in the second, with all
        of the scatter. So W / w is diag(0, 2), and the second is divided by
        sqrt((2 + 0.1) / 0.1) more than the first, which has the larger part of the
        squared length: 1 to 1/21.
        """
        labels = np.repeat([0, 1], 2)
        X = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
        path = learned(X, labels, 3, InputScale(True, 0.1))
        first, second, constant = np.abs(mapped(path, X)[0])
        assert first / second == pytest.approx(math.sqrt(21), rel=1e-6)
        assert constant**2 == pytest.approx(first**2 + second**2, rel=1e-6)

    def test_only_rows_of_the_index(self):
        X, labels = table()
        index = rng().permutation(60)[:40]
        some = learned(X, labels, index=index)
        alone = learned(X[index], labels[index])
        np.testing.assert_allclose(
            cosines(mapped(some, X)), cosines(mapped(alone, X)), atol=1e-5
        )

    def test_rows_of_classes_of_one_count_for_the_mean_only(self):
        """A row alone in its class says nothing about the scatter within classes."""
        X, labels = table()
        alone = np.concatenate([labels, [4, 5]])
        X = np.vstack([X, X[:2] + 3])
        path = learned(X, alone, scale=InputScale(True, 0.3))
        np.testing.assert_allclose(
            cosines(mapped(path, X)), cosines(naive(X, alone, 4, True, 0.3)), atol=1e-5
        )

    def test_images_are_flattened(self):
        X, labels = table(d=6)
        flat, images = learned(X, labels), learned(X.reshape(60, 2, 3), labels)
        for name, value in flat.state_dict().items():
            assert torch.equal(images.state_dict()[name], value)

    @pytest.mark.parametrize("shrinkage", SHRINKAGES)
    def test_one_factor_and_any_offset_change_nothing(self, shrinkage):
        X, labels = table()
        before = cosines(mapped(learned(X, labels, 4, InputScale(True, shrinkage)), X))
        for changed in (1000 * X, X / 1000, X + 100 * np.arange(5)):
            path = learned(changed, labels, 4, InputScale(True, shrinkage))
            np.testing.assert_allclose(
                cosines(mapped(path, changed)), before, atol=1e-4
            )

    @pytest.mark.parametrize("shrinkage", SHRINKAGES)
    def test_factors_of_features(self, shrinkage):
        """They change nothing if each is scaled to unit variance."""
        X, labels = table()
        changed = X * [1e-3, 1, 7, 1e3, -5]
        for alike in (True, False):
            scale = InputScale(alike, shrinkage)
            before, after = (
                cosines(mapped(learned(rows, labels, 4, scale), rows))
                for rows in (X, changed)
            )
            assert (np.abs(before - after).max() < 1e-4) == (not alike)

    @pytest.mark.parametrize("alike", [True, False])
    @pytest.mark.parametrize("shrinkage", SHRINKAGES)
    def test_a_constant_feature_has_no_part_in_it(self, alike, shrinkage):
        X, labels = table(d=4)
        scale = InputScale(alike, shrinkage)
        for value in (0.0, 0.1, -1e7):
            constant = np.insert(X.astype(np.float32), 2, value, axis=1)
            path = learned(constant, labels, 4, scale)
            assert all(buffer.isfinite().all() for buffer in path.buffers())
            if not alike and math.isinf(shrinkage):
                without = learned(X.astype(np.float32), labels, 4, scale)
                np.testing.assert_allclose(
                    cosines(mapped(path, constant)),
                    cosines(mapped(without, X)),
                    atol=1e-5,
                )

    def test_rounding_of_a_constant_feature_is_no_spread(self):
        """Its values differ by 1 in 10 million; at unit variance, they would be a
        feature like the others.
        """
        X, labels = table(d=4)
        X = X.astype(np.float32)
        value = np.float32(1e7) + rng().integers(0, 2, 60).astype(np.float32)
        scale = InputScale(False, math.inf)
        rounded = np.insert(X, 2, value, axis=1)
        path, without = learned(rounded, labels, 4, scale), learned(X, labels, 4, scale)
        np.testing.assert_allclose(
            cosines(mapped(path, rounded)), cosines(mapped(without, X)), atol=0.1
        )

    @pytest.mark.parametrize("alike", [True, False])
    @pytest.mark.parametrize("shrinkage", SHRINKAGES)
    @pytest.mark.parametrize(
        "X",
        [
            np.repeat(rng().normal(size=(4, 5)), 3, axis=0),
            np.ones((12, 5)),
            np.zeros((12, 5)),
            np.repeat(rng().normal(size=(6, 5)), 2, axis=0) * [0, 1, 1e-30, 1e6, 0],
        ],
        ids=["equal in each class", "all equal", "zeros", "duplicates"],
    )
    def test_rows_without_scatter(self, X, alike, shrinkage):
        labels = np.repeat(np.arange(4), 3)
        path = learned(X.astype(np.float32), labels, 4, InputScale(alike, shrinkage))
        unit = mapped(path, X)
        assert np.isfinite(unit).all()
        np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, rtol=1e-6)

    @pytest.mark.parametrize(("n", "d"), [(60, 2), (60, 1), (12, 40), (150, 140)])
    def test_fewer_directions_than_asked_for(self, n, d):
        """The path is as wide as the rows have directions, and a constant."""
        X, labels = table(n=n, d=d)
        path = learned(X, labels, 200, InputScale(False, 1.0))
        assert path.width == min(n, d, 128) + 1
        unit = mapped(path, X)
        assert unit.shape == (n, path.width)
        np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, rtol=1e-6)

    def test_more_features_than_rows(self):
        """The 11 directions that 12 centered rows have, and one that they do not."""
        X, labels = table(n=12, d=40)
        path = learned(X, labels, 30, InputScale(True, math.inf))
        np.testing.assert_allclose(
            cosines(mapped(path, X)),
            cosines(naive(X, labels, 12, True, math.inf)),
            atol=1e-5,
        )

    def test_more_rows_than_needed(self):
        """5,000 of 8,000 rows: the means are right to 5 of their deviations."""
        X, labels = table(n=8000, d=4)
        path = learned(X, labels, 4, InputScale(True, 0.3))
        assert not np.allclose(path.mean, X.mean(0), atol=1e-6)
        error = np.abs(path.mean.numpy() - X.mean(0)) / (X.std(0) / math.sqrt(5000))
        assert 0 < error.max() < 5
        np.testing.assert_allclose(
            cosines(mapped(path, X[:50])),
            cosines(naive(X, labels, 4, True, 0.3)[:50]),
            atol=0.05,
        )

    def test_rows_are_read_up_to_a_number_of_numbers(self, monkeypatch):
        monkeypatch.setattr(input_path, "_MAX_NUMBERS", 30 * 5)
        monkeypatch.setattr(class_folds, "_MIN_ROWS", 2)
        X, labels = table()
        read = []

        class Rows(np.ndarray):
            def __getitem__(self, index):
                if isinstance(index, np.ndarray):
                    read.append(index)
                return super().__getitem__(index)

        learned(X.view(Rows), labels)
        (index,) = read
        assert len(index) == len(set(index)) == 28  # 7 of each of 4 classes
        assert np.bincount(labels[index]).tolist() == [7] * 4

    def test_follows_the_seed(self):
        X, labels = table(n=6000, d=3)
        one, same, other = (learned(X, labels, seed=seed) for seed in (0, 0, 1))
        assert torch.equal(one.mean, same.mean)
        assert torch.equal(one.projection, same.projection)
        assert not torch.equal(one.mean, other.mean)


class TestSomeRows:
    @given(
        counts=st.lists(st.integers(1, 80), min_size=2, max_size=30),
        room=st.integers(2, 500),
        seed=st.integers(0, 100),
    )
    def test_law(self, counts, room, seed):
        draw = rng(seed)
        target = draw.permutation(np.repeat(np.arange(len(counts)), counts))
        index = draw.permutation(len(target))
        chosen = class_folds.some_rows(target, index, room, draw)
        assert len(np.unique(chosen)) == len(chosen)
        assert set(chosen) <= set(index)
        classes = np.unique(target[chosen])
        assert len(classes) >= 2
        assert len(chosen) <= max(room, 2 * 20)
        if len(index) > room:
            fair = max(room // len(counts), 20)
            taken = np.bincount(target[chosen], minlength=len(counts))[classes]
            assert (taken == np.minimum(fair, np.array(counts)[classes])).all()
        if len(counts) * 20 <= room:
            assert len(classes) == len(counts)


class TestClassFolds:
    @given(
        n_classes=st.integers(4, 40),
        n_folds=st.integers(1, 20),
        seed=st.integers(0, 1000),
    )
    def test_law(self, n_classes, n_folds, seed):
        labels = rng(seed).permutation(np.repeat(np.arange(n_classes), 2))
        folds = class_folds.class_folds(labels, n_folds, rng(seed))
        assert len(folds) == n_folds
        times = np.zeros(n_classes, dtype=int)
        for fold in folds:
            assert len(fold) == len(np.unique(fold))
            assert 2 <= len(fold) <= n_classes - 2
            assert abs(len(fold) - n_classes / 3) <= 1
            times[fold] += 1
        assert times.max() - times.min() <= 1

    def test_classes_of_one_row_stay(self):
        labels = np.concatenate(
            [np.repeat(np.arange(0, 10, 2), 2), np.arange(1, 10, 2)]
        )
        for fold in class_folds.class_folds(labels, 20, rng()):
            assert (fold % 2 == 0).all()

    @pytest.mark.parametrize(
        "labels", [[0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 2, 2, 3], [0, 0]]
    )
    def test_too_few_classes(self, labels):
        assert class_folds.class_folds(np.array(labels), 3, rng()) == []

    def test_follows_the_seed(self):
        labels = np.repeat(np.arange(9), 2)
        one, same, other = (
            np.stack(class_folds.class_folds(labels, 4, rng(seed)))
            for seed in (0, 0, 1)
        )
        assert np.array_equal(one, same)
        assert not np.array_equal(one, other)


class TestScale:
    def chosen(self, X, labels, width=4, seed=0):
        data = as_data(X, labels)
        return choose_scale(data, np.arange(len(X)), width, rng(seed))

    def classes(self, n_classes=8, n_rows=12):
        """Means of classes in three features, of which noise has a third."""
        labels = np.repeat(np.arange(n_classes), n_rows)
        means = rng(1).normal(size=(n_classes, 3))[labels]
        return means + 0.3 * rng(2).normal(size=means.shape), labels

    def test_mixed_units(self):
        """Beside one feature of a large unit that is noise, the others are lost."""
        signal, labels = self.classes()
        X = np.hstack([signal, 1000 * rng(3).normal(size=(len(signal), 1))])
        assert self.chosen(X, labels).alike is False

    def test_one_unit(self):
        """Pixels that hardly vary are noise; at unit variance they drown the others."""
        signal, labels = self.classes()
        X = np.hstack([signal, 0.01 * rng(3).normal(size=(len(signal), 40))])
        assert self.chosen(X, labels).alike is True

    def test_scatter_that_all_classes_share_is_damped(self):
        """The first feature varies most, and says nothing about classes."""
        signal, labels = self.classes()
        X = np.hstack([30 * rng(3).normal(size=(len(signal), 1)), signal])
        mixed = X @ np.linalg.qr(rng(4).normal(size=(4, 4)))[0]  # no feature alone
        assert self.chosen(mixed, labels, width=5).shrinkage <= 1.0

    def test_scatter_like_the_differences_of_classes_is_left(self):
        """With the same in each direction there is nothing to gain from damping."""
        labels = np.repeat(np.arange(8), 12)
        X = rng(1).normal(size=(8, 6))[labels] + 0.5 * rng(2).normal(size=(96, 6))
        assert math.isinf(self.chosen(X, labels, width=8).shrinkage)

    @pytest.mark.parametrize(("shape", "alike"), [((6,), False), ((2, 3), True)])
    def test_too_few_classes_to_choose(self, shape, alike):
        X, labels = table(d=6, n_classes=3)
        found = self.chosen(X.reshape(60, *shape), labels)
        assert found == InputScale(alike, 1.0)

    @pytest.mark.parametrize("factor", [2.0**-10, 2.0**10])
    def test_one_factor_changes_nothing(self, factor):
        X, labels = table(n_classes=6)
        assert self.chosen(factor * X, labels) == self.chosen(X, labels)

    def test_only_rows_of_the_index(self):
        """Those beside it would be an error."""
        X, labels = table(n_classes=6)
        X[40:] = np.nan
        data = as_data(X, labels)
        choose_scale(data, np.arange(40), 4, rng())

    @pytest.mark.parametrize(
        ("alike", "each", "expected"),
        [
            # a place has to gain 0.005 more than the one before
            ([0.0, 0.0, 0.0, 0.0, 0.0], [-1] * 5, InputScale(True, math.inf)),
            ([0.0, 0.004, 0.009, 0.014, 0.019], [-1] * 5, InputScale(True, math.inf)),
            ([0.0, 0.006, 0.006, 0.006, 0.006], [-1] * 5, InputScale(True, 3.0)),
            ([0.0, 0.0, 0.011, 0.015, 0.0], [-1] * 5, InputScale(True, 1.0)),
            ([0.0, 0.0, 0.0, 0.0, 0.021], [-1] * 5, InputScale(True, 0.1)),
            # the mean decides between the scales, not the best
            ([-1, -1, -1, -1, 4.5], [0.0] * 5, InputScale(True, 0.1)),
            ([-1, -1, -1, -1, 3.5], [0.0] * 5, InputScale(False, math.inf)),
            ([0.0] * 5, [0.0, 0.0, 0.0, 0.1, 0.0], InputScale(False, 0.3)),
        ],
    )
    def test_the_best_merit(self, alike, each, expected, monkeypatch):
        merits = iter([np.array(alike), np.array(each)])
        monkeypatch.setattr(input_path, "_merits", lambda *args: next(merits))
        assert self.chosen(*table()) == expected

    def test_few_of_many_rows_are_searched(self, monkeypatch):
        """300 of 600, drawn from both classes."""
        seen = []

        def spy(embeddings, labels, *, distance):
            seen.append(labels)
            return 0.5

        monkeypatch.setattr(input_path, "map_at_r", spy)
        X, labels = table(n=1200)
        scaled = input_path._scaled(X, True)
        input_path._merits(scaled, labels, 3, [np.array([1, 2])], rng())
        assert len(seen) == len(input_path._SHRINKAGES)
        for found in seen:
            assert len(found) == 300
            assert 100 < (found == 1).sum() < 200

    def test_merits_are_the_mean_logs_of_map_at_r(self):
        """Of cosines of naive maps of the classes kept, without a fold by fold loop
        over shrinkages.
        """
        X, labels = table(n=48, n_classes=6)
        folds = [np.array([0, 1]), np.array([2, 5])]
        scaled = input_path._scaled(X, True)
        found = input_path._merits(scaled, labels, 3, folds, rng())
        expected = []
        for shrinkage in input_path._SHRINKAGES:
            logs = [
                math.log(naive_unseen_map(X, labels, fold, 3, shrinkage))
                for fold in folds
            ]
            expected.append(np.mean(logs))
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def naive_unseen_map(X, labels, left_out, width, shrinkage):
    """MAP@R of classes left out, by the map of the other classes; rows are scaled by
    the statistics of all.
    """
    scaled = (X - X.mean(0)) / math.sqrt(X.var(0).mean())
    out = np.isin(labels, left_out)
    within = scatter_within(scaled[~out], labels[~out])
    if not math.isinf(shrinkage):
        eye = np.eye(len(within))
        within /= np.trace(within) / len(within)
        scaled = scaled @ inv(sqrtm(within + shrinkage * eye))
    moments = scaled[~out].T @ scaled[~out] / (~out).sum()
    variance, vectors = np.linalg.eigh(moments)
    components = scaled[out] @ vectors[:, -(width - 1) :]
    constant = math.sqrt(variance[-(width - 1) :].sum())
    lifted = np.column_stack([components, np.full(out.sum(), constant)])
    unit = lifted / np.linalg.norm(lifted, axis=1, keepdims=True)
    averages = []
    for number, row in enumerate(unit):
        others = np.delete(np.arange(len(unit)), number)
        nearest = others[np.argsort(-(unit[others] @ row))]
        relevant = labels[out][nearest] == labels[out][number]
        n_relevant = relevant.sum()
        precisions = [relevant[: i + 1].mean() for i in range(n_relevant)]
        averages.append(np.mean(precisions * relevant[:n_relevant]))
    return np.mean(averages)


WIDTH = 12
TARGET = np.repeat(np.arange(9), 2)


def apart(out, squared):
    """Unit vectors (n, WIDTH): the same for rows of one class, and of the given squared
    distance for rows of two.
    """
    vectors = np.zeros((len(out), WIDTH))
    vectors[:, 0] = math.sqrt(1 - squared / 2)
    vectors[np.arange(len(out)), 1 + TARGET[out]] = math.sqrt(squared / 2)
    return vectors


def misleading(out):
    """Unit vectors (n, WIDTH): opposite for both rows of a class, equal for rows of
    different classes of the same turn, so of squared distances 4 and 0.
    """
    vectors = np.zeros((len(out), WIDTH))
    vectors[:, 0] = np.where(out % 2, 1, -1)
    return vectors


def weight_of(embedded, target=TARGET, index=None, n_rows=1000, seed=0):
    """Choose a weight where trainings give ``embedded(known, out)``: of the rows out,
    what comes from the input and from the network, or None.
    """

    def train(known, out):
        parts = embedded(known, out)
        if parts is None:
            return None
        codes = np.hstack(parts)
        return class_folds.ClassFold(known, out, codes[:0], codes, WIDTH)

    index = np.arange(len(target)) if index is None else index
    folds = class_folds.leave_classes_out(target, index, train, n_rows, rng(seed))
    return choose_weight(target, folds)


class TestWeight:
    @pytest.mark.parametrize(
        ("squared", "ratio"), [(0.1, 8.0), (0.5, 3.0), (1.0, 3.0), (2.0, 1.5)]
    )
    def test_small_if_the_network_knows_better(self, squared, ratio):
        """Rows of one class have the squared distance 4, rows of two at least `squared`
        times the square of the ratio: the first ratio at which this is above 4 wins,
        as those beyond it gain nothing. A tie, at 2 for 1, is not enough.
        """

        def embedded(known, out):
            return misleading(out), apart(out, squared)

        assert weight_of(embedded) == pytest.approx(1 / (1 + ratio**2))

    @pytest.mark.parametrize(
        ("squared", "ratio"), [(2.0, 0.5), (1.2, 0.5), (0.6, 0.35), (0.3, 0.25)]
    )
    def test_large_if_the_network_misleads(self, squared, ratio):
        """Rows of one class have 4 times the square of the ratio, rows of two at least
        `squared`: all ratios below sqrt(squared) / 2 are perfect, and the one nearest
        to 0.5 wins.
        """

        def embedded(known, out):
            return apart(out, squared), misleading(out)

        assert weight_of(embedded) == pytest.approx(1 / (1 + ratio**2))

    def test_a_half_to_one_if_it_does_not_matter(self):
        def embedded(known, out):
            return (apart(out, 2.0),) * 2

        assert weight_of(embedded) == pytest.approx(0.8)

    def test_trainings_that_failed_are_left_out(self):
        calls = []

        def embedded(known, out):
            calls.append(out)
            if len(calls) == 2:
                return None
            return misleading(out), apart(out, 1.0)

        assert weight_of(embedded) == pytest.approx(1 / 10)
        assert len(calls) == 3

    def test_the_mean_of_all_trainings_decides(self):
        """The first finds nothing to choose, the others need a ratio of 3."""
        calls = []

        def embedded(known, out):
            calls.append(out)
            kept = apart(out, 2.0) if len(calls) == 1 else misleading(out)
            return kept, apart(out, 1.0)

        assert weight_of(embedded) == pytest.approx(1 / 10)

    def test_one_half_if_all_failed(self):
        assert weight_of(lambda known, out: None) == 0.5

    @pytest.mark.parametrize(
        "target", [np.repeat([0, 1, 2], 5), np.array([0, 0, 1, 1, 2, 2, 3, 4])]
    )
    def test_one_half_if_there_are_too_few_classes(self, target):
        def embedded(known, out):
            raise AssertionError("no training")

        assert weight_of(embedded, target) == 0.5

    def test_what_is_trained_on(self):
        """Known rows are of other classes than rows left out, both are of the index,
        and every class is left out once.
        """
        calls = []

        def embedded(known, out):
            calls.append((known, out))
            return (apart(out, 2.0),) * 2

        index = np.delete(np.arange(18), [0, 5])  # of classes 0 and 2, one row is left
        weight_of(embedded, index=index)
        assert len(calls) == 3
        seen = []
        for known, out in calls:
            assert set(TARGET[known]).isdisjoint(TARGET[out])
            assert set(known) | set(out) == set(index)
            assert len(set(TARGET[out])) == 2  # of the seven of two rows
            seen += sorted(set(TARGET[out]))
        assert {0, 2}.isdisjoint(seen)
        assert len(set(seen)) == 6

    def test_many_rows(self):
        target = np.repeat(np.arange(6), 1000)
        calls = []

        def embedded(known, out):
            calls.append((known, out))

        weight_of(embedded, target, n_rows=200)
        for known, out in calls:
            assert len(known) == 200
            assert len(out) == 600
            assert np.bincount(target[known]).max() == 50
            assert np.bincount(target[out]).max() == 300
