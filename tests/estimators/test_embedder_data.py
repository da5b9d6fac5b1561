"""SiameseEmbedder: every kind of rows and labels, and every kind of output."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn.datasets import load_wine
from sklearn.exceptions import NotFittedError
from torch import nn

from arrays import memory_map, read_only
from models import quick
from siamese_sklearn import Pairs, make_triplets
from siamese_sklearn._validation import data as _validation
from siamese_sklearn.metrics import map_at_r


@pytest.fixture(scope="module")
def counts_embedder(counts):
    return quick().fit(*counts)


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
    "pandas of mixed types": lambda X: pd.DataFrame(X).astype(
        {0: np.int8, 1: np.float64}
    ),
    "CSR matrix": sparse.csr_matrix,
    "CSR array": sparse.csr_array,
    "CSC matrix": sparse.csc_matrix,
    "COO array": sparse.coo_array,
}


class TestData:
    @pytest.mark.slow
    @pytest.mark.parametrize("kind", KINDS)
    def test_every_kind_of_rows_gives_the_same(self, counts, counts_embedder, kind):
        X, y = counts
        given = KINDS[kind](X)
        Z = quick().fit(given, y).transform(given)
        np.testing.assert_allclose(Z, counts_embedder.transform(X), atol=1e-6)
        assert Z.dtype == np.float32

    @pytest.mark.slow
    @pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
    @pytest.mark.parametrize("early_stopping", [False, True])
    def test_memory_maps(self, tmp_path, counts, dtype, early_stopping):
        X, y = counts
        given = memory_map(tmp_path, X, dtype)
        parameters = {"early_stopping": early_stopping, "max_epochs": 2}
        np.testing.assert_array_equal(
            quick(**parameters).fit(given, y).transform(given),
            quick(**parameters).fit(X, y).transform(X),
        )

    def test_polars(self, counts, counts_embedder):
        X, y = counts
        frame = pl.DataFrame(X, schema=[f"pixel {i}" for i in range(64)])
        embedder = quick().fit(frame, pl.Series(y))
        np.testing.assert_array_equal(
            embedder.transform(frame), counts_embedder.transform(X)
        )
        assert embedder.feature_names_in_[3] == "pixel 3"

    def test_fitted_on_one_kind_transforms_another(self, counts, counts_embedder):
        X, _ = counts
        np.testing.assert_allclose(
            counts_embedder.transform(sparse.csr_array(X)),
            counts_embedder.transform(X),
            atol=1e-6,
        )

    @pytest.mark.slow
    @pytest.mark.parametrize("early_stopping", [False, True])
    @pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csr_array])
    def test_sparse_rows_become_dense_batch_by_batch(
        self, monkeypatch, kind, early_stopping
    ):
        rng = np.random.default_rng(0)
        X = kind(rng.integers(0, 2, (1500, 20)))
        n_rows = []

        def spy(self, *args, _toarray=kind.toarray, **kwargs):
            n_rows.append(self.shape[0])
            return _toarray(self, *args, **kwargs)

        monkeypatch.setattr(kind, "toarray", spy)
        monkeypatch.setattr(kind, "todense", None)
        parameters = {
            "max_epochs": 1,
            "batch_size": 100,
            "early_stopping": early_stopping,
        }
        quick(**parameters).fit(X, rng.integers(0, 3, 1500)).transform(X)
        assert len(n_rows) > 15
        assert max(n_rows) <= 256

    @pytest.mark.slow
    def test_memory_maps_are_never_read_whole(self, monkeypatch, tmp_path):
        rng = np.random.default_rng(0)
        rows = rng.normal(size=(9000, 4)).astype(np.float32)
        X = memory_map(tmp_path, rows, np.float32).view(MemmapSpy)
        monkeypatch.setattr(_validation, "_BYTES_AT_ONCE", 2**15)
        monkeypatch.setattr(MemmapSpy, "n_rows", [])
        parameters = {"max_epochs": 1, "batch_size": 200, "early_stopping": True}
        quick(**parameters).fit(X, rng.integers(0, 3, 9000)).transform(X)
        # checked, learned from, watched, embedded
        assert sum(MemmapSpy.n_rows) > 4 * 9000
        assert max(MemmapSpy.n_rows) <= 5000  # the gallery of early stopping

    def test_data_are_left_as_they_were(self, counts):
        X, y = counts[0].copy(), counts[1].copy()
        quick(tower=scribbling_tower, augment=scribble).fit(X, y).transform(X)
        np.testing.assert_array_equal(X, counts[0])
        np.testing.assert_array_equal(y, counts[1])

    @pytest.mark.slow
    def test_images_with_and_without_a_channel_axis(self, digits):
        X, y = digits
        flat, channel = (
            quick(max_epochs=2).fit(X, y),
            quick(max_epochs=2).fit(X[:, None], y),
        )
        np.testing.assert_array_equal(flat.transform(X), channel.transform(X[:, None]))
        assert (flat.input_shape_, channel.input_shape_) == ((8, 8), (1, 8, 8))
        assert any(
            isinstance(layer, nn.Conv2d) for layer in flat.net_.module_.modules()
        )

    @pytest.mark.slow
    def test_color_images_learn(self, digits):
        X, y = digits
        X = np.stack([X, 16 - X, X / 2], axis=1)
        embedder = quick(max_epochs=40).fit(X[::2], y[::2])
        assert (
            embedder.score(X[1::2], y[1::2])
            > map_at_r(X[1::2].reshape(150, -1), y[1::2]) + 0.1
        )

    def test_mlp_on_images_sees_them_flat(self, digits, counts_embedder):
        X, y = digits
        Z = quick(tower="mlp").fit(X, y).transform(X)
        np.testing.assert_array_equal(Z, counts_embedder.transform(X.reshape(300, 64)))

    @pytest.mark.slow
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
            (
                lambda y: pd.Series(pd.Categorical.from_codes(y, ["a", "b", "c"])),
                ["a", "b", "c"],
            ),
            (lambda y: pd.Series(y, dtype="Int64"), [0, 1, 2]),
            (lambda y: pl.Series(y), [0, 1, 2]),
        ],
    )
    def test_every_kind_of_labels_gives_the_same(self, wine, labels, classes):
        X_train, X_test, y_train, _ = wine
        embedder = quick(max_epochs=2).fit(X_train, labels(y_train))
        np.testing.assert_array_equal(
            embedder.transform(X_test),
            quick(max_epochs=2).fit(X_train, y_train).transform(X_test),
        )
        assert embedder.classes_.tolist() == classes

    @pytest.mark.parametrize("dtype", [bool, object])
    def test_boolean_labels(self, wine, dtype):
        X_train, _, y_train, _ = wine
        assert quick(max_epochs=1).fit(
            X_train, (y_train == 1).astype(dtype)
        ).classes_.tolist() == [
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
        assert embedder.get_feature_names_out().tolist() == [
            f"siameseembedder{i}" for i in range(3)
        ]

    def test_pandas(self, wine):
        X_train, _, y_train, _ = wine
        frame = pd.DataFrame(
            X_train, columns=load_wine().feature_names, index=range(100, 189)
        )
        embedder = quick(n_components=2).set_output(transform="pandas")
        Z = embedder.fit_transform(frame, y_train)
        assert isinstance(Z, pd.DataFrame)
        assert Z.columns.tolist() == ["siameseembedder0", "siameseembedder1"]
        assert Z.index.equals(frame.index)
        assert embedder.feature_names_in_.tolist() == load_wine().feature_names
        assert embedder.score(frame, y_train) == map_at_r(Z.to_numpy(), y_train)

    def test_polars(self, wine):
        X_train, _, y_train, _ = wine
        Z = (
            quick(n_components=2)
            .set_output(transform="polars")
            .fit(X_train, y_train)
            .transform(X_train)
        )
        assert isinstance(Z, pl.DataFrame)
        assert Z.columns == ["siameseembedder0", "siameseembedder1"]

    @pytest.mark.parametrize(
        ("output", "kind"), [("default", np.ndarray), ("pandas", pd.DataFrame)]
    )
    def test_transform_of_pairs_and_triplets_has_the_embeddings_of_each_side(
        self, wine, output, kind
    ):
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


def scribbling_tower(input_shape, n_components):
    return nn.Sequential(Scribble(), nn.Linear(*input_shape, n_components))


def scribble(batch):
    return batch.add_(1)


class Scribble(nn.Module):
    def forward(self, x):
        return x.mul_(2)


class MemmapSpy(np.memmap):
    """Remembers how many rows each access read."""

    n_rows = ()

    def __getitem__(self, index):
        rows = super().__getitem__(index)
        self.n_rows.append(len(rows))
        return rows
