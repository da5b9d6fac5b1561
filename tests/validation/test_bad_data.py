"""Bad rows, labels and sides: what the error says, and what outlives it."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from torch import nn

from refusals import IMAGES, PAIRS, SAME, X, Y, check_refused, with_value
from siamese_sklearn import Pairs, SiameseEmbedder, Triplets


class LabelLoss(nn.Module):
    def forward(self, embeddings, labels):
        return embeddings.square().mean()


ROWS = {
    "NaN": (with_value(np.nan), ValueError, r"Input X contains NaN"),
    "infinity": (with_value(np.inf), ValueError, r"Input X contains infinity"),
    "beyond float32": (
        with_value(1e39),
        ValueError,
        r"Input X contains infinity or a value too large",
    ),
    "NaN in a sparse matrix": (
        sparse.csr_array(with_value(np.nan)),
        ValueError,
        r"Input X contains NaN",
    ),
    "no rows": (X[:0], ValueError, r"`X` is invalid: .*0 sample"),
    "no columns": (X[:, :0], ValueError, r"`X` is invalid: .*0 feature"),
    "one dimension": (
        X[:, 0],
        ValueError,
        r"`X` is invalid: Expected 2D array, got 1D array",
    ),
    "a number": (3.0, ValueError, r"`X` is invalid: Expected 2D array, got scalar"),
    "nothing": (None, ValueError, r"`X` is invalid: Expected 2D array, got scalar"),
    "ragged": (
        [[1.0, 2.0], [3.0]] * 89,
        ValueError,
        r"`X` is invalid: .* All rows must have the same length",
    ),
    "texts": (
        with_value(1).astype(str).astype(object) + "cm",
        ValueError,
        r"`X` is invalid.*text and categories",
    ),
    "texts in a frame": (
        pd.DataFrame(X).assign(hue="red"),
        (TypeError, ValueError),
        r"X",
    ),
    "mappings": ([{"a": 1}] * 178, TypeError, r"`X` is invalid: "),
    "complex": (X + 1j, ValueError, r"`X` is invalid: Complex data not supported"),
    "empty images": (
        np.zeros((178, 0, 5)),
        ValueError,
        r"`X` has rows of shape \(0, 5\), which contain 0 features",
    ),
}

LABELS = {
    "missing": (None, ValueError, r"requires y to be passed, but the target y is None"),
    "continuous": (
        X[:, 0],
        ValueError,
        r"Unknown label type: continuous. `y` must contain class labels",
    ),
    "NaN": (
        np.where(Y == 0, np.nan, Y),
        ValueError,
        r"Input y contains NaN or None in 59 rows",
    ),
    "None": (
        np.where(Y == 0, None, Y),
        ValueError,
        r"Input y contains NaN or None in 59 rows",
    ),
    "infinity": (
        np.where(Y == 0, np.inf, Y),
        ValueError,
        r"Unknown label type: continuous. `y` must contain",
    ),
    "numbers and texts": (
        np.where(Y == 0, "a", Y.astype(object)),
        ValueError,
        r"`y` must contain class labels of one",
    ),
    "bytes": (
        np.array([b"a", b"b", b"c"])[Y],
        ValueError,
        r"Unknown label type: bytes. `y` must contain class labels",
    ),
    "two columns": (np.column_stack([Y, Y]), ValueError, r"y should be a 1d array"),
    "too few": (
        Y[:-1],
        ValueError,
        r"`X` and `y` must have the same number of rows; got 178 in `X` and 177 in `y`",
    ),
    "one class": (
        np.full(178, "a"),
        ValueError,
        r"needs at least 2 classes in `y`; got 1 class, 'a'",
    ),
    "only singletons": (
        np.arange(178),
        ValueError,
        r"one class with 2 samples in `y`, .* got 178 classes with 1 sample",
    ),
}

GIVEN = {
    "left has NaN": (
        (Pairs(with_value(np.nan)[:60], X[:60]), SAME),
        ValueError,
        r"Pairs.left: Input X contains NaN",
    ),
    "right is text": (
        (Pairs(X[:60], np.full((60, 13), "a")), SAME),
        ValueError,
        r"Pairs.right: `X` is invalid",
    ),
    "sides differ": (
        (Pairs(X[:60], X[:60, :5]), SAME),
        ValueError,
        r"Pairs.right: X has 5 features",
    ),
    "images differ": (
        (Triplets(IMAGES, IMAGES, IMAGES[:, :, :5]), None),
        ValueError,
        r"Triplets.negative: `X` has rows of shape \(6, 5\)",
    ),
    "no y": ((PAIRS, None), ValueError, r"Pairs require `y`: .* got None"),
    "classes as y": (
        (PAIRS, SAME + 1),
        ValueError,
        r"`y` must contain only 1 \(same\) and 0 \(different\); got \[1, 2\]",
    ),
    "minus one": (
        (PAIRS, 2 * SAME - 1),
        ValueError,
        r"got \[-1, 1\]. Replace -1 with 0",
    ),
    "texts as y": (
        (PAIRS, np.array(["no", "yes"])[SAME]),
        ValueError,
        r"`y` must contain only 1 \(same\) .* \['no', 'yes'\]",
    ),
    "all same": (
        (PAIRS, np.ones(60)),
        ValueError,
        r"`y` must contain both 1 .* all are same",
    ),
    "too few": (
        (PAIRS, SAME[1:]),
        ValueError,
        r"`X` and `y` must have the same number of rows; got 60 in `X` and 59 in `y`",
    ),
}


@pytest.mark.parametrize(("rows", "error", "message"), ROWS.values(), ids=ROWS)
def test_bad_rows(rows, error, message):
    check_refused({}, (rows, Y), error, message)


@pytest.mark.parametrize(("labels", "error", "message"), LABELS.values(), ids=LABELS)
def test_bad_labels(labels, error, message):
    check_refused({}, (X, labels), error, message)


@pytest.mark.parametrize(("data", "error", "message"), GIVEN.values(), ids=GIVEN)
def test_bad_pairs_and_triplets(data, error, message):
    check_refused({}, data, error, message)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (
            (6, 7),
            r"`X` has rows of shape \(6, 7\), but SiameseEmbedder was fitted on rows "
            r"of shape \(6, 6\)",
        ),
        (
            (6, 6, 1),
            r"`X` has rows of shape \(6, 6, 1\), but SiameseEmbedder was fitted on",
        ),
        ((7, 6), "X has 7 features, but SiameseEmbedder is expecting 6 features"),
        ((36,), "X has 36 features, but SiameseEmbedder is expecting 6 features"),
        (
            (6,),
            r"`X` has rows of shape \(6,\), but SiameseEmbedder was fitted on rows of "
            r"shape \(6, 6\)",
        ),
    ],
)
def test_rows_of_another_shape_than_the_images_of_fit(shape, message):
    embedder = SiameseEmbedder(device="cpu", max_epochs=1).fit(
        IMAGES, np.arange(20) % 2
    )
    with pytest.raises(ValueError, match=message):
        embedder.transform(np.zeros((3, *shape)))


def test_images_with_the_channels_last():
    with pytest.raises(
        ValueError, match=r"channels first, .* numpy.moveaxis\(X, -1, 1\)"
    ):
        SiameseEmbedder(device="cpu").fit(np.zeros((10, 8, 8, 3)), np.arange(10) % 2)


@pytest.fixture(scope="module")
def embedder():
    return SiameseEmbedder(device="cpu", max_epochs=1, random_state=0).fit(X, Y)


class TestAfterFit:
    @pytest.mark.parametrize(
        "name",
        [name for name in ROWS if name not in ("no columns", "texts in a frame")],
    )
    def test_bad_rows(self, embedder, name):
        rows, error, message = ROWS[name]
        message = r"X has 0 features" if name == "empty images" else message
        with pytest.raises(error, match=f"(?s){message}"):
            embedder.transform(rows)

    def test_wrong_number_of_features(self, embedder):
        with pytest.raises(
            ValueError,
            match="X has 12 features, but SiameseEmbedder is expecting 13 features",
        ):
            embedder.transform(X[:, :12])

    def test_other_names(self):
        frame = pd.DataFrame(X, columns=[f"column {i}" for i in range(13)])
        embedder = SiameseEmbedder(device="cpu", max_epochs=1).fit(frame, Y)
        with pytest.raises(ValueError, match="feature names should match"):
            embedder.transform(frame.rename(columns={"column 3": "hue"}))

    def test_pairs(self, embedder):
        with pytest.raises(ValueError, match=r"Pairs.right: X has 5 features"):
            embedder.transform(Pairs(X, X[:, :5]))
        with pytest.raises(ValueError, match=r"Triplets.anchor: Input X contains NaN"):
            embedder.transform(Triplets(with_value(np.nan), X, X))

    @pytest.mark.parametrize("name", [name for name in LABELS if name != "one class"])
    def test_score(self, embedder, name):
        labels, error, message = LABELS[name]
        with pytest.raises(error, match=message):
            embedder.score(X, labels)

    def test_score_of_one_class_is_one_and_says_what_to_do(self, embedder):
        with pytest.warns(
            UserWarning, match=r"`y` has a single class, 'a'.*cv=StratifiedKFold"
        ):
            assert embedder.score(X, np.full(178, "a")) == 1.0

    def test_score_of_pairs_of_one_kind(self, embedder):
        with pytest.raises(ValueError, match="all are different"):
            embedder.score(PAIRS, np.zeros(60))

    @pytest.mark.parametrize(
        ("X_new", "y_new", "classes", "message"),
        [
            (
                X[:, :5],
                Y,
                None,
                "X has 5 features, but SiameseEmbedder is expecting 13",
            ),
            (with_value(np.nan), Y, None, "Input X contains NaN"),
            (
                X,
                np.array(["a", "b", "c"])[Y],
                None,
                "must be of the same kind; got .*'a', 'b', 'c'.*0, 1, 2",
            ),
            (X, Y, ["a", "b"], "must be of the same kind"),
            (X, Y, [0.5, 1.5], "`classes` must contain class labels"),
            (X, Y, [[0, 1], [2, 3]], "y should be a 1d array"),
            (X[:2], Y[:2], None, "needs at least 2 classes"),
        ],
    )
    def test_partial_fit(self, X_new, y_new, classes, message):
        embedder = SiameseEmbedder(device="cpu", random_state=0).partial_fit(X, Y)
        before = embedder.transform(X)
        with pytest.raises(ValueError, match=message):
            embedder.partial_fit(X_new, y_new, classes=classes)
        np.testing.assert_array_equal(embedder.transform(X), before)
        assert (embedder.n_iter_, embedder.classes_.tolist()) == (1, [0, 1, 2])

    def test_warm_start_with_other_features(self):
        embedder = SiameseEmbedder(device="cpu", max_epochs=1, warm_start=True).fit(
            X, Y
        )
        with pytest.raises(
            ValueError,
            match="X has 5 features, but SiameseEmbedder is expecting 13 features",
        ):
            embedder.fit(X[:, :5], Y)
        assert embedder.transform(X).shape == (178, 32)

    def test_partial_fit_of_pairs_on_a_loss_of_labels(self):
        embedder = SiameseEmbedder(device="cpu", max_epochs=1, loss=LabelLoss()).fit(
            X, Y
        )
        with pytest.raises(TypeError, match="`loss` is a LabelLoss"):
            embedder.partial_fit(PAIRS, SAME)
        assert embedder.n_iter_ == 1


class TestMemoryMaps:
    @pytest.fixture
    def memory_map(self, tmp_path):
        def write(rows):
            rows = np.asarray(rows)
            np.memmap(tmp_path / "rows", dtype=rows.dtype, mode="w+", shape=rows.shape)[
                ...
            ] = rows
            return np.memmap(
                tmp_path / "rows", dtype=rows.dtype, mode="r", shape=rows.shape
            )

        return write

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            (
                with_value(np.nan),
                r"Input X contains NaN, infinity or a value too large",
            ),
            (
                with_value(np.inf),
                r"Input X contains NaN, infinity or a value too large",
            ),
            (with_value(1e39), r"Input X contains NaN, infinity or a value too large"),
            (
                X + 1j,
                r"`X` must hold real numbers; got a memory map of dtype complex128",
            ),
            (
                X.astype("S"),
                r"`X` must hold real numbers; got a memory map of dtype \|S",
            ),
            (X[:, 0], r"`X` is invalid: Expected 2D array, got 1D array"),
            (X[:1], r"`X` is invalid: .*1 sample"),
        ],
    )
    def test_bad_rows(self, memory_map, rows, message):
        check_refused({}, (memory_map(rows), Y), ValueError, message)

    def test_wrong_number_of_features(self, memory_map):
        embedder = SiameseEmbedder(device="cpu", max_epochs=1).fit(X, Y)
        with pytest.raises(
            ValueError,
            match="X has 12 features, but SiameseEmbedder is expecting 13 features",
        ):
            embedder.transform(memory_map(X[:, :12]))
