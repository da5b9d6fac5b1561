"""Forms of X that look like something else: pairs, channels last, and series."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from torch import nn

from models import quick, quick_classifier
from siamese_sklearn import Pairs, make_pairs, make_triplets
from siamese_sklearn._estimators.axes import is_picture
from siamese_sklearn.towers import CNNTower, MLPTower

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(60, 5)).astype(np.float32), np.arange(60) % 3
PAIRS, SAME = make_pairs(X, Y, n_pairs=40, random_state=0)
STACKED = np.stack(PAIRS.sides, axis=1)  # (40, 2, 5)
MAKERS = [quick, quick_classifier]


@pytest.mark.parametrize("make", MAKERS)
class TestPairsInOtherForms:
    @pytest.mark.parametrize(
        "same",
        [SAME, 2 * SAME - 1, 2.0 * SAME - 1, SAME == 1, SAME.tolist()],
        ids=["0 and 1", "-1 and 1", "floats", "booleans", "list"],
    )
    @pytest.mark.parametrize("tower", ["auto", "mlp", CNNTower(), MLPTower()])
    def test_an_array_of_both_sides(self, make, same, tower):
        message = r"shape \(n, 2, 5\).*Pass Pairs\(X\[:, 0\], X\[:, 1\]\)"
        for form in (STACKED, STACKED.tolist(), torch.from_numpy(STACKED)):
            with pytest.raises(ValueError, match=message):
                make(tower=tower).fit(form, same)

    @pytest.mark.parametrize(
        "kind", [np.asarray, pd.DataFrame, sparse.csr_array, torch.tensor]
    )
    @pytest.mark.parametrize("form", [list, tuple])
    def test_a_list_of_sides(self, make, kind, form):
        with pytest.raises(ValueError, match=r"of 2 arrays.*Pass Pairs\(left, right\)"):
            make().fit(form(kind(side) for side in PAIRS.sides), SAME)

    def test_what_the_message_proposes(self, make):
        rows = STACKED.reshape(40, -1)
        assert make(max_epochs=1).fit(rows, SAME).input_shape_ == (10,)
        assert make(max_epochs=1).fit(STACKED[:, None], SAME).input_shape_ == (1, 2, 5)

    def test_rows_that_are_no_pairs(self, make):
        for y in (SAME + 1, np.arange(40) % 3, np.array(["no", "yes"])[SAME]):
            assert make(max_epochs=1).fit(STACKED, y).input_shape_ == (2, 5)
        two = [X[:20], X[20:40]]  # two classes of one image would be an error anyway
        with pytest.raises(ValueError, match="one class with 2 samples"):
            make().fit(two, [0, 1])

    def test_a_tower_of_the_users_decides_itself(self, make):
        tower = nn.Sequential(nn.Flatten(), nn.Linear(10, 6))
        model = make(tower=tower, n_components=6, max_epochs=1).fit(STACKED, SAME)
        assert model.input_shape_ == (2, 5)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "transform"])
def test_pairs_in_other_forms_after_a_fit(method):
    model = quick_classifier(max_epochs=1).fit(X, Y)
    with pytest.raises(ValueError, match=r"pass Pairs\(X\[:, 0\], X\[:, 1\]\)\.$"):
        getattr(model, method)(STACKED)
    with pytest.raises(ValueError, match=r"To compare pairs, pass Pairs\(\*X\)\.$"):
        getattr(model, method)(list(PAIRS.sides))
    with pytest.raises(ValueError, match=r"X has 4 features, .*as input\.$"):
        getattr(model, method)(X[:, :4])


def test_triplets_in_other_forms():
    triplets = make_triplets(X, Y, random_state=0)
    with pytest.raises(ValueError, match=r"Pass Triplets\(X\[:, 0\], X\[:, 1\], X"):
        quick().fit(np.stack(triplets.sides, axis=1))
    with pytest.raises(ValueError, match=r"Triplets\(anchor, positive, negative\)"):
        quick().fit(list(triplets.sides))


@pytest.mark.parametrize("label", [None, {1}, "same", np.nan, pd.NA], ids=repr)
def test_pairs_with_odd_labels(label):
    same = [*SAME.tolist()[:-1], label]
    with pytest.raises(ValueError, match=r"must contain only 1 \(same\) and 0 \(diff"):
        quick_classifier().fit(PAIRS, same)


@pytest.mark.parametrize("kind", ["boolean", "Int64", "category"])
def test_pairs_with_labels_of_pandas(kind):
    same = pd.Series(SAME).astype(bool if kind == "boolean" else int).astype(kind)
    model = quick_classifier(max_epochs=1).fit(PAIRS, same)
    assert model.score(PAIRS, same) == model.score(PAIRS, SAME)


def images(*shape):
    return rng.normal(size=(12, *shape)).astype(np.float32), np.arange(12) % 3


class TestChannelsLast:
    @pytest.mark.parametrize("n_channels", [1, 2, 3, 4, 6, 13])
    @pytest.mark.parametrize("make", MAKERS)
    def test_square_images_are_refused(self, make, n_channels):
        with pytest.raises(ValueError, match=r"channels last.*moveaxis\(X, -1, 1\)"):
            make().fit(*images(16, 16, n_channels))

    @pytest.mark.parametrize("shape", [(16, 20, 6), (20, 16, 2), (5, 5, 30)])
    def test_others_are_read_with_a_warning(self, shape):
        first, *size = shape
        message = rf"read as {first} channels of {size[0]} x {size[1]} .*moveaxis"
        with pytest.warns(UserWarning, match=message) as seen:
            quick_classifier(max_epochs=1).fit(*images(*shape))
        assert len(seen) == 1

    @pytest.mark.parametrize("shape", [(6, 16, 16), (13, 16, 20), (3, 8, 8), (8, 8, 8)])
    def test_channels_first_are_read_without_a_word(self, shape):
        assert quick(max_epochs=1).fit(*images(*shape)).input_shape_ == shape

    def test_other_towers_have_no_channels(self):
        for tower in ("mlp", nn.Sequential(nn.Flatten(), nn.Linear(1536, 32))):
            model = quick(max_epochs=1, tower=tower).fit(*images(16, 16, 6))
            assert model.input_shape_ == (16, 16, 6)


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        *[((8, 8), True), ((3, 32, 32), True), ((28, 112), True), ((5, 20), True)],
        *[((3, 500), False), ((9, 128), False), ((4, 4), False), ((1, 3, 500), False)],
        ((64,), False),
    ],
)
def test_a_series_is_no_picture(shape, wanted):
    assert is_picture(shape) == wanted


def test_series_are_not_rotated(monkeypatch):
    calls = []

    def augment(batch):
        calls.append(tuple(batch.shape[1:]))
        return batch

    augmenter = "siamese_sklearn._estimators.training_data.ImageAugmenter"
    monkeypatch.setattr(augmenter, lambda: augment)
    quick(max_epochs=1).fit(*images(3, 100))
    assert calls == []
    quick(max_epochs=1).fit(*images(8, 8))
    assert set(calls) == {(8, 8)}


CONSTANT = np.ones((300, 5), np.float32)
EQUAL = r"All rows of `X` are equal.*Check how"


class TestConstantRows:
    @pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
    @pytest.mark.parametrize("make", MAKERS)
    def test_are_warned_of(self, make, kind):
        with pytest.warns(ConvergenceWarning, match=EQUAL):
            make(max_epochs=1).fit(kind(CONSTANT), np.arange(300) % 3)

    def test_on_both_sides_of_pairs(self):
        with pytest.warns(ConvergenceWarning, match=EQUAL):
            quick(max_epochs=1).fit(Pairs(CONSTANT, CONSTANT + 1), np.arange(300) % 2)
        quick(max_epochs=1).fit(Pairs(CONSTANT[:60], X), np.arange(60) % 2)

    def test_a_single_other_row_is_enough(self):
        rows = CONSTANT.copy()
        rows[-1, -1] = 2
        quick(max_epochs=1).fit(rows, np.arange(300) % 3)
