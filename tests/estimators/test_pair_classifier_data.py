"""SiamesePairClassifier: every kind of rows and sides, and their embeddings."""

import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse

from arrays import memory_map
from models import ARCHITECTURES, NOBODY, quick_classifier
from siamese_sklearn import MLPTower, Pairs, make_pairs

KINDS = {
    "float64": lambda X: X.astype(np.float64),
    "uint8": lambda X: X.astype(np.uint8),
    "list": lambda X: X.tolist(),
    "Fortran order": np.asfortranarray,
    "pandas": lambda X: pd.DataFrame(
        X, columns=[f"pixel {i}" for i in range(X.shape[1])]
    ),
    "polars": lambda X: pl.DataFrame(
        X, schema=[f"pixel {i}" for i in range(X.shape[1])]
    ),
    "CSR matrix": sparse.csr_matrix,
    "CSR array": sparse.csr_array,
}
DATA_MODELS = {
    "siamese": {},
    "two_channel": {
        **ARCHITECTURES["two_channel"],
        "tower": MLPTower(hidden_layer_sizes=(8,)),
    },
}


class TestData:
    @pytest.mark.slow
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("name", DATA_MODELS)
    def test_every_kind_of_rows_gives_the_same(self, few_counts, kind, name):
        X, y = few_counts
        convert = KINDS[kind]
        model, plain = (
            quick_classifier(**DATA_MODELS[name])
            .fit(of(X), y)
            .set_threshold(**NOBODY)
            .enroll(of(X[:2]), 9)
            .calibrate_threshold(of(X), y, strategy="eer")
            .calibrate_threshold(of(X), y, strategy="fpir", target=0.1)
            for of in (convert, lambda X: X)
        )
        np.testing.assert_allclose(
            model.decision_function(convert(X)), plain.decision_function(X), atol=1e-5
        )
        np.testing.assert_array_equal(model.predict(convert(X)), plain.predict(X))
        assert model.threshold_ == pytest.approx(plain.threshold_, abs=1e-5)
        assert model.identification_threshold_ == pytest.approx(
            plain.identification_threshold_, abs=1e-5
        )

    @pytest.mark.slow
    @pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "list"])
    @pytest.mark.parametrize("architecture", ARCHITECTURES)
    def test_every_kind_of_sides_gives_the_same(self, few_counts, kind, architecture):
        pairs, same = make_pairs(*few_counts, random_state=0)
        convert = KINDS[kind]
        parameters = {
            **ARCHITECTURES[architecture],
            "tower": MLPTower(hidden_layer_sizes=(8,)),
        }
        model = quick_classifier(**parameters).fit(pairs.map(convert), same)
        plain = quick_classifier(**parameters).fit(pairs, same)
        np.testing.assert_allclose(
            model.decision_function(pairs.map(convert)),
            plain.decision_function(pairs),
            atol=1e-5,
        )

    @pytest.mark.slow
    @pytest.mark.parametrize("dtype", [np.float32, np.uint8])
    @pytest.mark.parametrize("name", DATA_MODELS)
    def test_memory_maps(self, tmp_path, few_counts, dtype, name):
        X, y = few_counts
        mapped = memory_map(tmp_path, X, dtype)
        model, plain = (
            quick_classifier(**DATA_MODELS[name])
            .fit(rows, y)
            .set_threshold(**NOBODY)
            .enroll(rows[:3], 9)
            .calibrate_threshold(rows, y, strategy="fpir", target=0.1)
            for rows in (mapped, X)
        )
        np.testing.assert_array_equal(
            model.decision_function(mapped), plain.decision_function(X)
        )
        np.testing.assert_array_equal(
            model.pair_score(Pairs(mapped, mapped)), plain.pair_score(Pairs(X, X))
        )
        assert not isinstance(model._gallery.rows, np.memmap)
        assert not isinstance(model._strangers.rows, np.memmap)
        pickle.loads(pickle.dumps(model)).predict(X)

    def test_sparse_rows_stay_sparse_in_the_gallery_and_can_be_extended(
        self, few_counts
    ):
        X, y = few_counts
        model = quick_classifier(**DATA_MODELS["two_channel"], n_references=3).fit(
            sparse.csr_array(X), y
        )
        assert sparse.issparse(model._gallery.rows)
        model.enroll(sparse.csr_array(X[:5]), 9).forget(0)
        assert model.predict(sparse.csr_array(X)).shape == y.shape

    def test_images_and_rows_are_told_apart(self, images):
        model = quick_classifier(max_epochs=1).fit(images[0], images[2])
        with pytest.raises(ValueError, match="X"):
            model.predict(images[1].reshape(150, 64))
        assert model.predict(images[1]).shape == (150,)

    def test_column_names_are_kept_to(self, halves):
        X_train, X_test, y_train, _ = halves
        names = list("abcd")
        frame = pd.DataFrame(X_train, columns=names)
        model = quick_classifier(max_epochs=1).fit(frame, y_train)
        assert model.feature_names_in_.tolist() == names
        test = pd.DataFrame(X_test, columns=names)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model.predict(test)
            model.predict(Pairs(test, test))
            model.set_threshold(**NOBODY).enroll(test[:2], 9)
            model.calibrate_threshold(test, halves[3])
        for call in (
            model.predict,
            lambda X: model.predict(Pairs(X, X)),
            lambda X: model.enroll(X, 8),
        ):
            with pytest.raises(ValueError, match="feature names should match"):
                call(test[names[::-1]])

    def test_data_are_left_as_they_were(self, few_counts):
        X, y = few_counts[0].copy(), few_counts[1].copy()
        model = quick_classifier(unknown_label=-1).fit(X, y)
        with pytest.warns(UserWarning, match="2 of 2 rows .* named as another class"):
            model.enroll(X[:2], 9)
        model.calibrate_threshold(X, y, strategy="fpir", target=0.1).predict(X)
        np.testing.assert_array_equal(X, few_counts[0])
        np.testing.assert_array_equal(y, few_counts[1])


class TestTransform:
    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["contrastive", "difference head", "two towers"])
    @pytest.mark.parametrize("output", ["default", "pandas", "polars"])
    def test_embeddings_in_the_container_asked_for(self, models, halves, name, output):
        model, X_test = models(name), halves[1]
        plain = model.transform(X_test)
        assert plain.shape == (75, 6)
        assert plain.dtype == np.float32
        model.set_output(transform=output)
        kind = {"default": np.ndarray, "pandas": pd.DataFrame, "polars": pl.DataFrame}[
            output
        ]
        Z = model.transform(X_test)
        sides = model.transform(Pairs(X_test, X_test))
        assert isinstance(sides, Pairs)
        for found in (Z, *sides.sides):
            assert isinstance(found, kind)
        np.testing.assert_allclose(np.asarray(Z), plain, atol=1e-6)
        np.testing.assert_allclose(np.asarray(sides.left), plain, atol=1e-6)
        if output != "default":
            assert list(Z.columns) == model.get_feature_names_out().tolist()
        assert model.predict(X_test).shape == (75,)

    def test_fit_transform_is_fit_and_transform(self, halves):
        X_train, _, y_train, _ = halves
        np.testing.assert_array_equal(
            quick_classifier().fit_transform(X_train, y_train),
            quick_classifier().fit(X_train, y_train).transform(X_train),
        )

    def test_feature_names(self, models):
        assert models("contrastive").get_feature_names_out().tolist() == [
            f"siamesepairclassifier{i}" for i in range(6)
        ]

    @pytest.mark.parametrize(
        "name", ["transform", "fit_transform", "set_output", "get_feature_names_out"]
    )
    def test_two_channels_have_no_embedding(self, models, name):
        assert hasattr(models("contrastive"), name)
        assert hasattr(quick_classifier(architecture="pseudo_siamese"), name)
        for model in (
            models("two channels"),
            quick_classifier(architecture="two_channel"),
        ):
            assert not hasattr(model, name)
