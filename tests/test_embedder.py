"""SiameseEmbedder: what it learns, from which data, and what stays the same."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits, load_wine
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback
from torch import nn

from siamese_sklearn import (
    ContrastiveLoss,
    MLPTower,
    Pairs,
    SiameseEmbedder,
    TripletLoss,
    make_pairs,
    make_triplets,
)
from siamese_sklearn._validation import data as _validation
from siamese_sklearn.losses import LOSSES
from siamese_sklearn.metrics import map_at_r

SPLIT = {"test_size": 0.5, "random_state": 0}
ON_TUPLES = [name for name, spec in LOSSES.items() if spec.takes_tuples]


def quick(**parameters):
    return SiameseEmbedder(**{"max_epochs": 3, "random_state": 0, "device": "cpu", **parameters})


@pytest.fixture(scope="module")
def wine():
    """Rows to train on, rows to test on, and their labels: 89 and 89 of 3 classes, 13 features."""
    X, y = load_wine(return_X_y=True)
    return train_test_split(X.astype(np.float32), y, stratify=y, **SPLIT)


@pytest.fixture(scope="module")
def scaled(wine):
    """As `wine`, of mean 0 and spread 1."""
    X_train, X_test, y_train, y_test = wine
    scaler = StandardScaler().fit(X_train)
    return scaler.transform(X_train), scaler.transform(X_test), y_train, y_test


@pytest.fixture(scope="module")
def counts(digits):
    """300 rows of 64 small integers as float32, so that every numeric type holds them exactly."""
    X, y = digits
    return X.reshape(len(X), -1), y


@pytest.fixture(scope="module")
def counts_embedder(counts):
    return quick().fit(*counts)


class TestLearning:
    def test_digits_with_the_defaults(self):
        X, y = load_digits(return_X_y=True)
        X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, **SPLIT)
        model = make_pipeline(StandardScaler(), SiameseEmbedder(random_state=0), KNeighborsClassifier()).fit(
            X_train, y_train
        )
        assert model.score(X_test, y_test) > 0.965
        assert model[:-1].score(X_test, y_test) > 0.8 > map_at_r(X_test, y_test) + 0.2

    @pytest.mark.parametrize(
        ("loss", "mining"),
        [(name, mining) for name, spec in LOSSES.items() for mining in spec.minings or (None,)],
    )
    def test_every_loss_and_mining_beats_the_scaled_features(self, wine, loss, mining):
        X_train, X_test, y_train, y_test = wine
        scaled = map_at_r(StandardScaler().fit(X_train).transform(X_test), y_test)
        embedder = quick(loss=loss, mining=mining, max_epochs=20).fit(X_train, y_train)
        assert embedder.score(X_test, y_test) > scaled + 0.04
        assert embedder.history_[-1, "train_loss"] < embedder.history_[0, "train_loss"]

    def test_score_is_map_at_r_of_the_embeddings(self, wine):
        X_train, X_test, y_train, y_test = wine
        embedder = quick(loss="triplet").fit(X_train, y_train)
        assert embedder.score(X_test, y_test) == map_at_r(embedder.transform(X_test), y_test)

    def test_score_takes_the_distance_of_the_loss(self, wine):
        X_train, X_test, y_train, y_test = wine
        embedder = quick(distance="manhattan", normalize=False, n_components=3).fit(X_train, y_train)
        Z = embedder.transform(X_test)
        assert (
            embedder.score(X_test, y_test) == map_at_r(Z, y_test, distance="manhattan") != map_at_r(Z, y_test)
        )

    def test_imbalanced_classes_and_a_singleton(self, wine):
        X_train, X_test, y_train, y_test = wine
        rows = np.concatenate([np.flatnonzero(y_train == label)[:n] for label, n in enumerate((29, 10, 1))])
        embedder = quick(max_epochs=20).fit(X_train[rows], y_train[rows])
        assert embedder.classes_.tolist() == [0, 1, 2]
        common = y_test < 2
        neighbours = KNeighborsClassifier(1).fit(embedder.transform(X_train[rows]), y_train[rows])
        assert neighbours.score(embedder.transform(X_test[common]), y_test[common]) > 0.9

    def test_one_component_is_a_line_and_learns(self, wine):
        X_train, X_test, y_train, y_test = wine
        embedder = quick(n_components=1, max_epochs=30).fit(X_train, y_train)
        assert len(np.unique(np.abs(embedder.transform(X_test)))) > 50
        assert embedder.score(X_test, y_test) > 0.7

    @pytest.mark.parametrize("normalize", [True, False])
    def test_unit_norm(self, wine, normalize):
        X_train, X_test, y_train, _ = wine
        Z = quick(normalize=normalize, n_components=5).fit(X_train, y_train).transform(X_test)
        assert Z.shape == (89, 5)
        assert np.allclose(np.linalg.norm(Z, axis=1), 1, atol=1e-5) == normalize

    def test_fit_transform_is_fit_and_transform(self, wine):
        X_train, _, y_train, _ = wine
        np.testing.assert_array_equal(
            quick().fit_transform(X_train, y_train), quick().fit(X_train, y_train).transform(X_train)
        )

    def test_history_has_a_row_per_epoch(self, wine):
        X_train, _, y_train, _ = wine
        embedder = quick(max_epochs=4).fit(X_train, y_train)
        assert embedder.n_iter_ == len(embedder.history_) == 4
        for name in ("train_loss", "n_active", "spread", "dur"):
            figures = embedder.history_[:, name]
            assert np.isfinite(figures).all()
            assert min(figures) > 0


class TestParameters:
    @pytest.mark.parametrize(
        ("given", "wanted"),
        [
            ({"margin": 0.7}, {"margin": 0.7}),
            ({"loss": "triplet", "margin": 0.3, "mining": "hard"}, {"margin": 0.3, "mining": "hard"}),
            ({"loss": "triplet", "margin": "soft"}, {"margin": None, "distance": "euclidean"}),
            ({"distance": "cosine", "mining": "hard"}, {"distance": "cosine", "mining": "hard"}),
            ({"loss": TripletLoss(margin=0.1)}, {"margin": 0.1, "distance": "sqeuclidean"}),
            ({"loss": TripletLoss(margin=0.1), "margin": 0.4}, {"margin": 0.4}),
            (
                {"loss": "exponential", "margin": 0.4, "distance": "cosine"},
                {"bound": 2.0, "distance": "cosine"},
            ),
        ],
    )
    def test_margin_distance_and_mining_reach_the_loss(self, wine, given, wanted):
        X_train, _, y_train, _ = wine
        loss = quick(max_epochs=1, **given).fit(X_train, y_train).net_.criterion_.loss
        assert {name: getattr(loss, name) for name in wanted} == wanted

    def test_overrides_leave_the_spec_alone(self, wine):
        X_train, _, y_train, _ = wine
        spec = TripletLoss(margin=0.1)
        quick(loss=spec, margin=0.4, max_epochs=1).fit(X_train, y_train)
        assert spec.margin == 0.1

    def test_what_a_loss_does_not_have_is_left_unused(self, wine):
        X_train, _, y_train, _ = wine
        np.testing.assert_array_equal(
            quick(loss="exponential").fit_transform(X_train, y_train),
            quick(loss="exponential", margin=0.9).fit_transform(X_train, y_train),
        )

    @pytest.mark.parametrize("optimizer", ["adam", "sgd", torch.optim.RMSprop])
    def test_optimizers(self, wine, optimizer):
        X_train, X_test, y_train, y_test = wine
        embedder = quick(optimizer=optimizer, lr=0.01, max_epochs=20).fit(X_train, y_train)
        assert embedder.score(X_test, y_test) > 0.8

    def test_net_params_reach_skorch(self, wine):
        X_train, _, y_train, _ = wine
        embedder = quick(optimizer="sgd", net_params={"optimizer__momentum": 0.5}).fit(X_train, y_train)
        assert embedder.net_.optimizer_.param_groups[0]["momentum"] == 0.5

    def test_n_threads_holds_during_the_call_only(self, wine):
        X_train, _, y_train, _ = wine
        before = torch.get_num_threads()
        embedder = quick(n_threads=1, callbacks=[("threads", ThreadsSeen())]).fit(X_train, y_train)
        embedder.transform(X_train)
        assert dict(embedder.net_.callbacks_)["threads"].seen == {1}
        assert torch.get_num_threads() == before

    def test_callbacks_are_copied(self, wine):
        X_train, _, y_train, _ = wine
        counter = EpochCounter()
        embedder = quick(callbacks=[("counter", counter)]).fit(X_train, y_train)
        assert counter.n_epochs == 0
        assert dict(embedder.net_.callbacks_)["counter"].n_epochs == 3

    def test_tower_spec_module_and_callable_are_one(self, wine):
        """The same weights by three ways: a linear spec, the module that it builds, and a function."""
        X_train, X_test, y_train, _ = wine
        embedders = [
            quick(n_components=4, tower=tower, max_epochs=2)
            for tower in (MLPTower(hidden_layer_sizes=(16,)), small_tower)
        ]
        first, second = (e.fit(X_train, y_train).transform(X_test) for e in embedders)
        np.testing.assert_array_equal(first, second)

    def test_module_given_as_tower_is_never_trained(self, wine):
        X_train, X_test, y_train, _ = wine
        tower = nn.Linear(13, 4)
        before = copy.deepcopy(tower.state_dict())
        embedder = quick(tower=tower, n_components=4, lr=0.1)
        once = embedder.fit(X_train, y_train).transform(X_test)
        assert all(torch.equal(tower.state_dict()[name], before[name]) for name in before)
        assert not torch.equal(embedder.net_.module_.tower.weight, tower.weight)
        np.testing.assert_array_equal(embedder.fit(X_train, y_train).transform(X_test), once)

    def test_loss_module_with_weights_of_its_own(self, wine):
        """As many a loss of pytorch-metric-learning: its weights are trained, in a copy."""
        X_train, X_test, y_train, y_test = wine
        loss = ProxyLoss(n_classes=3, n_components=4)
        before = loss.proxies.detach().clone()
        embedder = quick(loss=loss, n_components=4, max_epochs=30, lr=0.01, margin=0.3).fit(X_train, y_train)
        assert torch.equal(loss.proxies, before)
        assert not torch.equal(embedder.net_.criterion_.loss.loss.proxies, before)
        assert "n_active" not in embedder.history_[-1]
        assert embedder.score(X_test, y_test) > 0.8

    def test_parameters_are_left_as_they_were(self, wine):
        X_train, _, y_train, _ = wine
        embedder = quick(tower=MLPTower(), loss=TripletLoss(), net_params={}, callbacks=[])
        before = {name: copy.deepcopy(value) for name, value in embedder.get_params(deep=False).items()}
        embedder.fit(X_train, y_train)
        after = embedder.get_params(deep=False)
        assert {name: repr(value) for name, value in after.items()} == {n: repr(v) for n, v in before.items()}

    def test_repr(self):
        embedder = SiameseEmbedder(8, loss=TripletLoss(margin=0.3))
        assert repr(embedder) == "SiameseEmbedder(loss=TripletLoss(margin=0.3), n_components=8)"
        assert "TripletLoss" in embedder._repr_html_()

    def test_nested_parameters_are_set(self):
        embedder = SiameseEmbedder(tower=MLPTower(), loss=ContrastiveLoss())
        embedder.set_params(tower__hidden_layer_sizes=(7,), loss__margin=0.9)
        assert (embedder.tower.hidden_layer_sizes, embedder.loss.margin) == ((7,), 0.9)


class TestRandomness:
    def test_same_seed_is_bitwise_the_same(self, wine):
        X_train, X_test, y_train, _ = wine
        parameters = {
            "tower": MLPTower(dropout=0.2),
            "loss": TripletLoss(mining="random"),
            "augment": add_noise,
        }
        first, second, other = (
            quick(**parameters, random_state=seed).fit(X_train, y_train).transform(X_test)
            for seed in (3, 3, 4)
        )
        np.testing.assert_array_equal(first, second)
        assert not np.allclose(first, other, atol=1e-2)

    def test_a_random_state_instance_is_drawn_from(self, wine):
        X_train, X_test, y_train, _ = wine
        state = np.random.RandomState(5)
        first, second = (quick(random_state=state).fit(X_train, y_train).transform(X_test) for _ in range(2))
        again = quick(random_state=np.random.RandomState(5)).fit(X_train, y_train).transform(X_test)
        np.testing.assert_array_equal(first, again)
        assert not np.allclose(first, second, atol=1e-2)

    def test_none_follows_numpys_global_seed(self, wine):
        X_train, X_test, y_train, _ = wine
        state = np.random.get_state()  # noqa: NPY002
        transformed = []
        for _ in range(2):
            np.random.seed(7)  # noqa: NPY002
            transformed.append(quick(random_state=None).fit(X_train, y_train).transform(X_test))
        np.random.set_state(state)  # noqa: NPY002
        np.testing.assert_array_equal(*transformed)

    def test_global_generators_are_left_alone(self, wine):
        X_train, X_test, y_train, _ = wine
        numpy_state = np.random.get_state()[1].copy()  # noqa: NPY002
        torch_state = torch.get_rng_state()
        parameters = {"augment": add_noise, "early_stopping": True, "random_state": 0}
        quick(**parameters).fit(X_train, y_train).partial_fit(X_train, y_train).transform(X_test)
        np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
        assert torch.equal(torch.get_rng_state(), torch_state)

    def test_two_threads_give_what_one_gives(self, wine):
        X_train, X_test, y_train, _ = wine

        def fit(seed):
            return quick(random_state=seed, max_epochs=8, n_threads=1).fit(X_train, y_train).transform(X_test)

        before = torch.get_num_threads()
        with ThreadPoolExecutor(2) as pool:
            together = list(pool.map(fit, range(4)))
        np.testing.assert_array_equal(together, [fit(seed) for seed in range(4)])
        assert torch.get_num_threads() == before

    def test_augment_is_called_in_training_only(self, wine):
        X_train, X_test, y_train, y_test = wine
        augment = CallCounter()
        embedder = quick(augment=augment, early_stopping=True, max_epochs=2, batch_size=32)
        embedder.fit(X_train, y_train)
        n_calls = augment.n_calls
        assert n_calls >= 2 * (80 // 32)
        embedder.transform(X_test)
        embedder.score(X_test, y_test)
        assert augment.n_calls == n_calls
        assert augment.dtypes == {torch.float32}
        assert augment.training_rows < {tuple(row) for row in X_train.tolist()}  # without those held out

    def test_augment_changes_what_is_learned(self, wine):
        X_train, X_test, y_train, _ = wine
        plain, augmented = (
            quick(augment=f).fit(X_train, y_train).transform(X_test) for f in (None, add_noise)
        )
        assert not np.allclose(plain, augmented, atol=1e-3)

    def test_augment_sees_each_side_of_pairs(self, wine):
        X_train, _, y_train, _ = wine
        pairs, same = make_pairs(X_train, y_train, random_state=0)
        augment = CallCounter()
        quick(augment=augment, max_epochs=1, batch_size=len(pairs)).fit(pairs, same)
        assert augment.n_calls == 2


def memory_map(folder, X, dtype):
    path = folder / f"{np.dtype(dtype)}.dat"
    np.memmap(path, dtype=dtype, mode="w+", shape=X.shape)[:] = X
    return np.memmap(path, dtype=dtype, mode="r", shape=X.shape)


def read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


KINDS = {
    "float64": lambda X: X.astype(np.float64),
    "float16": lambda X: X.astype(np.float16),
    "int64": lambda X: X.astype(np.int64),
    "uint8": lambda X: X.astype(np.uint8),
    "list": lambda X: X.tolist(),
    "Fortran order": np.asfortranarray,
    "strided": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    "read-only": read_only,
    "pandas": pd.DataFrame,
    "pandas of mixed types": lambda X: pd.DataFrame(X).astype({0: np.int8, 1: np.float64}),
    "CSR matrix": sparse.csr_matrix,
    "CSR array": sparse.csr_array,
    "CSC matrix": sparse.csc_matrix,
    "COO array": sparse.coo_array,
}


class TestData:
    @pytest.mark.parametrize("kind", KINDS)
    def test_every_kind_of_rows_gives_the_same(self, counts, counts_embedder, kind):
        X, y = counts
        given = KINDS[kind](X)
        Z = quick().fit(given, y).transform(given)
        np.testing.assert_allclose(Z, counts_embedder.transform(X), atol=1e-6)
        assert Z.dtype == np.float32

    @pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
    @pytest.mark.parametrize("early_stopping", [False, True])
    def test_memory_maps(self, tmp_path, counts, dtype, early_stopping):
        X, y = counts
        given = memory_map(tmp_path, X, dtype)
        parameters = {"early_stopping": early_stopping, "max_epochs": 2}
        np.testing.assert_array_equal(
            quick(**parameters).fit(given, y).transform(given), quick(**parameters).fit(X, y).transform(X)
        )

    def test_polars(self, counts, counts_embedder):
        X, y = counts
        frame = pl.DataFrame(X, schema=[f"pixel {i}" for i in range(64)])
        embedder = quick().fit(frame, pl.Series(y))
        np.testing.assert_array_equal(embedder.transform(frame), counts_embedder.transform(X))
        assert embedder.feature_names_in_[3] == "pixel 3"

    def test_fitted_on_one_kind_transforms_another(self, counts, counts_embedder):
        X, _ = counts
        np.testing.assert_allclose(
            counts_embedder.transform(sparse.csr_array(X)), counts_embedder.transform(X), atol=1e-6
        )

    @pytest.mark.parametrize("early_stopping", [False, True])
    @pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csr_array])
    def test_sparse_rows_become_dense_batch_by_batch(self, monkeypatch, kind, early_stopping):
        rng = np.random.default_rng(0)
        X = kind(rng.integers(0, 2, (1500, 20)))
        n_rows = []

        def spy(self, *args, _toarray=kind.toarray, **kwargs):
            n_rows.append(self.shape[0])
            return _toarray(self, *args, **kwargs)

        monkeypatch.setattr(kind, "toarray", spy)
        monkeypatch.setattr(kind, "todense", None)
        parameters = {"max_epochs": 1, "batch_size": 100, "early_stopping": early_stopping}
        quick(**parameters).fit(X, rng.integers(0, 3, 1500)).transform(X)
        assert len(n_rows) > 15
        assert max(n_rows) <= 256

    def test_memory_maps_are_never_read_whole(self, monkeypatch, tmp_path):
        rng = np.random.default_rng(0)
        rows = rng.normal(size=(9000, 4)).astype(np.float32)
        X = memory_map(tmp_path, rows, np.float32).view(MemmapSpy)
        monkeypatch.setattr(_validation, "_BYTES_AT_ONCE", 2**15)
        monkeypatch.setattr(MemmapSpy, "n_rows", [])
        parameters = {"max_epochs": 1, "batch_size": 200, "early_stopping": True}
        quick(**parameters).fit(X, rng.integers(0, 3, 9000)).transform(X)
        assert sum(MemmapSpy.n_rows) > 4 * 9000  # checked, learned from, watched, embedded
        assert max(MemmapSpy.n_rows) <= 5000  # the gallery of early stopping

    def test_data_are_left_as_they_were(self, counts):
        X, y = counts[0].copy(), counts[1].copy()
        quick(tower=scribbling_tower, augment=scribble).fit(X, y).transform(X)
        np.testing.assert_array_equal(X, counts[0])
        np.testing.assert_array_equal(y, counts[1])

    def test_images_with_and_without_a_channel_axis(self, digits):
        X, y = digits
        flat, channel = quick(max_epochs=2).fit(X, y), quick(max_epochs=2).fit(X[:, None], y)
        np.testing.assert_array_equal(flat.transform(X), channel.transform(X[:, None]))
        assert (flat.input_shape_, channel.input_shape_) == ((8, 8), (1, 8, 8))
        assert any(isinstance(layer, nn.Conv2d) for layer in flat.net_.module_.modules())

    def test_colour_images_learn(self, digits):
        X, y = digits
        X = np.stack([X, 16 - X, X / 2], axis=1)
        embedder = quick(max_epochs=40).fit(X[::2], y[::2])
        assert embedder.score(X[1::2], y[1::2]) > map_at_r(X[1::2].reshape(150, -1), y[1::2]) + 0.1

    def test_mlp_on_images_sees_them_flat(self, digits, counts_embedder):
        X, y = digits
        Z = quick(tower="mlp").fit(X, y).transform(X)
        np.testing.assert_array_equal(Z, counts_embedder.transform(X.reshape(300, 64)))

    @pytest.mark.parametrize(
        ("labels", "classes"),
        [
            (lambda y: np.array(["a", "b", "c"])[y], ["a", "b", "c"]),
            (lambda y: np.array(["a", "b", "c"], dtype=object)[y], ["a", "b", "c"]),
            (lambda y: y.astype(object), [0, 1, 2]),
            (lambda y: y.astype(float), [0, 1, 2]),
            (lambda y: y - 5, [-5, -4, -3]),
            (lambda y: y.tolist(), [0, 1, 2]),
            (lambda y: pd.Series(y, index=range(7, 7 + len(y))), [0, 1, 2]),
            (lambda y: pd.Series(np.array(["a", "b", "c"])[y]), ["a", "b", "c"]),
            (lambda y: pd.Series(pd.Categorical.from_codes(y, ["a", "b", "c"])), ["a", "b", "c"]),
            (lambda y: pd.Series(y, dtype="Int64"), [0, 1, 2]),
            (lambda y: pl.Series(y), [0, 1, 2]),
        ],
    )
    def test_every_kind_of_labels_gives_the_same(self, wine, labels, classes):
        X_train, X_test, y_train, _ = wine
        embedder = quick(max_epochs=2).fit(X_train, labels(y_train))
        np.testing.assert_array_equal(
            embedder.transform(X_test), quick(max_epochs=2).fit(X_train, y_train).transform(X_test)
        )
        assert embedder.classes_.tolist() == classes

    @pytest.mark.parametrize("dtype", [bool, object])
    def test_boolean_labels(self, wine, dtype):
        X_train, _, y_train, _ = wine
        assert quick(max_epochs=1).fit(X_train, (y_train == 1).astype(dtype)).classes_.tolist() == [
            False,
            True,
        ]

    def test_column_of_labels_is_taken_with_scikit_learns_warning(self, wine):
        X_train, _, y_train, _ = wine
        with pytest.warns(UserWarning, match="column-vector y"):
            embedder = quick(max_epochs=1).fit(X_train, y_train[:, None])
        assert embedder.classes_.tolist() == [0, 1, 2]


class TestOutput:
    def test_feature_names(self, wine):
        X_train, _, y_train, _ = wine
        embedder = quick(n_components=3, max_epochs=1).fit(X_train, y_train)
        assert embedder.get_feature_names_out().tolist() == [f"siameseembedder{i}" for i in range(3)]

    def test_pandas(self, wine):
        X_train, _, y_train, _ = wine
        frame = pd.DataFrame(X_train, columns=load_wine().feature_names, index=range(100, 189))
        embedder = quick(n_components=2).set_output(transform="pandas")
        Z = embedder.fit_transform(frame, y_train)
        assert isinstance(Z, pd.DataFrame)
        assert Z.columns.tolist() == ["siameseembedder0", "siameseembedder1"]
        assert Z.index.equals(frame.index)
        assert embedder.feature_names_in_.tolist() == load_wine().feature_names
        assert embedder.score(frame, y_train) == map_at_r(Z.to_numpy(), y_train)

    def test_polars(self, wine):
        X_train, _, y_train, _ = wine
        Z = quick(n_components=2).set_output(transform="polars").fit(X_train, y_train).transform(X_train)
        assert isinstance(Z, pl.DataFrame)
        assert Z.columns == ["siameseembedder0", "siameseembedder1"]

    @pytest.mark.parametrize(("output", "kind"), [("default", np.ndarray), ("pandas", pd.DataFrame)])
    def test_transform_of_pairs_and_triplets_has_the_embeddings_of_each_side(self, wine, output, kind):
        X_train, _, y_train, _ = wine
        embedder = quick().set_output(transform=output).fit(X_train, y_train)
        triplets = make_triplets(X_train, y_train, random_state=0)
        for sides in (Pairs(triplets.anchor, triplets.negative), triplets):
            transformed = embedder.transform(sides)
            assert type(transformed) is type(sides)
            for side, given in zip(transformed.sides, sides.sides, strict=True):
                assert isinstance(side, kind)
                np.testing.assert_array_equal(side, embedder.transform(given))

    def test_unfitted(self, wine):
        with pytest.raises(NotFittedError):
            quick().transform(wine[0])
        with pytest.raises(NotFittedError):
            quick().score(wine[0], wine[2])


class TestPairsAndTriplets:
    @pytest.mark.parametrize("loss", ON_TUPLES)
    def test_every_loss_learns_from_given_pairs(self, scaled, loss):
        X_train, X_test, y_train, y_test = scaled
        pairs, same = make_pairs(X_train, y_train, random_state=0)
        embedder = quick(loss=loss, max_epochs=20).fit(pairs, same)
        assert not hasattr(embedder, "classes_")
        test_pairs, test_same = make_pairs(X_test, y_test, random_state=1)
        assert embedder.score(test_pairs, test_same) > 0.93
        assert embedder.score(X_test, y_test) > 0.75

    @pytest.mark.parametrize("loss", ON_TUPLES)
    def test_every_loss_learns_from_given_triplets(self, scaled, loss):
        X_train, X_test, y_train, y_test = scaled
        embedder = quick(loss=loss, max_epochs=20).fit(make_triplets(X_train, y_train, random_state=0))
        test_triplets = make_triplets(X_test, y_test, random_state=1)
        score = embedder.score(test_triplets)
        assert score > 0.93
        Z = embedder.transform(test_triplets)
        near, far = (np.linalg.norm(Z.anchor - side, axis=1) for side in (Z.positive, Z.negative))
        assert score == np.mean(near < far)

    @pytest.mark.parametrize("kind", [pd.DataFrame, sparse.csr_array, pl.DataFrame])
    def test_sides_of_every_kind(self, scaled, kind):
        X_train, _, y_train, _ = scaled
        pairs, same = make_pairs(X_train, y_train, random_state=0)
        Z = quick(max_epochs=1).fit(pairs.map(kind), same).transform(pairs.map(kind))
        wanted = quick(max_epochs=1).fit(pairs, same).transform(pairs)
        np.testing.assert_allclose(Z.left, wanted.left, atol=1e-6)
        np.testing.assert_allclose(Z.right, wanted.right, atol=1e-6)

    def test_pairs_of_images(self, digits):
        pairs, same = make_pairs(*digits, random_state=0)
        embedder = quick(max_epochs=6).fit(pairs, same)
        assert embedder.input_shape_ == (8, 8)
        assert embedder.score(pairs, same) > 0.9

    def test_early_stopping(self, scaled):
        X_train, _, y_train, _ = scaled
        pairs, same = make_pairs(X_train, y_train, random_state=0)
        triplets = make_triplets(X_train, y_train, random_state=0)
        for X, y in ((pairs, same), (triplets, None)):
            embedder = quick(early_stopping=True, max_epochs=4).fit(X, y)
            assert 0.5 < max(embedder.history_[:, "valid_score"]) <= 1

    def test_refit_on_pairs_forgets_the_classes(self, scaled):
        X_train, _, y_train, _ = scaled
        embedder = quick(max_epochs=1).fit(X_train, y_train)
        assert not hasattr(embedder.fit(*make_pairs(X_train, y_train, random_state=0)), "classes_")

    def test_grid_search(self, scaled):
        pairs, same = make_pairs(scaled[0], scaled[2], random_state=0)
        search = GridSearchCV(quick(), {"margin": [0.2, 1.0]}, cv=StratifiedKFold(2)).fit(pairs, same)
        assert (search.cv_results_["mean_test_score"] > 0.7).all()

    @pytest.mark.parametrize(
        ("parameters", "by_hand"),
        [
            ({}, lambda d: np.sqrt((d**2).sum(1))),
            ({"loss": "triplet"}, lambda d: np.sqrt((d**2).sum(1))),  # the root of its squared distance
            ({"distance": "manhattan"}, lambda d: np.abs(d).sum(1)),
            ({"distance": "cosine"}, lambda d: (d**2).sum(1) / 2),  # 1 - cos of unit vectors
        ],
    )
    def test_pair_distance_is_that_of_the_loss(self, scaled, parameters, by_hand):
        X_train, X_test, y_train, _ = scaled
        embedder = quick(**parameters).fit(X_train, y_train)
        pairs = Pairs(X_test[:40], X_test[40:80])
        distance = embedder.pair_distance(pairs)
        np.testing.assert_allclose(
            distance, by_hand(embedder.transform(pairs.left) - embedder.transform(pairs.right)), atol=1e-5
        )
        assert distance.dtype == np.float32
        np.testing.assert_array_equal(embedder.pair_score(pairs), -distance)

    def test_pair_distance_wants_pairs(self, wine):
        embedder = quick(max_epochs=1).fit(wine[0], wine[2])
        with pytest.raises(TypeError, match=r"`pairs` must be Pairs\(left, right\); got ndarray"):
            embedder.pair_distance(wine[0])

    def test_get_metric_is_a_metric_for_neighbours(self, scaled):
        X_train, X_test, y_train, _ = scaled
        names = [f"column {i}" for i in range(13)]
        embedder = quick().fit(pd.DataFrame(X_train, columns=names), y_train)
        metric = embedder.get_metric()
        rows, queries = pd.DataFrame(X_train[:12], columns=names), pd.DataFrame(X_test[:4], columns=names)
        found = KNeighborsClassifier(3, metric=metric, algorithm="brute").fit(rows, y_train[:12])
        wanted = KNeighborsClassifier(3).fit(embedder.transform(rows), y_train[:12])
        distance, neighbours = found.kneighbors(queries)
        wanted_distance, wanted_neighbours = wanted.kneighbors(embedder.transform(queries))
        np.testing.assert_array_equal(neighbours, wanted_neighbours)
        np.testing.assert_allclose(distance, wanted_distance, atol=1e-5)

    def test_get_metric_can_be_pickled(self, scaled):
        X_train, _, y_train, _ = scaled
        metric = quick().fit(X_train, y_train).get_metric()
        assert pickle.loads(pickle.dumps(metric))(X_train[0], X_train[1]) == metric(X_train[0], X_train[1])

    def test_get_metric_keeps_the_model_of_its_moment(self, scaled):
        X_train, _, y_train, _ = scaled
        embedder = quick(warm_start=True).fit(X_train, y_train)
        metric = embedder.get_metric()
        before = metric(X_train[0], X_train[1])
        embedder.fit(X_train, y_train)
        assert metric(X_train[0].tolist(), X_train[1].tolist()) == before
        assert embedder.get_metric()(X_train[0], X_train[1]) != before


class TestGoingOn:
    def test_first_partial_fit_is_a_fit_of_one_epoch(self, wine):
        X_train, X_test, y_train, _ = wine
        np.testing.assert_array_equal(
            quick().partial_fit(X_train, y_train).transform(X_test),
            quick(max_epochs=1).fit(X_train, y_train).transform(X_test),
        )

    def test_partial_fit_goes_on(self, wine):
        X_train, X_test, y_train, y_test = wine
        embedder = quick().partial_fit(X_train, y_train)
        net, first = embedder.net_, embedder.score(X_test, y_test)
        for _ in range(14):
            embedder.partial_fit(X_train, y_train)
        assert embedder.net_ is net
        assert embedder.n_iter_ == len(embedder.history_) == 15
        assert embedder.history_[-1, "train_loss"] < 0.5 * embedder.history_[0, "train_loss"]
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
        augment = CallCounter()
        quick(augment=augment, early_stopping=True).partial_fit(X_train, y_train)
        assert augment.training_rows == {tuple(row) for row in X_train.tolist()}

    def test_warm_start_goes_on(self, wine):
        X_train, _, y_train, _ = wine
        embedder = quick(loss="contrastive", warm_start=True, max_epochs=10)  # falls, as triplets' does not
        losses = [embedder.fit(X_train, y_train).history_[-1, "train_loss"] for _ in range(3)]
        assert embedder.n_iter_ == len(embedder.history_) == 30
        assert losses[0] > losses[1] > losses[2]

    def test_warm_start_after_unpickling(self, wine):
        X_train, X_test, y_train, _ = wine
        embedder = quick(warm_start=True).fit(X_train, y_train)
        stored = pickle.loads(pickle.dumps(embedder))
        np.testing.assert_array_equal(
            embedder.fit(X_train, y_train).transform(X_test), stored.fit(X_train, y_train).transform(X_test)
        )
        assert stored.n_iter_ == 6

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
        """A loss may have weights for each class: what was number 1 must stay number 1."""
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
        augment = CallCounter()
        embedder = quick(warm_start=True, early_stopping=True, augment=augment, random_state=None)
        embedder.fit(X_train, y_train)
        learned = set(augment.training_rows)
        embedder.fit(X_train, y_train)
        assert augment.training_rows == learned

    def test_without_warm_start_fit_starts_afresh(self, wine):
        X_train, X_test, y_train, _ = wine
        embedder = quick().fit(X_train, y_train)
        once = embedder.transform(X_test)
        embedder.partial_fit(X_train, y_train)
        np.testing.assert_array_equal(embedder.fit(X_train, y_train).transform(X_test), once)
        assert embedder.n_iter_ == 3

    def test_refit_on_other_features(self, wine):
        X_train, _, y_train, _ = wine
        embedder = quick(max_epochs=1).fit(X_train, y_train)
        assert embedder.fit(X_train[:, :5], y_train).transform(X_train[:, :5]).shape == (89, 32)
        assert embedder.n_features_in_ == 5

    @pytest.mark.parametrize("split", ["rows", "classes"])
    def test_early_stopping(self, digits, split):
        X, y = digits
        augment = CallCounter()
        parameters = {"validation_split": split, "validation_fraction": 0.2, "n_iter_no_change": 2}
        embedder = quick(
            tower="mlp", early_stopping=True, augment=augment, max_epochs=60, lr=0.01, **parameters
        ).fit(X.reshape(300, 64), y)
        scores = embedder.history_[:, "valid_score"]
        assert embedder.n_iter_ < 60
        assert np.argmax(scores) == len(scores) - 3  # two epochs after the best one
        learned = np.array([tuple(row) in augment.training_rows for row in X.reshape(300, 64).tolist()])
        if split == "rows":
            assert np.bincount(y[learned]).tolist() == [24] * 10
        else:
            assert sorted(np.bincount(y[learned], minlength=10)) == [0] * 2 + [30] * 8


class TestCopies:
    def test_pickle_joblib_and_deepcopy(self, tmp_path, wine):
        X_train, X_test, y_train, y_test = wine
        embedder = quick(loss=TripletLoss(), callbacks=[("counter", EpochCounter())]).fit(X_train, y_train)
        joblib.dump(embedder, tmp_path / "embedder.joblib")
        copies = [
            pickle.loads(pickle.dumps(embedder)),
            joblib.load(tmp_path / "embedder.joblib"),
            copy.deepcopy(embedder),
        ]
        for copied in copies:
            np.testing.assert_array_equal(copied.transform(X_test), embedder.transform(X_test))
            assert copied.score(X_test, y_test) == embedder.score(X_test, y_test)
            assert copied.history_ == embedder.history_

    def test_pickle_holds_no_data(self, counts):
        X, y = (np.repeat(part, 20, axis=0) for part in counts)
        embedder = quick(max_epochs=1, tower=MLPTower(hidden_layer_sizes=(8,)), early_stopping=True)
        assert len(pickle.dumps(embedder.fit(X, y))) < 0.1 * X.nbytes

    def test_clone_is_unfitted_and_fits_the_same(self, wine):
        X_train, X_test, y_train, _ = wine
        embedder = quick(tower=MLPTower(hidden_layer_sizes=(8,)), loss="triplet").fit(X_train, y_train)
        copied = clone(embedder)
        assert not hasattr(copied, "net_")
        np.testing.assert_array_equal(
            copied.fit(X_train, y_train).transform(X_test), embedder.transform(X_test)
        )

    def test_deep_copy_is_trained_on_its_own(self, wine):
        X_train, X_test, y_train, _ = wine
        embedder = quick().fit(X_train, y_train)
        before = embedder.transform(X_test)
        copy.deepcopy(embedder).partial_fit(X_train, y_train)
        np.testing.assert_array_equal(embedder.transform(X_test), before)
        assert embedder.n_iter_ == 3


class TestInScikitLearn:
    def test_pipeline(self, wine):
        X_train, X_test, y_train, y_test = wine
        model = make_pipeline(StandardScaler(), quick(max_epochs=15), KNeighborsClassifier())
        assert model.fit(X_train, y_train).score(X_test, y_test) > 0.92

    def test_cross_validation_scores_without_a_scorer(self, wine):
        X_train, _, y_train, _ = wine
        scores = cross_val_score(quick(max_epochs=10), X_train, y_train, cv=StratifiedKFold(3))
        assert (scores > 0.7).all()

    def test_search_gives_the_same_scores_with_any_number_of_jobs(self, wine):
        X_train, _, y_train, _ = wine
        grid = [
            {"loss": ["contrastive", "triplet", "exponential"], "margin": [0.2, 1.0]},
            {"tower__hidden_layer_sizes": [(8,), (16, 8)], "loss__margin": [0.1, 0.4]},
        ]
        results = [
            GridSearchCV(
                quick(tower=MLPTower(), loss=TripletLoss()), grid, cv=StratifiedKFold(2), n_jobs=n_jobs
            ).fit(X_train, y_train)
            for n_jobs in (1, 2)
        ]
        first, second = (search.cv_results_["mean_test_score"] for search in results)
        np.testing.assert_array_equal(first, second)
        assert len(np.unique(first)) >= 8  # margins, losses and sizes make a difference
        assert results[0].best_params_ == results[1].best_params_
        assert results[0].best_estimator_.transform(X_train).shape == (89, 32)


def small_tower(input_shape, n_components):
    return MLPTower(hidden_layer_sizes=(16,)).build(input_shape, n_components)


def scribbling_tower(input_shape, n_components):
    return nn.Sequential(Scribble(), nn.Linear(*input_shape, n_components))


def scribble(batch):
    return batch.add_(1)


def add_noise(batch):
    return batch + 0.1 * batch.abs() * torch.randn_like(batch)


class Scribble(nn.Module):
    def forward(self, x):
        return x.mul_(2)


class ProxyLoss(nn.Module):
    """Cross-entropy of the similarity to one learned vector per class."""

    def __init__(self, n_classes, n_components):
        super().__init__()
        self.proxies = nn.Parameter(torch.eye(n_classes, n_components))

    def forward(self, embeddings, labels):
        return nn.functional.cross_entropy(4 * embeddings @ self.proxies.T, labels)


class EpochCounter(Callback):
    n_epochs = 0

    def on_epoch_end(self, net, **kwargs):
        self.n_epochs += 1


class ThreadsSeen(Callback):
    def initialize(self):
        self.seen = set()
        return self

    def on_batch_end(self, net, **kwargs):
        self.seen.add(torch.get_num_threads())


class CallCounter:
    """An `augment` that changes nothing and remembers what it saw."""

    def __init__(self):
        self.n_calls, self.dtypes, self.training_rows = 0, set(), set()

    def __call__(self, batch):
        self.n_calls += 1
        self.dtypes.add(batch.dtype)
        self.training_rows.update(map(tuple, batch.tolist()))
        return batch


class MemmapSpy(np.memmap):
    """Remembers how many rows each access read."""

    n_rows = ()

    def __getitem__(self, index):
        rows = super().__getitem__(index)
        self.n_rows.append(len(rows))
        return rows
