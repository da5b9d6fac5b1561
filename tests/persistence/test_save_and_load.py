"""Files of fitted estimators: what they hold, and what a loaded model can do."""

import copy
import os
import pickle
import stat
import warnings
import zipfile

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from scipy import sparse
from sklearn.exceptions import NotFittedError
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import LRScheduler
from torch import nn

from models import quick, quick_classifier
from siamese_sklearn import (
    CNNTower,
    MLPTower,
    Pairs,
    SiameseEmbedder,
    TripletLoss,
    make_pairs,
    make_triplets,
)
from siamese_sklearn.augmentation import ImageAugmenter
from siamese_sklearn.losses import LOSSES, BinaryCrossEntropyLoss
from siamese_sklearn.persistence import load, save
from siamese_sklearn.search import ApproximateSearch
from siamese_sklearn.towers import TOWERS, TowerSpec

WIDE = {"n_components": 8}  # so that a part comes from the input

CLASSIFIERS = {
    "defaults": {"n_components": None, "purpose": "new_classes"},
    "open set": {"unknown_label": "nobody", "n_references": 3, **WIDE},
    "known classes": {"purpose": "known_classes", "loss": "contrastive"},
    "product head": {"loss": "hinge", "head": "product", "margin": 0.5},
    "two towers": {
        "architecture": "pseudo_siamese",
        "tower": (MLPTower((8,)), "mlp"),
        "loss": "contrastive",
        "distance": "manhattan",
    },
    "two channels": {"architecture": "two_channel"},
    "bits": {"loss": "hamming_triplet", "n_components": 16},
    "proxies": {"loss": "proxy_anchor"},
}
EMBEDDERS = {
    "defaults": {"n_components": None},
    "new classes": {"purpose": "new_classes", **WIDE},
    "specs": {"tower": MLPTower((8, 4), clip=np.inf), "loss": TripletLoss(0.2)},
    "not normalized": {"normalize": False, "loss": "triplet_ratio"},
    "state": {"random_state": np.random.RandomState(5), "optimizer": torch.optim.SGD},
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.npz"


@pytest.fixture
def stored(path):
    """What comes back of a model that goes through a file."""

    def stored(model, **own):
        save(model, path)
        return load(path, **own)

    return stored


class SmallTower(nn.Module):
    def __init__(self, width=4, n_components=6):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, 5), nn.Linear(5, n_components))
        generator = torch.Generator().manual_seed(0)
        for weight in self.parameters():
            nn.init.normal_(weight, generator=generator)

    def forward(self, x):
        return self.layers(x.reshape(len(x), -1))


class WithState(SmallTower):
    def get_extra_state(self):
        return object()

    def set_extra_state(self, state):
        """Keep nothing of it."""


class OwnSpec(TowerSpec):
    def __init__(self, width=5):
        self.width = width

    def build(self, input_shape, n_components):
        return SmallTower(*input_shape, n_components)


def small_tower(input_shape, n_components):
    return SmallTower(*input_shape, n_components)


class CosineLoss(nn.Module):
    """Minus the mean cosine to the mean of the class, with a weight for each class."""

    distance = "cosine"

    def __init__(self, n_classes=3):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(n_classes))

    def forward(self, embeddings, labels):
        same = labels[:, None] == labels
        cosines = embeddings @ embeddings.T
        return -(self.weight[labels] * (cosines * same).sum(1)).mean()


class ScaledHead(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(3.0))

    def forward(self, left, right):
        return self.scale * ((left * right).sum(1) - 0.5)


def learned(model):
    """Public attributes that are plain or arrays."""
    names = [n for n in dir(model) if n.endswith("_") and not n.startswith("_")]
    found = {n: getattr(model, n) for n in names if hasattr(model, n)}
    return {n: value for n, value in found.items() if n not in ("net_", "history_")}


def assert_same_state(model, copied):
    assert type(copied) is type(model)
    assert repr(copied) == repr(model)
    ours, theirs = learned(model), learned(copied)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert type(theirs[name]) is type(value), name
        np.testing.assert_array_equal(theirs[name], value)
        if isinstance(value, np.ndarray):
            assert theirs[name].dtype == value.dtype, name
    assert copied.history_.to_list() == model.history_.to_list()
    assert vars(copied).keys() == vars(model).keys()


class TestClassifier:
    @pytest.mark.parametrize("name", CLASSIFIERS)
    def test_answers_are_the_same_to_the_bit(self, halves, stored, name):
        X_train, X_test, y_train, y_test = halves
        names = np.array(["setosa", "versicolor", "virginica"])[y_train]
        model = quick_classifier(**{"max_epochs": 2, **CLASSIFIERS[name]})
        model.fit(X_train, names)
        copied = stored(model)
        assert_same_state(model, copied)
        pairs = make_pairs(X_test, y_test, n_pairs=30, random_state=0)[0]
        for ask in ("predict", "predict_proba", "decision_function"):
            for X in (X_test, pairs):
                np.testing.assert_array_equal(
                    getattr(copied, ask)(X), getattr(model, ask)(X)
                )
        np.testing.assert_array_equal(
            copied.kneighbors(X_test), model.kneighbors(X_test)
        )
        for either in (model, copied):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of look-alikes
                either.enroll(X_test[:4], "new", ids=[*"abcd"]).forget("setosa")
        assert_same_state(model, copied)
        np.testing.assert_array_equal(
            copied.predict_proba(X_test), model.predict_proba(X_test)
        )

    @pytest.mark.parametrize("name", ["open set", "proxies", "two channels"])
    def test_a_loaded_model_trains_on(self, halves, stored, name):
        X_train, X_test, y_train, _ = halves
        model = quick_classifier(**CLASSIFIERS[name]).fit(X_train, y_train)
        copied = stored(model).partial_fit(X_train, y_train)
        assert copied.n_iter_ == model.n_iter_ + 1 == len(copied.history_)
        assert copied.history_[:-1] == model.history_
        assert (
            copied.decision_function(X_test) != model.decision_function(X_test)
        ).any()
        assert (
            stored(copied).set_params(warm_start=True).fit(X_train, y_train).n_iter_
            == copied.n_iter_ + copied.max_epochs
        )

    def test_a_loaded_model_can_be_pickled_and_saved_again(self, halves, stored):
        model = quick_classifier(loss="proxy_anchor").fit(halves[0], halves[2])
        copied = stored(pickle.loads(pickle.dumps(stored(model))))
        assert_same_state(model, copied)
        np.testing.assert_array_equal(
            copied.predict_proba(halves[1]), model.predict_proba(halves[1])
        )

    def test_pairs_of_two_shapes(self, halves, stored):
        X, X_test, y, _ = halves
        model = quick_classifier(architecture="pseudo_siamese", head="difference")
        model.fit(Pairs(X, X[::-1, :3]), y == y[::-1])
        copied, asked = stored(model), Pairs(X_test, X_test[:, :3])
        assert_same_state(model, copied)
        np.testing.assert_array_equal(
            copied.predict_proba(asked), model.predict_proba(asked)
        )
        with pytest.raises(ValueError, match="the right tower"):
            copied.pair_score(Pairs(X_test, X_test))

    def test_sparse_rows(self, halves, stored):
        X, X_test, y, _ = halves
        model = quick_classifier().fit(sparse.csr_array(X), y)
        copied = stored(model)
        np.testing.assert_array_equal(
            copied.predict_proba(X_test), model.predict_proba(X_test)
        )
        assert type(copied._gallery.rows) is type(model._gallery.rows)
        copied.enroll(sparse.csr_array(X_test[:2]), 7)

    @pytest.mark.parametrize(
        "classes",
        [
            np.array([2**53, 2**53 + 1, 2**62]),
            np.array([2**64 - 1, 1, 0], dtype=np.uint64),
            np.array([0.0, -1.0, 2.0**60]),
            np.array(["é", "b" * 300, ""]),
            np.array(["x", "yy", "z"], dtype=object),
            np.array(["2020-01-01", "2021-01-01", "2022-01-01"], dtype="M8[ns]"),
        ],
        ids=lambda classes: str(classes.dtype),
    )
    def test_labels_of_many_kinds(self, halves, stored, classes):
        X, X_test, y, _ = halves
        model = quick_classifier(loss="contrastive", max_epochs=1).fit(X, classes[y])
        copied = stored(model)
        assert_same_state(model, copied)
        np.testing.assert_array_equal(copied.predict(X_test), model.predict(X_test))

    def test_booleans_as_labels(self, halves, stored):
        X, _, y, _ = halves
        model = quick_classifier(loss="contrastive", max_epochs=1).fit(X, y > 0)
        assert_same_state(model, stored(model))

    def test_strangers_without_a_name(self, halves, stored):
        X, X_test, y, _ = halves
        model = quick_classifier(loss="contrastive", unknown_label=-1).fit(X, y)
        model.calibrate_threshold(
            None, None, strategy="fpir", target=0.2, strangers=X_test + 1
        )
        copied = stored(model)
        for either in (model, copied):
            either.forget(2)
        assert copied.identification_threshold_ == model.identification_threshold_


class TestEmbedder:
    @pytest.mark.parametrize("name", EMBEDDERS)
    def test_embeddings_are_the_same_to_the_bit(self, halves, stored, name):
        X_train, X_test, y_train, _ = halves
        model = quick(**{"n_components": 6, **EMBEDDERS[name]}).fit(X_train, y_train)
        copied = stored(model)
        if name != "state":  # the text of a RandomState is its address
            assert_same_state(model, copied)
        np.testing.assert_array_equal(copied.transform(X_test), model.transform(X_test))
        copied.partial_fit(X_train, y_train)

    def test_a_random_state_goes_on(self, halves, stored):
        X, _, y, _ = halves
        model = quick(random_state=np.random.RandomState(5), n_components=2).fit(X, y)
        copied = stored(model)
        first, second = (each.fit(X, y).transform(X) for each in (model, copied))
        np.testing.assert_array_equal(first, second)

    @pytest.mark.parametrize("channels", [1, 2])
    def test_images(self, digits, stored, channels):
        X, X_test, y = digits[0][::3], digits[0][1::3], digits[1][::3]
        X, X_test = (np.stack([part] * channels, axis=1) for part in (X, X_test))
        model = quick(
            max_epochs=1, tower=CNNTower((4, 8)), augment=ImageAugmenter(flip=True)
        ).fit(X, y)
        copied = stored(model)
        assert_same_state(model, copied)
        np.testing.assert_array_equal(copied.transform(X_test), model.transform(X_test))

    def test_triplets(self, halves, stored):
        X, X_test, y, _ = halves
        triplets = make_triplets(X, y, n_triplets=40, random_state=0)
        model = quick(n_components=3).fit(triplets)
        copied = stored(model)
        assert_same_state(model, copied)
        np.testing.assert_array_equal(copied.transform(X_test), model.transform(X_test))

    def test_names_of_columns_and_chosen_output(self, halves, stored):
        X, X_test, y, _ = halves
        columns = ["a", "b", "c", "d"]
        model = quick(n_components=2).fit(pd.DataFrame(X, columns=columns), y)
        frame = pd.DataFrame(X_test, columns=columns)
        copied = stored(model.set_output(transform="pandas"))
        pd.testing.assert_frame_equal(copied.transform(frame), model.transform(frame))
        assert copied.feature_names_in_.tolist() == columns

    def test_defaults_of_another_version_change_no_model(
        self, halves, path, monkeypatch
    ):
        X, X_test, y, _ = halves
        model = quick(n_components=3).fit(X, y)
        before = model.transform(X_test), model.pair_score(Pairs(X, X[::-1]))
        save(model, path)
        monkeypatch.setitem(TOWERS, "mlp", lambda: MLPTower((3,), activation="tanh"))
        monkeypatch.setitem(
            LOSSES, "triplet", lambda: TripletLoss(distance="manhattan")
        )
        copied = load(path)
        np.testing.assert_array_equal(copied.transform(X_test), before[0])
        np.testing.assert_array_equal(copied.pair_score(Pairs(X, X[::-1])), before[1])

    def test_the_file_is_smaller_than_a_pickle(self, halves, path):
        model = quick(n_components=32).fit(halves[0], halves[2])
        save(model, path)
        assert path.stat().st_size < 0.5 * len(pickle.dumps(model))

    def test_equal_models_give_equal_bytes(self, halves, tmp_path):
        model = quick(n_components=2).fit(halves[0], halves[2])
        files = [tmp_path / name for name in "ab"]
        for file in files:
            save(copy.deepcopy(model), file)
        assert files[0].read_bytes() == files[1].read_bytes()

    def test_numpy_reads_the_weights(self, halves, path):
        model = quick(n_components=2).fit(halves[0], halves[2])
        save(model, str(path))
        with np.load(path) as arrays:
            np.testing.assert_array_equal(
                arrays["weights.tower.1.weight"],
                model.net_.module_.tower[1].weight.detach().numpy(),
            )


class TestOwnParts:
    @pytest.mark.parametrize("tower", [SmallTower(), OwnSpec(), small_tower])
    def test_own_towers_are_passed_again(self, halves, stored, path, tower):
        X, X_test, y, _ = halves
        model = quick(tower=tower, n_components=6).fit(X, y)
        copied = stored(model, tower=tower)
        np.testing.assert_array_equal(copied.transform(X_test), model.transform(X_test))
        assert copied.tower is tower
        copied.partial_fit(X, y)
        with pytest.raises(
            ValueError,
            match=r"a `tower` of your own, .*test_save_and_load\.\w+,.*tower=",
        ):
            load(path)

    def test_two_towers_of_which_one_is_own(self, halves, stored):
        X, X_test, y, _ = halves
        towers = SmallTower(), "mlp"
        alike = {"architecture": "pseudo_siamese", "loss": "contrastive"}
        model = quick_classifier(tower=towers, **alike).fit(X, y)
        copied = stored(model, tower=(SmallTower(), "mlp"))
        np.testing.assert_array_equal(copied.predict(X_test), model.predict(X_test))

    def test_own_losses_are_passed_again(self, halves, stored, path):
        X, _, y, _ = halves
        model = quick(loss=CosineLoss(), n_components=2).fit(X, y)
        copied = stored(model, loss=CosineLoss())
        assert copied.pair_score(Pairs(X, X[::-1])).tolist() == (
            model.pair_score(Pairs(X, X[::-1])).tolist()
        )
        weights = [each.net_.criterion_.loss.weight for each in (model, copied)]
        assert torch.equal(*weights)
        assert not torch.equal(weights[0], torch.ones(3))
        with pytest.raises(
            ValueError, match=r"a `loss` of your own.*load\(path, loss="
        ):
            load(path)

    def test_own_heads_are_passed_again(self, halves, stored, path):
        X, X_test, y, _ = halves
        model = quick_classifier(head=ScaledHead()).fit(X, y)
        copied = stored(model, head=ScaledHead())
        np.testing.assert_array_equal(
            copied.predict_proba(X_test), model.predict_proba(X_test)
        )
        with pytest.raises(
            ValueError, match=r"a `head` of your own.*load\(path, head="
        ):
            load(path)

    def test_own_heads_in_a_loss(self, halves, stored):
        X, X_test, y, _ = halves
        loss = BinaryCrossEntropyLoss(ScaledHead())
        model = quick_classifier(loss=loss).fit(X, y)
        copied = stored(model, loss=BinaryCrossEntropyLoss(ScaledHead()))
        np.testing.assert_array_equal(
            copied.predict_proba(X_test), model.predict_proba(X_test)
        )

    def test_state_that_is_no_tensor_is_an_error(self, halves, path):
        model = quick(tower=WithState(), n_components=6).fit(halves[0], halves[2])
        with pytest.raises(
            TypeError, match=r"state of `tower` .* holds a builtins\.object\. Make"
        ):
            save(model, path)
        assert not path.exists()

    def test_what_does_not_fit_or_is_not_needed(self, halves, stored, path):
        X, _, y, _ = halves
        model = quick(tower=SmallTower(), n_components=6).fit(X, y)
        with pytest.raises(ValueError, match="do not fit the `tower`"):
            stored(model, tower=nn.Linear(4, 6))
        with pytest.raises(ValueError, match="`loss` must be None, because the file"):
            load(path, tower=SmallTower(), loss="triplet")


class TestWhatIsLeftOut:
    def test_parts_of_training_are_named_and_left_out(self, halves, path):
        X, X_test, y, _ = halves
        model = quick(
            n_components=2,
            callbacks=[LRScheduler("StepLR", step_size=1)],
            augment=lambda batch: batch,
            lr_schedule=lambda step, n: 1.0,
            net_params={"optimizer__betas": (0.8, 0.9)},
        ).fit(X, y)
        with pytest.warns(
            UserWarning, match="leaves out `augment`, `callbacks`, `lr_schedule`, which"
        ):
            save(model, path)
        copied = load(path)
        assert copied.callbacks is None
        assert copied.lr_schedule == "cosine"
        assert copied.net_params == {"optimizer__betas": (0.8, 0.9)}
        np.testing.assert_array_equal(copied.transform(X_test), model.transform(X_test))
        copied.partial_fit(X, y)

    def test_metadata_requests_are_left_out(self, halves, path):
        model = quick_classifier(loss="contrastive").fit(halves[0], halves[2])
        with sklearn.config_context(enable_metadata_routing=True):
            model.set_score_request(sample_weight=True)
            with pytest.warns(UserWarning, match="leaves out the metadata requests"):
                save(model, path)
        assert load(path).score(halves[1], halves[3]) == model.score(*halves[1::2])

    def test_other_parameters_are_an_error(self, halves, path):
        model = quick_classifier(loss="contrastive").fit(halves[0], halves[2])
        model.unknown_label = object()
        with pytest.raises(
            TypeError, match=r"`unknown_label` cannot be stored: a builtins\.object\."
        ):
            save(model, path)
        assert not path.exists()

    @pytest.mark.parametrize(
        "given", [make_pipeline(StandardScaler()), nn.Linear(2, 2)]
    )
    def test_other_estimators_are_an_error(self, path, given):
        with pytest.raises(TypeError, match="`estimator` must be a SiameseEmbedder or"):
            save(given, path)

    def test_other_attributes_are_an_error(self, halves, path):
        model = quick(n_components=2).fit(halves[0], halves[2])
        model.added_ = {1, 2}
        with pytest.raises(
            TypeError, match=r"`added_` cannot be stored: a builtins\.set\."
        ):
            save(model, path)

    def test_a_model_must_be_fitted(self, path):
        with pytest.raises(NotFittedError):
            save(SiameseEmbedder(), path)

    def test_parameters_that_changed_since_the_fit(self, halves, path):
        model = quick(n_components=2).fit(halves[0], halves[2])
        model.set_params(tower="cnn")
        with pytest.raises(ValueError, match="`tower` is 'cnn', but the model"):
            save(model, path)

    def test_a_device_that_is_missing_is_a_warning(self, halves, path):
        X, X_test, y, _ = halves
        model = quick(n_components=2).fit(X, y)
        before = model.transform(X_test)
        save(model.set_params(device="cuda:99"), path)
        with pytest.warns(UserWarning, match="loaded to the CPU"):
            copied = load(path)
        np.testing.assert_array_equal(copied.transform(X_test), before)
        assert copied.device == "cuda:99"


class TestWriting:
    def test_an_interrupted_write_leaves_what_was_there(
        self, halves, path, monkeypatch
    ):
        model = quick(n_components=2).fit(halves[0], halves[2])
        path.write_bytes(b"what was there")

        def interrupt(*arguments):
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            save(model, path)
        assert path.read_bytes() == b"what was there"
        assert os.listdir(path.parent) == [path.name]

    def test_the_file_appears_whole(self, halves, path, monkeypatch):
        """What replaces the old file has been written to the disk, whole."""
        model = quick(n_components=2).fit(halves[0], halves[2])
        synced, replace = [], os.replace
        monkeypatch.setattr(os, "fsync", synced.append)

        def checked(source, target):
            assert len(synced) == 1
            assert zipfile.ZipFile(source).testzip() is None
            replace(source, target)

        monkeypatch.setattr(os, "replace", checked)
        save(model, path)
        load(path)

    @pytest.mark.skipif(os.name != "posix", reason="the modes of POSIX")
    def test_the_mode_is_that_of_any_new_file(self, halves, path):
        save(quick(n_components=2).fit(halves[0], halves[2]), path)
        other = path.with_name("other")
        other.touch()
        modes = [stat.S_IMODE(each.stat().st_mode) for each in (path, other)]
        assert modes[0] == modes[1]

    def test_loading_draws_from_no_global_generator(self, halves, path):
        save(quick(n_components=2).fit(halves[0], halves[2]), path)
        before = torch.random.get_rng_state()
        load(path)
        assert torch.equal(torch.random.get_rng_state(), before)


class TestSearch:
    def test_a_model_that_was_asked_is_saved(self, tmp_path, halves):
        X, _, y, _ = halves
        model = quick_classifier(search=ApproximateSearch(connectivity=8)).fit(X, y)
        answer = model.kneighbors(X[:9], 3)
        save(model, tmp_path / "model")
        loaded = load(tmp_path / "model")
        assert loaded.search.connectivity == 8
        for one, other in zip(loaded.kneighbors(X[:9], 3), answer, strict=True):
            np.testing.assert_array_equal(one, other)

    def test_a_search_of_another_package_is_left_out(self, tmp_path, halves):
        X, _, y, _ = halves
        model = quick_classifier(search=NearestNeighbors()).fit(X, y)
        with pytest.warns(UserWarning, match="`search`"):
            save(model, tmp_path / "model")
        loaded = load(tmp_path / "model")
        assert loaded.search == "exact"
        np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
