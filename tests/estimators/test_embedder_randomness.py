"""SiameseEmbedder: seeds, and what is drawn from them."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from models import RowsSeen, quick, quick_classifier
from siamese_sklearn import MLPTower, TripletLoss, make_pairs


class TestRandomness:
    def test_same_seed_is_bitwise_the_same(self, wine):
        X_train, X_test, y_train, _ = wine
        parameters = {
            "tower": MLPTower(dropout=0.2),
            "loss": TripletLoss(mining="random"),
            "augment": add_noise,
        }
        first, second, other = (
            quick(**parameters, random_state=seed)
            .fit(X_train, y_train)
            .transform(X_test)
            for seed in (3, 3, 4)
        )
        np.testing.assert_array_equal(first, second)
        assert not np.allclose(first, other, atol=1e-2)

    def test_a_random_state_instance_is_drawn_from(self, wine):
        X_train, X_test, y_train, _ = wine
        state = np.random.RandomState(5)
        first, second = (
            quick(random_state=state).fit(X_train, y_train).transform(X_test)
            for _ in range(2)
        )
        again = (
            quick(random_state=np.random.RandomState(5))
            .fit(X_train, y_train)
            .transform(X_test)
        )
        np.testing.assert_array_equal(first, again)
        assert not np.allclose(first, second, atol=1e-2)

    @pytest.mark.parametrize("make", [quick, quick_classifier])
    def test_each_partial_fit_draws_anew(self, make, wine):
        """Other batches, and other noise on them; the same in each repetition."""
        X_train, _, y_train, _ = wine
        seen = []

        def record(batch):
            seen.append((batch.tolist(), torch.rand(2).tolist()))
            return batch

        for _ in range(2):
            model = make(augment=record, batch_size=32)
            for _ in range(3):
                model.partial_fit(X_train, y_train)
        batches, drawn = zip(*seen, strict=True)
        n_calls = len(seen) // 2
        assert seen[:n_calls] == seen[n_calls:]
        for values in (batches, drawn):
            assert len(set(map(str, values[:n_calls]))) == n_calls

    def test_none_follows_numpys_global_seed(self, wine):
        X_train, X_test, y_train, _ = wine
        state = np.random.get_state()  # noqa: NPY002
        transformed = []
        for _ in range(2):
            np.random.seed(7)  # noqa: NPY002
            transformed.append(
                quick(random_state=None).fit(X_train, y_train).transform(X_test)
            )
        np.random.set_state(state)  # noqa: NPY002
        np.testing.assert_array_equal(*transformed)

    def test_global_generators_are_left_alone(self, wine):
        X_train, X_test, y_train, _ = wine
        numpy_state = np.random.get_state()[1].copy()  # noqa: NPY002
        torch_state = torch.get_rng_state()
        parameters = {"augment": add_noise, "early_stopping": True, "random_state": 0}
        quick(**parameters).fit(X_train, y_train).partial_fit(
            X_train, y_train
        ).transform(X_test)
        np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
        assert torch.equal(torch.get_rng_state(), torch_state)

    @pytest.mark.slow
    def test_two_threads_give_what_one_gives(self, wine):
        X_train, X_test, y_train, _ = wine

        def fit(seed):
            return (
                quick(random_state=seed, max_epochs=8, n_threads=1)
                .fit(X_train, y_train)
                .transform(X_test)
            )

        before = torch.get_num_threads()
        with ThreadPoolExecutor(2) as pool:
            together = list(pool.map(fit, range(4)))
        np.testing.assert_array_equal(together, [fit(seed) for seed in range(4)])
        assert torch.get_num_threads() == before

    def test_augment_is_called_in_training_only(self, wine):
        X_train, X_test, y_train, y_test = wine
        augment = RowsSeen()
        embedder = quick(
            augment=augment, early_stopping=True, max_epochs=2, batch_size=32
        )
        embedder.fit(X_train, y_train)
        n_calls = augment.n_calls
        assert n_calls >= 2 * (80 // 32)
        embedder.transform(X_test)
        embedder.score(X_test, y_test)
        assert augment.n_calls == n_calls
        assert augment.dtypes == {torch.float32}
        # without those held out
        assert augment.rows < {tuple(row) for row in X_train.tolist()}

    def test_augment_changes_what_is_learned(self, wine):
        X_train, X_test, y_train, _ = wine
        plain, augmented = (
            quick(augment=f).fit(X_train, y_train).transform(X_test)
            for f in (None, add_noise)
        )
        assert not np.allclose(plain, augmented, atol=1e-3)

    def test_augment_sees_each_side_of_pairs(self, wine):
        X_train, _, y_train, _ = wine
        pairs, same = make_pairs(X_train, y_train, random_state=0)
        augment = RowsSeen()
        quick(augment=augment, max_epochs=1, batch_size=len(pairs)).fit(pairs, same)
        assert augment.n_calls == 2


def add_noise(batch):
    return batch + 0.1 * batch.abs() * torch.randn_like(batch)
