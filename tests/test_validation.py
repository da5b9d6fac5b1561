"""Bad input: what the error says, that no training began, and that a fitted model outlives it."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.datasets import load_wine
from sklearn.exceptions import DataConversionWarning, NotFittedError
from torch import nn

from siamese_sklearn import (
    CNNTower,
    ContrastiveLoss,
    MLPTower,
    Pairs,
    SiameseEmbedder,
    TripletLoss,
    Triplets,
    make_pairs,
)
from siamese_sklearn._validation import RightSide, check_names, check_sides

X, Y = load_wine(return_X_y=True)
IMAGES = np.random.default_rng(0).normal(size=(20, 6, 6))
PAIRS, SAME = make_pairs(X, Y, n_pairs=60, random_state=0)


class Spy:
    """An `augment` that remembers that training began."""

    def __init__(self):
        self.called = False

    def __call__(self, batch):
        self.called = True
        return batch


class LabelLoss(nn.Module):
    def forward(self, embeddings, labels):
        return embeddings.square().mean()


def no_module(input_shape, n_components):
    return input_shape


def narrow(input_shape, n_components):
    return nn.Linear(*input_shape, n_components - 1)


def with_value(value):
    """The rows, with one bad value in them."""
    rows = X.copy()
    rows[30, 4] = value
    return rows


BAD_PARAMETERS = [
    # parameters, error, message
    ({"n_components": 0}, ValueError, r"`n_components` must be an integer of at least 1; got 0"),
    ({"n_components": 2.5}, TypeError, r"`n_components` must be an integer .* got 2.5 of type float"),
    ({"n_components": True}, TypeError, r"`n_components` must be an integer"),
    (
        {"tower": "mpl"},
        ValueError,
        r"`tower` must be one of 'auto', 'mlp', 'cnn'; got 'mpl'. Did you mean 'mlp'\?",
    ),
    ({"tower": 3}, TypeError, r"`tower` must be .* got 3"),
    ({"tower": MLPTower}, TypeError, r"`tower` is the class MLPTower; pass an instance, MLPTower\(\)"),
    ({"tower": no_module}, TypeError, r"`tower`, as a callable, must return a torch.nn.Module; got tuple"),
    ({"tower": narrow}, ValueError, r"`tower` must map .* to embeddings of shape \(2, 32\); got \(2, 31\)"),
    ({"tower": nn.Linear(13, 5)}, ValueError, r"`tower` must map .* got \(2, 5\). Set `n_components`"),
    ({"tower": nn.Linear(12, 32)}, ValueError, r"`tower` fails on rows of shape \(13,\)"),
    ({"tower": "cnn"}, ValueError, r"`tower` is a CNN, which takes images"),
    ({"tower": CNNTower()}, ValueError, r"`tower` is a CNN, which takes images"),
    ({"tower": MLPTower(dropout=1.5)}, ValueError, r"`MLPTower.dropout` must be"),
    ({"tower": MLPTower(hidden_layer_sizes=(0,))}, ValueError, r"`MLPTower.hidden_layer_sizes` must be"),
    ({"tower": MLPTower(activation="rellu")}, ValueError, r"`MLPTower.activation` .* Did you mean 'relu'"),
    ({"loss": "triplets"}, ValueError, r"`loss` must be one of .*; got 'triplets'. Did you mean 'triplet'\?"),
    ({"loss": TripletLoss}, TypeError, r"`loss` is the class TripletLoss; pass an instance"),
    ({"loss": None}, TypeError, r"`loss` must be .* got None"),
    (
        {"mining": "semihrad", "loss": "triplet"},
        ValueError,
        r"`mining` must be one of 'all', 'semihard', .* Did you mean 'semihard'",
    ),
    (
        {"mining": "semihard", "loss": "contrastive"},
        ValueError,
        r"`mining`='semihard' is not for loss 'contrastive'.*'triplet'.* take it",
    ),
    ({"distance": "euclidian"}, ValueError, r"`distance` must be .* Did you mean 'euclidean'"),
    (
        {"margin": -0.5, "loss": "contrastive"},
        ValueError,
        r"`ContrastiveLoss.margin` must be a finite number above 0; got -0.5",
    ),
    ({"margin": -0.5, "loss": "triplet"}, ValueError, r"`TripletLoss.margin` must be .* of at least 0"),
    ({"margin": np.nan}, ValueError, r"`TripletLoss.margin` must be a finite number .* got nan"),
    (
        {"margin": "Soft", "loss": "triplet"},
        TypeError,
        r"`TripletLoss.margin` must be .*\"soft\"; got 'Soft'",
    ),
    ({"loss": ContrastiveLoss(margin=-1)}, ValueError, r"`ContrastiveLoss.margin` must be"),
    ({"normalize": "yes"}, TypeError, r"`normalize` must be True or False; got 'yes'"),
    ({"max_epochs": 0}, ValueError, r"`max_epochs` must be an integer of at least 1; got 0"),
    ({"max_epochs": -3}, ValueError, r"`max_epochs` must be an integer of at least 1; got -3"),
    ({"max_epochs": 2.0}, TypeError, r"`max_epochs` must be an integer"),
    ({"batch_size": 0}, ValueError, r"`batch_size` must be an integer of at least 1; got 0"),
    ({"batch_size": 3}, ValueError, r"`batch_size` must be at least 4, .* a positive pair .* got 3"),
    ({"batch_size": 16.0}, TypeError, r"`batch_size` must be an integer"),
    ({"lr": 0}, ValueError, r"`lr` must be a finite number above 0; got 0"),
    ({"lr": -0.1}, ValueError, r"`lr` must be a finite number above 0; got -0.1"),
    ({"lr": np.nan}, ValueError, r"`lr` must be a finite number above 0; got nan"),
    ({"lr": np.inf}, ValueError, r"`lr` must be a finite number above 0; got inf"),
    ({"lr": "fast"}, TypeError, r"`lr` must be a finite number above 0; got 'fast'"),
    ({"optimizer": "adamm"}, ValueError, r"`optimizer` must be one of .* Did you mean 'adam'"),
    ({"optimizer": 3}, TypeError, r"`optimizer` must be .* got 3"),
    (
        {"optimizer": torch.nn.Linear},
        TypeError,
        r"`optimizer` must be .* a subclass of torch.optim.Optimizer",
    ),
    ({"weight_decay": -1}, ValueError, r"`weight_decay` must be a finite number of at least 0; got -1"),
    ({"augment": 3}, TypeError, r'`augment` must be "auto", None or a callable on a batch tensor; got int'),
    ({"augment": "flip"}, TypeError, r"`augment` must be .*; got 'flip'"),
    ({"weight_averaging": 1.0}, ValueError, r"`weight_averaging` must be .* got 1.0"),
    ({"early_stopping": "yes"}, TypeError, r"`early_stopping` must be True or False"),
    (
        {"validation_fraction": 0.0},
        ValueError,
        r"`validation_fraction` must be .* above 0 and below 1; got 0",
    ),
    ({"validation_fraction": 1}, ValueError, r"`validation_fraction` must be .* above 0 and below 1; got 1"),
    ({"validation_split": "class"}, ValueError, r"`validation_split` .* Did you mean 'classes'"),
    (
        {"validation_split": "classes", "early_stopping": True},
        ValueError,
        r'validation_split="classes" holds out 2',
    ),
    ({"n_iter_no_change": 0}, ValueError, r"`n_iter_no_change` must be an integer of at least 1; got 0"),
    ({"callbacks": 3}, TypeError, r"`callbacks` must be None or a list of skorch callbacks; got int"),
    ({"callbacks": [3]}, TypeError, r"look at `net_params`, `callbacks` and `optimizer`"),
    (
        {"net_params": [1]},
        TypeError,
        r"`net_params` must be a dict of parameters of skorch.NeuralNet; got list",
    ),
    (
        {"net_params": {"iterator_trian": 3}},
        ValueError,
        r"`net_params`.* unexpected argument.* iterator_trian",
    ),
    ({"net_params": {"optimizer__momentum": 0.9}}, TypeError, r"`net_params`.*momentum"),
    ({"net_params": {"lr": 0.1}}, ValueError, r"`net_params` must not set 'lr'; set `lr` of the estimator"),
    ({"net_params": {"module": nn.Linear}}, ValueError, r"`net_params` must not set 'module'; set `tower`"),
    ({"warm_start": 2}, TypeError, r"`warm_start` must be True or False; got 2"),
    ({"device": "gpu"}, ValueError, r"`device` must be \"auto\", \"cpu\", .*; got 'gpu'"),
    (
        {"device": "cuda:99"},
        ValueError,
        r"`device` is 'cuda:99', but PyTorch sees \d+ such device.* device=\"auto\"",
    ),
    ({"device": None}, ValueError, r"`device` must be .* got None"),
    ({"n_threads": 0}, ValueError, r"`n_threads` must be an integer of at least 1 or None; got 0"),
    ({"random_state": "a"}, ValueError, r"`random_state` must be an integer .* got 'a'"),
    ({"random_state": -1}, ValueError, r"`random_state` must be an integer .* got -1"),
    ({"verbose": -1}, ValueError, r"`verbose` must be an integer of at least 0.* got -1"),
    ({"verbose": "loud"}, TypeError, r"`verbose` must be an integer of at least 0.* got 'loud'"),
    ({"verbose": None}, TypeError, r"`verbose` must be an integer of at least 0.* got None"),
]

ROWS = {
    "NaN": (with_value(np.nan), ValueError, r"Input X contains NaN"),
    "infinity": (with_value(np.inf), ValueError, r"Input X contains infinity"),
    "beyond float32": (with_value(1e39), ValueError, r"Input X contains infinity or a value too large"),
    "NaN in a sparse matrix": (sparse.csr_array(with_value(np.nan)), ValueError, r"Input X contains NaN"),
    "no rows": (X[:0], ValueError, r"X cannot be used: .*0 sample"),
    "no columns": (X[:, :0], ValueError, r"X cannot be used: .*0 feature"),
    "one dimension": (X[:, 0], ValueError, r"X cannot be used: Expected 2D array, got 1D array"),
    "a number": (3.0, ValueError, r"X cannot be used: Expected 2D array, got scalar"),
    "nothing": (None, ValueError, r"X cannot be used: Expected 2D array, got scalar"),
    "ragged": ([[1.0, 2.0], [3.0]] * 89, ValueError, r"X cannot be used: .* All rows must be of one length"),
    "texts": (with_value(1).astype(str).astype(object) + "cm", ValueError, r"X cannot.*texts and categories"),
    "texts in a frame": (pd.DataFrame(X).assign(hue="red"), (TypeError, ValueError), r"X"),
    "mappings": ([{"a": 1}] * 178, TypeError, r"X cannot be used: "),
    "complex": (X + 1j, ValueError, r"X cannot be used: Complex data not supported"),
    "empty images": (
        np.zeros((178, 0, 5)),
        ValueError,
        r"X has rows of shape \(0, 5\), which hold 0 features",
    ),
}

LABELS = {
    "missing": (None, ValueError, r"requires y to be passed, but the target y is None"),
    "continuous": (X[:, 0], ValueError, r"Unknown label type: continuous. y must hold class labels"),
    "NaN": (np.where(Y == 0, np.nan, Y), ValueError, r"Input y contains NaN or None, 59 of them"),
    "None": (np.where(Y == 0, None, Y), ValueError, r"Input y contains NaN or None, 59 of them"),
    "infinity": (np.where(Y == 0, np.inf, Y), ValueError, r"Unknown label type: continuous. y must hold"),
    "numbers and texts": (
        np.where(Y == 0, "a", Y.astype(object)),
        ValueError,
        r"y must hold class labels of one",
    ),
    "bytes": (
        np.array([b"a", b"b", b"c"])[Y],
        ValueError,
        r"Unknown label type: bytes. y must hold class labels",
    ),
    "two columns": (np.column_stack([Y, Y]), ValueError, r"y should be a 1d array"),
    "too few": (Y[:-1], ValueError, r"X and y must have equally many rows; got 178 in X and 177 in y"),
    "one class": (np.full(178, "a"), ValueError, r"needs at least 2 classes in y .* got 1 class, 'a'"),
    "only singletons": (
        np.arange(178),
        ValueError,
        r"one class with 2 samples in y, .* got 178 classes of 1 sample",
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
        r"Pairs.right: X cannot be used",
    ),
    "sides differ": ((Pairs(X[:60], X[:60, :5]), SAME), ValueError, r"Pairs.right: X has 5 features"),
    "images differ": (
        (Triplets(IMAGES, IMAGES, IMAGES[:, :, :5]), None),
        ValueError,
        r"Triplets.negative: X has rows of shape \(6, 5\)",
    ),
    "no y": ((PAIRS, None), ValueError, r"Pairs need a y .* got None"),
    "classes as y": (
        (PAIRS, SAME + 1),
        ValueError,
        r"y must hold 1 \(same\) and 0 \(different\) only; got \[1, 2\]",
    ),
    "minus one": ((PAIRS, 2 * SAME - 1), ValueError, r"got \[-1, 1\]. Replace -1 by 0"),
    "texts as y": (
        (PAIRS, np.array(["no", "yes"])[SAME]),
        ValueError,
        r"y must hold 1 \(same\) .* \['no', 'yes'\]",
    ),
    "all same": ((PAIRS, np.ones(60)), ValueError, r"y must hold both 1 .* all are same"),
    "too few": (
        (PAIRS, SAME[1:]),
        ValueError,
        r"X and y must have equally many rows; got 60 in X and 59 in y",
    ),
}


def check_refused(parameters, data, error, message):
    """Expect the error before the first batch, of a new embedder and a fitted one, which stays as it was."""
    spy = Spy()
    new = SiameseEmbedder(**{"device": "cpu", "augment": spy, **parameters})
    with pytest.raises(error, match=f"(?s){message}"):
        new.fit(*data)
    assert not spy.called
    with pytest.raises(NotFittedError):
        new.transform(X)

    fitted = SiameseEmbedder(device="cpu", max_epochs=1, random_state=0).fit(X, Y)
    embeddings, state = fitted.transform(X), dict(vars(fitted))
    with pytest.raises(error, match=f"(?s){message}"):
        fitted.set_params(**{"augment": spy, **parameters}).fit(*data)
    assert not spy.called
    learned = {name: value for name, value in vars(fitted).items() if name.endswith("_")}
    assert all(value is state[name] for name, value in learned.items())
    assert learned.keys() == {name for name in state if name.endswith("_")}
    np.testing.assert_array_equal(fitted.transform(X), embeddings)


@pytest.mark.parametrize(("parameters", "error", "message"), BAD_PARAMETERS)
def test_bad_parameters(parameters, error, message):
    check_refused(parameters, (X, Y), error, message)


@pytest.mark.parametrize(("rows", "error", "message"), ROWS.values(), ids=ROWS)
def test_bad_rows(rows, error, message):
    check_refused({}, (rows, Y), error, message)


@pytest.mark.parametrize(("labels", "error", "message"), LABELS.values(), ids=LABELS)
def test_bad_labels(labels, error, message):
    check_refused({}, (X, labels), error, message)


@pytest.mark.parametrize(("data", "error", "message"), GIVEN.values(), ids=GIVEN)
def test_bad_pairs_and_triplets(data, error, message):
    check_refused({}, data, error, message)


@pytest.mark.parametrize("data", [(PAIRS, SAME), (Triplets(X[:20], X[:20], X[50:70]), None)])
def test_loss_module_on_pairs_and_triplets(data):
    check_refused({"loss": LabelLoss()}, data, TypeError, r"`loss` is a LabelLoss, .* 'contrastive'")


def test_early_stopping_on_classes_too_small():
    message = r"`early_stopping=True` holds out rows, but no class has 3"
    check_refused({"early_stopping": True}, (X[[0, 1, 60, 61]], [0, 0, 1, 1]), ValueError, message)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((6, 7), r"X has rows of shape \(6, 7\), but SiameseEmbedder was fitted on rows of shape \(6, 6\)"),
        ((6, 6, 1), r"X has rows of shape \(6, 6, 1\), but SiameseEmbedder was fitted on"),
        ((7, 6), "X has 7 features, but SiameseEmbedder is expecting 6 features"),
        ((36,), "X has 36 features, but SiameseEmbedder is expecting 6 features"),
        ((6,), r"X has rows of shape \(6,\), but SiameseEmbedder was fitted on rows of shape \(6, 6\)"),
    ],
)
def test_rows_of_another_shape_than_the_images_of_fit(shape, message):
    embedder = SiameseEmbedder(device="cpu", max_epochs=1).fit(IMAGES, np.arange(20) % 2)
    with pytest.raises(ValueError, match=message):
        embedder.transform(np.zeros((3, *shape)))


def test_images_with_the_channels_last():
    with pytest.raises(ValueError, match=r"channels first, .* numpy.moveaxis\(X, -1, 1\)"):
        SiameseEmbedder(device="cpu").fit(np.zeros((10, 8, 8, 3)), np.arange(10) % 2)


@pytest.fixture(scope="module")
def embedder():
    return SiameseEmbedder(device="cpu", max_epochs=1, random_state=0).fit(X, Y)


class TestAfterFit:
    @pytest.mark.parametrize(
        "name", [name for name in ROWS if name not in ("no columns", "texts in a frame")]
    )
    def test_bad_rows(self, embedder, name):
        rows, error, message = ROWS[name]
        message = r"X has 0 features" if name == "empty images" else message
        with pytest.raises(error, match=f"(?s){message}"):
            embedder.transform(rows)

    def test_wrong_number_of_features(self, embedder):
        with pytest.raises(
            ValueError, match="X has 12 features, but SiameseEmbedder is expecting 13 features"
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
        with pytest.warns(UserWarning, match=r"y holds one class, 'a'.*cv=StratifiedKFold"):
            assert embedder.score(X, np.full(178, "a")) == 1.0

    def test_score_of_pairs_of_one_kind(self, embedder):
        with pytest.raises(ValueError, match="all are different"):
            embedder.score(PAIRS, np.zeros(60))

    @pytest.mark.parametrize(
        ("X_new", "y_new", "classes", "message"),
        [
            (X[:, :5], Y, None, "X has 5 features, but SiameseEmbedder is expecting 13"),
            (with_value(np.nan), Y, None, "Input X contains NaN"),
            (X, np.array(["a", "b", "c"])[Y], None, "must be of one kind; got .*'a', 'b', 'c'.*0, 1, 2"),
            (X, Y, ["a", "b"], "must be of one kind"),
            (X, Y, [0.5, 1.5], "classes must hold class labels"),
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
        embedder = SiameseEmbedder(device="cpu", max_epochs=1, warm_start=True).fit(X, Y)
        with pytest.raises(
            ValueError, match="X has 5 features, but SiameseEmbedder is expecting 13 features"
        ):
            embedder.fit(X[:, :5], Y)
        assert embedder.transform(X).shape == (178, 32)

    def test_partial_fit_of_pairs_on_a_loss_of_labels(self):
        embedder = SiameseEmbedder(device="cpu", max_epochs=1, loss=LabelLoss()).fit(X, Y)
        with pytest.raises(TypeError, match="`loss` is a LabelLoss"):
            embedder.partial_fit(PAIRS, SAME)
        assert embedder.n_iter_ == 1


class TestMemoryMaps:
    @pytest.fixture
    def memory_map(self, tmp_path):
        def write(rows):
            rows = np.asarray(rows)
            np.memmap(tmp_path / "rows", dtype=rows.dtype, mode="w+", shape=rows.shape)[...] = rows
            return np.memmap(tmp_path / "rows", dtype=rows.dtype, mode="r", shape=rows.shape)

        return write

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            (with_value(np.nan), r"Input X contains NaN, infinity or a value too large"),
            (with_value(np.inf), r"Input X contains NaN, infinity or a value too large"),
            (with_value(1e39), r"Input X contains NaN, infinity or a value too large"),
            (X + 1j, r"X must hold real numbers; got a memory map of dtype complex128"),
            (X.astype("S"), r"X must hold real numbers; got a memory map of dtype \|S"),
            (X[:, 0], r"X cannot be used: Expected 2D array, got 1D array"),
            (X[:1], r"X cannot be used: .*1 sample"),
        ],
    )
    def test_bad_rows(self, memory_map, rows, message):
        check_refused({}, (memory_map(rows), Y), ValueError, message)

    def test_wrong_number_of_features(self, memory_map):
        embedder = SiameseEmbedder(device="cpu", max_epochs=1).fit(X, Y)
        with pytest.raises(
            ValueError, match="X has 12 features, but SiameseEmbedder is expecting 13 features"
        ):
            embedder.transform(memory_map(X[:, :12]))


class TestBrokenTraining:
    """Errors that only training can bring leave a fitted model as it was, too."""

    def test_augment_of_another_shape(self):
        embedder = SiameseEmbedder(device="cpu", max_epochs=2, random_state=0, warm_start=True).fit(X, Y)
        before = embedder.transform(X)
        embedder.set_params(augment=lambda batch: batch[:, :5])
        with pytest.raises(
            ValueError, match="`augment` must return a float tensor of the shape of its batch"
        ):
            embedder.fit(X, Y)
        np.testing.assert_array_equal(embedder.transform(X), before)
        assert embedder.n_iter_ == len(embedder.history_) == 2

    def test_augment_that_breaks_late(self):
        embedder = SiameseEmbedder(device="cpu", max_epochs=2, random_state=0, warm_start=True).fit(X, Y)
        going_on = SiameseEmbedder(device="cpu", max_epochs=2, random_state=0, warm_start=True).fit(X, Y)
        embedder.set_params(augment=BreaksAfter(5))
        with pytest.raises(RuntimeError, match="out of ideas"):
            embedder.fit(X, Y)
        embedder.set_params(augment=None)
        np.testing.assert_array_equal(embedder.fit(X, Y).transform(X), going_on.fit(X, Y).transform(X))


class BreaksAfter:
    def __init__(self, n_calls):
        self.n_left = n_calls

    def __call__(self, batch):
        self.n_left -= 1
        if self.n_left < 0:
            raise RuntimeError("out of ideas")
        return batch


class TestNames:
    """Classes of the rows to enrol."""

    @pytest.mark.parametrize(
        "rows", [X[:3], sparse.csr_array(X[:3]), IMAGES[:3]], ids=["table", "csr", "images"]
    )
    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            ("ann", "U"),
            (7, "i"),
            (np.int8(7), "i"),
            (True, "b"),
            (2.0, "f"),
            (np.array("ann"), "U"),
            (np.datetime64("2026-01-01"), "M"),
        ],
        ids=repr,
    )
    def test_one_class_stands_for_all_rows(self, rows, name, kind):
        names = check_names(name, rows)
        assert names.shape == (3,)
        assert names.dtype.kind == kind
        assert (names == name).all()

    @pytest.mark.parametrize(
        "names",
        [
            ["ann", "bob", "ann"],
            np.array([3, 1, 3]),
            pd.Series(["ann", "bob", "ann"], index=[5, 6, 7]),
            np.array(["ann", "bob", "ann"], dtype=object),
            ("ann",) * 3,
        ],
        ids=["list", "array", "series", "object", "tuple"],
    )
    def test_one_class_for_each_row(self, names):
        found = check_names(names, X[:3])
        assert found.tolist() == list(names)

    def test_one_row_alone_in_its_class(self):
        assert check_names("ann", X[:1]).tolist() == check_names(["ann"], X[:1]).tolist() == ["ann"]

    def test_numbers_in_objects_become_numbers(self):
        assert check_names(np.array([3, 1, 3], dtype=object), X[:3]).dtype.kind == "i"

    def test_a_column_is_taken_with_a_warning(self):
        with pytest.warns(DataConversionWarning, match="1d array was expected"):
            assert check_names([["a"], ["b"], ["c"]], X[:3]).tolist() == ["a", "b", "c"]

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            (["ann"], "X and y must have equally many rows; got 3 in X and 1 in y"),
            (["ann"] * 4, "X and y must have equally many rows; got 3 in X and 4 in y"),
            ([], "got 3 in X and 0 in y"),
            (None, "Input y contains NaN or None, 3 of them"),
            (np.nan, "Input y contains NaN or None, 3 of them"),
            (["ann", None, "bob"], "Input y contains NaN or None, 1 of them"),
            (0.5, "Unknown label type: continuous. y must hold class labels"),
            ([0.5, 1.0, 2.0], "Unknown label type: continuous. y must hold class labels"),
            (np.array(["ann", 1, 2], dtype=object), "y must hold class labels of one kind"),
            (b"ann", "Unknown label type: bytes"),
            ([["ann", "bob"]] * 3, "y should be a 1d array"),
        ],
    )
    def test_errors(self, names, message):
        with pytest.raises(ValueError, match=message):
            check_names(names, X[:3])


class TestSidesOfTheirOwnShape:
    """`check_sides` where another estimator knows the right side."""

    def learn(self, pairs):
        left, right = BaseEstimator(), RightSide()
        return left, right, check_sides(left, pairs, reset=True, other=right)

    @pytest.mark.parametrize(
        ("left", "right"),
        [(X[:20], IMAGES), (IMAGES, X[:20, :5]), (X[:20], X[:20, :5]), (X[:20], X[20:40])],
        ids=["table images", "images table", "tables", "of one shape"],
    )
    def test_each_learns_its_own(self, left, right):
        first, second, checked = self.learn(Pairs(left, right))
        assert (first.n_features_in_, first.input_shape_) == (left.shape[1], left.shape[1:])
        assert (second.n_features_in_, second.input_shape_) == (right.shape[1], right.shape[1:])
        again = check_sides(first, Pairs(left[:4], right[:4]), reset=False, other=second)
        for found, part, given in zip(checked, again, (left, right), strict=True):
            assert found.dtype == np.float32
            assert found.flags.c_contiguous
            np.testing.assert_array_equal(found, given.astype(np.float32))
            np.testing.assert_array_equal(part, given[:4].astype(np.float32))

    def test_sparse_beside_dense(self):
        first, second, (left, right) = self.learn(Pairs(sparse.csc_array(X[:20]), IMAGES))
        assert sparse.issparse(left)
        assert (left.format, left.dtype, right.shape) == ("csr", np.float32, IMAGES.shape)
        assert (first.input_shape_, second.input_shape_) == ((13,), (6, 6))

    def test_names_of_the_columns(self):
        table = pd.DataFrame(X[:20, :3], columns=["a", "b", "c"])
        other = pd.DataFrame(X[:20, :2], columns=["d", "e"])
        first, second, _ = self.learn(Pairs(table, other))
        assert first.feature_names_in_.tolist() == ["a", "b", "c"]
        assert second.feature_names_in_.tolist() == ["d", "e"]
        for pairs, side in [
            (Pairs(table.rename(columns={"a": "z"}), other), "left"),
            (Pairs(table, other.rename(columns={"d": "a"})), "right"),
        ]:
            with pytest.raises(ValueError, match=f"Pairs.{side}: .*feature names should match"):
                check_sides(first, pairs, reset=False, other=second)

    @pytest.mark.parametrize(
        ("pairs", "message"),
        [
            (Pairs(X[:20], IMAGES[:, :, :4]), r"Pairs.right: X has rows of shape \(6, 4\), but .*\(6, 6\)"),
            (Pairs(X[:20], X[:20]), r"Pairs.right: X has 13 features, but .* is expecting 6"),
            (Pairs(IMAGES, IMAGES), r"Pairs.left: X has 6 features, but .* is expecting 13"),
            (Pairs(IMAGES, X[:20]), r"Pairs.left: X has 6 features, but .* is expecting 13"),
            (Pairs(with_value(np.nan)[20:40], IMAGES), r"Pairs.left: Input X contains NaN"),
            (Pairs(X[:20], np.abs(IMAGES) * np.inf), r"Pairs.right: Input X contains infinity"),
            (Pairs(X[:20], np.full((20, 6, 6), "a")), r"Pairs.right: X cannot be used"),
        ],
    )
    def test_errors_name_the_side(self, pairs, message):
        first, second, _ = self.learn(Pairs(X[:20], IMAGES))
        with pytest.raises(ValueError, match=message):
            check_sides(first, pairs, reset=False, other=second)

    def test_without_another_the_shapes_are_one(self):
        with pytest.raises(ValueError, match=r"Pairs.right: X has 5 features"):
            check_sides(BaseEstimator(), Pairs(X[:20], X[:20, :5]), reset=True)

    def test_a_new_fit_learns_anew(self):
        first, second, _ = self.learn(Pairs(X[:20], IMAGES))
        check_sides(first, Pairs(IMAGES, X[:20]), reset=True, other=second)
        assert (first.input_shape_, second.input_shape_) == ((6, 6), (13,))


def with_columns(**columns):
    """The rows as a data frame, with further columns."""
    return pd.DataFrame(X).rename(columns=str).assign(**columns)


def texts(text):
    """A column of text, of the dtype that all versions of pandas have."""
    return pd.Series([text] * len(X), dtype=object)


class TestColumnsThatAreNotNumeric:
    @pytest.mark.parametrize(
        ("columns", "named"),
        [
            ({"city": texts("Rome")}, r"'city' \(object\)"),
            ({"city": pd.Categorical(texts("Rome"))}, r"'city' \(category\)"),
            # pandas: "Cannot cast object dtype to float32"
            (
                {
                    "count": pd.array([1] * len(X), dtype="Int64"),
                    "city": pd.Categorical(texts("Rome")),
                },
                r"'city' \(category\)",
            ),
            (
                {"day": pd.date_range("2020-01-01", periods=len(X))},
                r"'day' \(datetime64\[\w+\]\)",
            ),
            ({"tags": [["a", "b"]] * len(X)}, r"'tags' \(object\)"),
            (  # numbers in a column of objects are numbers; "XL" holds the name of the data
                {"n": texts(1.5), "size": texts("XL"), "city": texts("Rome")},
                r"'size' \(object\), 'city' \(object\)",
            ),
            (
                {name: texts("Rome") for name in "abcdefg"},
                ", ".join(rf"'{name}' \(object\)" for name in "abcde") + r", \.\.\.",
            ),
        ],
        ids=["text", "category", "cast", "date", "list", "two", "many"],
    )
    def test_are_named(self, columns, named):
        message = (
            rf"^`X` must be numeric, but these columns are not: {named}\. Encode .*"
            r"OneHotEncoder in a ColumnTransformer, or drop these columns\.$"
        )
        with pytest.raises((ValueError, TypeError), match=message):
            SiameseEmbedder(device="cpu").fit(with_columns(**columns), Y)

    def test_are_named_in_a_polars_frame(self):
        polars = pytest.importorskip("polars")
        frame = polars.DataFrame({"age": X[:, 0], "city": ["Rome"] * len(X)})
        with pytest.raises(ValueError, match=r"columns are not: 'city' \(String\)\. "):
            SiameseEmbedder(device="cpu").fit(frame, Y)

    def test_are_named_with_the_side(self):
        pairs = Pairs(with_columns(), with_columns().assign(**{"3": "Rome"}))
        with pytest.raises(ValueError, match=r"^Pairs.right: `X` must be numeric.*: '3' "):
            check_sides(BaseEstimator(), pairs, reset=True)

    def test_other_names_come_first(self):
        embedder = SiameseEmbedder(device="cpu", max_epochs=1).fit(with_columns(), Y)
        with pytest.raises(ValueError, match="feature names should match"):
            embedder.transform(with_columns(city="Rome"))


def test_errors_name_no_private_class():
    first, second = BaseEstimator(), RightSide()
    check_sides(first, Pairs(X[:20], IMAGES), reset=True, other=second)
    message = r"^Pairs.right: X has 13 features, but the right tower is expecting 6 "
    with pytest.raises(ValueError, match=message):
        check_sides(first, Pairs(X[:20], X[:20]), reset=False, other=second)
