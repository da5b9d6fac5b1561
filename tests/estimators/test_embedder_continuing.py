"""SiameseEmbedder: training that continues, and early stopping."""

import pickle

import numpy as np
import pytest
from torch import nn

from models import RowsSeen, quick


class TestGoingOn:
    def test_first_partial_fit_is_a_fit_of_one_epoch(self, wine):
        X_train, X_test, y_train, _ = wine
        np.testing.assert_array_equal(
            quick().partial_fit(X_train, y_train).transform(X_test),
            quick(max_epochs=1, lr_schedule="constant")
            .fit(X_train, y_train)
            .transform(X_test),
        )

    @pytest.mark.slow
    def test_partial_fit_goes_on(self, wine):
        X_train, X_test, y_train, y_test = wine
        embedder = quick().partial_fit(X_train, y_train)
        net, first = embedder.net_, embedder.score(X_test, y_test)
        for _ in range(14):
            embedder.partial_fit(X_train, y_train)
        assert net is not embedder.net_
        assert len(net.history) == 1
        assert embedder.n_iter_ == len(embedder.history_) == 15
        assert (
            embedder.history_[-1, "train_loss"]
            < 0.5 * embedder.history_[0, "train_loss"]
        )
        assert embedder.score(X_test, y_test) > first

    def test_partial_fit_brings_new_classes(self, wine):
        X_train, _, y_train, _ = wine
        embedder = quick().partial_fit(X_train[y_train > 0], y_train[y_train > 0])
        assert embedder.classes_.tolist() == [1, 2]
        embedder.partial_fit(X_train[y_train < 2], y_train[y_train < 2])
        assert embedder.classes_.tolist() == [0, 1, 2]

    def test_partial_fit_with_classes_announced(self, wine):
        X_train, _, y_train, _ = wine
        embedder = quick().partial_fit(X_train, y_train, classes=[2, 9, 1, 0])
        assert embedder.classes_.tolist() == [0, 1, 2, 9]

    def test_partial_fit_learns_from_all_rows(self, wine):
        X_train, _, y_train, _ = wine
        augment = RowsSeen()
        quick(augment=augment, early_stopping=True).partial_fit(X_train, y_train)
        assert augment.rows == {tuple(row) for row in X_train.tolist()}

    @pytest.mark.slow
    def test_warm_start_goes_on(self, wine):
        X_train, _, y_train, _ = wine
        # falls, as triplets' does not
        embedder = quick(loss="contrastive", warm_start=True, max_epochs=10)
        losses = [
            embedder.fit(X_train, y_train).history_[-1, "train_loss"] for _ in range(3)
        ]
        assert embedder.n_iter_ == len(embedder.history_) == 30
        assert losses[0] > losses[1] > losses[2]

    def test_warm_start_after_unpickling(self, wine):
        X_train, X_test, y_train, _ = wine
        embedder = quick(warm_start=True).fit(X_train, y_train)
        stored = pickle.loads(pickle.dumps(embedder))
        np.testing.assert_array_equal(
            embedder.fit(X_train, y_train).transform(X_test),
            stored.fit(X_train, y_train).transform(X_test),
        )
        assert stored.n_iter_ == 6

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "changed",
        [
            {"n_components": 3},
            {"tower": "mlp"},
            {"loss": "tripplet"},
            {"margin": -1.0},
            {"distance": "cosine"},
            {"mining": "hard"},
            {"normalize": False},
            {"optimizer": "sgd"},
            {"device": "cuda:7"},
        ],
        ids=lambda changed: next(iter(changed)),
    )
    def test_what_the_net_is_built_with_must_not_change_under_it(self, wine, changed):
        X_train, X_test, y_train, _ = wine
        embedder = quick(warm_start=True).fit(X_train, y_train)
        before = embedder.transform(X_test)
        (name,) = changed
        for go_on in (embedder.set_params(**changed).fit, embedder.partial_fit):
            with pytest.raises(ValueError, match=f"`{name}` is .* was built with"):
                go_on(X_train, y_train)
        np.testing.assert_array_equal(embedder.transform(X_test), before)
        assert embedder.n_iter_ == 3

    def test_lr_and_weight_decay_may_change(self, wine):
        X_train, _, y_train, _ = wine
        embedder = quick(warm_start=True).fit(X_train, y_train)
        embedder.set_params(lr=0.5e-3, weight_decay=0.3).fit(X_train, y_train)
        (group,) = embedder.net_.optimizer_.param_groups
        assert (group["lr"], group["weight_decay"]) == (0.5e-3, 0.3)

    def test_classes_keep_their_numbers_in_training(self, wine):
        """A loss may have weights for each class: what was number 1 must stay
        number 1.
        """
        X_train, _, _, _ = wine
        seen = []

        class Numbers(nn.Module):
            def forward(self, embeddings, labels):
                seen.append(sorted(set(labels.tolist())))
                return embeddings.square().sum()

        labels = np.where(np.arange(89) % 2, "c", "a")
        loss = Numbers()
        loss.__deepcopy__ = lambda memo: loss  # so that `seen` is shared
        embedder = quick(loss=loss, batch_size=89).partial_fit(X_train, labels)
        embedder.partial_fit(X_train, np.where(labels == "a", "b", "c"))
        embedder.partial_fit(X_train, labels)
        assert seen == [[0, 1], [1, 2], [0, 1]]
        assert embedder.classes_.tolist() == ["a", "b", "c"]

    def test_held_out_rows_stay_held_out(self, wine):
        X_train, _, y_train, _ = wine
        augment = RowsSeen()
        embedder = quick(
            warm_start=True, early_stopping=True, augment=augment, random_state=None
        )
        embedder.fit(X_train, y_train)
        learned = set(augment.rows)
        embedder.fit(X_train, y_train)
        assert augment.rows == learned

    def test_without_warm_start_fit_starts_afresh(self, wine):
        X_train, X_test, y_train, _ = wine
        embedder = quick().fit(X_train, y_train)
        once = embedder.transform(X_test)
        embedder.partial_fit(X_train, y_train)
        np.testing.assert_array_equal(
            embedder.fit(X_train, y_train).transform(X_test), once
        )
        assert embedder.n_iter_ == 3

    def test_refit_on_other_features(self, wine):
        X_train, _, y_train, _ = wine
        embedder = quick(max_epochs=1).fit(X_train, y_train)
        assert embedder.fit(X_train[:, :5], y_train).transform(
            X_train[:, :5]
        ).shape == (89, 32)
        assert embedder.n_features_in_ == 5

    @pytest.mark.slow
    @pytest.mark.parametrize("split", ["rows", "classes"])
    def test_early_stopping(self, digits, split):
        X, y = digits
        augment = RowsSeen()
        parameters = {
            "validation_split": split,
            "validation_fraction": 0.2,
            "n_iter_no_change": 2,
        }
        embedder = quick(
            tower="mlp",
            early_stopping=True,
            augment=augment,
            max_epochs=60,
            lr=0.01,
            **parameters,
        ).fit(X.reshape(300, 64), y)
        scores = embedder.history_[:, "valid_score"]
        assert embedder.n_iter_ < 60
        assert np.argmax(scores) == len(scores) - 3  # two epochs after the best one
        learned = np.array(
            [tuple(row) in augment.rows for row in X.reshape(300, 64).tolist()]
        )
        if split == "rows":
            assert np.bincount(y[learned]).tolist() == [24] * 10
        else:
            assert sorted(np.bincount(y[learned], minlength=10)) == [0] * 2 + [30] * 8
