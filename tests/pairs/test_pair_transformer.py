"""PairTransformer: one transformer for both sides."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, Normalizer, StandardScaler
from sklearn.utils import estimator_checks

from siamese_sklearn.pairs import Pairs, PairTransformer, Triplets


@pytest.mark.slow
@pytest.mark.parametrize(
    "inner", [StandardScaler(), Normalizer(), PCA(1), SelectKBest(k=1)], ids=str
)
# those of the inner transformers on the checks' data
@pytest.mark.filterwarnings("ignore")
def test_conforms_to_scikit_learn(inner):
    results = estimator_checks.check_estimator(PairTransformer(inner), on_skip=None)
    assert len(results) > 40
    assert {r["check_name"] for r in results if r["status"] == "skipped"} <= {
        "check_array_api_input"
    }


@pytest.mark.parametrize(
    "check",
    [
        "check_dataframe_column_names_consistency",
        "check_transformer_get_feature_names_out",
        "check_transformer_get_feature_names_out_pandas",
        "check_set_output_transform",
        "check_set_output_transform_pandas",
        "check_set_output_transform_polars",
        "check_global_output_transform_pandas",
        "check_global_set_output_transform_polars",
    ],
)
@pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names")
def test_conforms_to_the_checks_that_scikit_learn_does_not_generate(check):
    getattr(estimator_checks, check)(
        "PairTransformer", PairTransformer(StandardScaler())
    )


LEFT, RIGHT = np.array([[0.0, 1.0], [2.0, 5.0]]), np.array([[4.0, 3.0], [6.0, 7.0]])


@pytest.mark.parametrize(
    "container",
    [
        np.asarray,
        pd.DataFrame,
        lambda X: pl.DataFrame(X, schema=["a", "b"], orient="row"),
        lambda X: pd.DataFrame(X, columns=["a", "b"], index=["u", "v"]),
    ],
)
def test_both_sides_are_scaled_as_one_set_of_rows(container):
    """The first column is 0, 2, 4, 6: its minimum 0, its maximum 6; the second 1, 5, 3,
    7: 1 and 7.
    """
    transformer = PairTransformer(MinMaxScaler()).fit(
        Pairs(container(LEFT), container(RIGHT))
    )
    scaled = transformer.transform(Pairs(container(LEFT), container(RIGHT)))
    np.testing.assert_allclose(scaled.left, [[0, 0], [1 / 3, 2 / 3]])
    np.testing.assert_allclose(scaled.right, [[2 / 3, 1 / 3], [1, 1]])
    np.testing.assert_allclose(transformer.transform(container(RIGHT)), scaled.right)
    np.testing.assert_allclose(transformer.inverse_transform(scaled).right, RIGHT)


def test_sparse_sides_stay_sparse():
    pairs = Pairs(sparse.csr_array(LEFT), sparse.coo_array(RIGHT))
    scaled = PairTransformer(StandardScaler(with_mean=False)).fit_transform(pairs)
    assert sparse.issparse(scaled.left)
    np.testing.assert_allclose(
        scaled.right.toarray(), RIGHT / np.std([[0, 1], [2, 5], [4, 3], [6, 7]], axis=0)
    )


def test_texts_become_counts():
    pairs = Pairs(pd.Series(["jon smith", "ann"]), pd.Series(["john smith", "anne"]))
    transformer = PairTransformer(CountVectorizer()).fit(pairs)
    assert transformer.get_feature_names_out().tolist() == [
        "ann",
        "anne",
        "john",
        "jon",
        "smith",
    ]
    assert transformer.transform(pairs).left.toarray().tolist() == [
        [0, 0, 0, 1, 1],
        [1, 0, 0, 0, 0],
    ]


def test_polars_sides_may_differ_in_number_type():
    left, right = pl.DataFrame({"a": [0, 1]}), pl.DataFrame({"a": [0.5, 2.0]})
    assert PairTransformer(MinMaxScaler()).fit_transform(
        Pairs(left, right)
    ).left.ravel().tolist() == [
        0.0,
        0.5,
    ]


def test_triplets_are_transformed_side_by_side():
    scaled = PairTransformer(MinMaxScaler()).fit_transform(
        Triplets([[0.0]], [[1.0]], [[4.0]])
    )
    assert isinstance(scaled, Triplets)
    assert [float(side[0, 0]) for side in scaled.sides] == [0.0, 0.25, 1.0]


def test_labels_of_rows_are_handed_on_and_labels_of_pairs_are_not():
    class Remembers(StandardScaler):
        def fit(self, X, y=None):
            self.seen_ = (X.shape, y)
            return super().fit(X)

    inner = Remembers()
    assert PairTransformer(inner).fit(
        Pairs(LEFT, RIGHT), [0, 1]
    ).transformer_.seen_ == ((4, 2), None)
    assert PairTransformer(inner).fit(LEFT, [0, 1]).transformer_.seen_ == (
        (2, 2),
        [0, 1],
    )
    assert not hasattr(inner, "seen_")


def test_fit_transform_of_plain_x_is_the_transformers_own():
    class Shifts(StandardScaler):
        def fit_transform(self, X, y=None):
            return self.fit(X).transform(X) + y

    transformer = PairTransformer(Shifts())
    np.testing.assert_allclose(
        transformer.fit_transform(LEFT, 100) - 100, transformer.transform(LEFT)
    )


def test_labeled_transformer_serves_pairs_once_fitted_on_plain_x():
    transformer = PairTransformer(LinearDiscriminantAnalysis())
    with pytest.raises(
        ValueError,
        match=r"LinearDisc.* needs a label for each row, but Pairs have none",
    ):
        transformer.fit(Pairs(LEFT, RIGHT), [0, 1])
    transformer.fit([[0.0, 1], [1, 1.1], [0, 9], [1, 9.1]], [0, 0, 1, 1])
    assert transformer.transform(Pairs(LEFT, RIGHT)).left.shape == (2, 1)


def test_set_output_holds_for_each_side_before_and_after_fit():
    pairs = Pairs(
        pd.DataFrame(LEFT, columns=["a", "b"]), pd.DataFrame(RIGHT, columns=["a", "b"])
    )
    transformer = clone(
        PairTransformer(StandardScaler()).set_output(transform="pandas")
    ).fit(pairs)
    assert list(transformer.transform(pairs).right.columns) == ["a", "b"]
    assert isinstance(
        transformer.set_output(transform="polars").transform(pairs).left, pl.DataFrame
    )
    assert transformer.n_features_in_ == 2
    assert transformer.feature_names_in_.tolist() == ["a", "b"]


def test_only_what_the_transformer_has():
    assert not hasattr(PairTransformer(Normalizer()), "inverse_transform")
    assert hasattr(PairTransformer(StandardScaler()), "inverse_transform")
    assert not hasattr(PairTransformer(StandardScaler()), "n_features_in_")
    assert not hasattr(PairTransformer(CountVectorizer()), "set_output")


@pytest.mark.parametrize(
    "method", ["transform", "inverse_transform", "get_feature_names_out"]
)
def test_unfitted_is_refused(method):
    with pytest.raises(NotFittedError):
        getattr(PairTransformer(StandardScaler()), method)(Pairs(LEFT, RIGHT))


@pytest.mark.parametrize(
    ("left", "right", "message"),
    [
        (LEFT, RIGHT[:, :1], r"rows of shape \(2,\) and \(1,\)"),
        (LEFT, sparse.csr_array(RIGHT), "array and sparse matrix"),
        (pd.DataFrame(LEFT), pl.DataFrame(RIGHT), "pandas frame and polars frame"),
        (
            pd.DataFrame(LEFT, columns=["a", "b"]),
            pd.DataFrame(RIGHT, columns=["b", "a"]),
            "columns .*'a', 'b'",
        ),
    ],
)
def test_two_kinds_of_sides_need_two_transformers(left, right, message):
    with pytest.raises(
        ValueError,
        match=rf"`transformer` cannot be applied to sides that differ; got {message}",
    ):
        PairTransformer(StandardScaler()).fit(Pairs(left, right))


def test_sides_of_other_shapes_are_refused_in_transform_too():
    transformer = PairTransformer(StandardScaler()).fit(LEFT)
    with pytest.raises(ValueError, match=r"rows of shape \(2,\) and \(1,\)"):
        transformer.transform(Pairs(LEFT, RIGHT[:, :1]))


class NearIsSame(ClassifierMixin, BaseEstimator):
    """Same where the sides are nearer than midway between the same and the different
    pairs of `fit`.
    """

    def _distances(self, X):
        return np.linalg.norm(X.left - X.right, axis=1)

    def fit(self, X, y):
        distances = self._distances(X)
        self.threshold_ = (distances[y == 1].max() + distances[y == 0].min()) / 2
        self.classes_ = np.array([0, 1])
        return self

    def predict(self, X):
        return (self._distances(X) < self.threshold_).astype(int)


@pytest.mark.parametrize("cached", [False, True])
def test_pipelines_and_their_searches(cached, tmp_path):
    """Rows that are the same differ by 0.1, others by 1 or more; a feature that is
    constant does no harm.
    """
    left, right = np.zeros((40, 2)), np.zeros((40, 2))
    same = np.arange(40) % 2
    right[:, 0] = np.where(same, 0.1, np.arange(1, 41))
    scaler = PairTransformer(StandardScaler())
    pipeline = make_pipeline(
        scaler, NearIsSame(), memory=str(tmp_path) if cached else None
    )
    grid = {"pairtransformer__transformer__with_mean": [True, False]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(Pairs(left, right), same)
    assert search.score(Pairs(left, right), same) == 1.0
    fitted = search.best_estimator_[0].transformer_
    np.testing.assert_allclose(
        fitted.scale_[0], np.std(np.append(left[:, 0], right[:, 0]))
    )
