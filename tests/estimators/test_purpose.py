"""The purpose of an embedding: what is kept of the input for new classes, when nothing
is, and what is left of the short trainings that choose its weight.
"""

import copy
import pickle

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from skorch.callbacks import Callback, EarlyStopping
from torch import nn

from models import quick, quick_classifier
from siamese_sklearn import (
    CNNTower,
    ContrastiveLoss,
    MLPTower,
    SiameseEmbedder,
    SiamesePairClassifier,
    TripletLoss,
    make_pairs,
    make_triplets,
)
from siamese_sklearn._estimators import base
from siamese_sklearn.losses import BinaryCrossEntropyLoss
from siamese_sklearn.metrics import map_at_r

WEIGHTS = [1 / (1 + ratio**2) for ratio in (0.25, 0.35, 0.5, 0.75, 1, 1.5, 2, 3, 5, 8)]
SMALL = {"n_components": 10, "batch_size": 32, "max_epochs": 2}


def for_new(**parameters):
    """An embedder for new classes, of a few steps."""
    return quick(**{"purpose": "new_classes", **SMALL, **parameters})


class LabelLoss(nn.Module):
    def forward(self, embeddings, labels):
        return (embeddings[labels == labels[0]] - 1).square().mean()


class Miner(nn.Module):
    def forward(self, embeddings, labels):
        return labels


class MinedLoss(LabelLoss):
    def forward(self, embeddings, labels, mined):
        return super().forward(embeddings, mined)


def linear_tower(input_shape, n_components):
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(n_components))


def path_of(model):
    return {
        name: value.clone()
        for name, value in model.net_.module_.input_path.state_dict().items()
    }


def same_tensors(one, other):
    return one.keys() == other.keys() and all(
        torch.equal(one[name], other[name]) for name in one
    )


class Fails:
    """An `augment` that fails in a certain call of those after it was armed, if it is
    armed at all, and counts all calls.
    """

    def __init__(self, error=None):
        self.error, self.n_calls, self.n_left = error, 0, None

    def __deepcopy__(self, memo):
        return self

    def __call__(self, batch):
        self.n_calls += 1
        if self.n_left is not None:
            if self.n_left == 0:
                raise self.error
            self.n_left -= 1
        return batch


IGNORED = {
    "sparse rows": {"X": sparse.csr_array},
    "module tower": {"tower": nn.Linear(64, 10)},
    "module loss": {"loss": LabelLoss()},
    "built loss": {"loss": TripletLoss().build(10, 10)},
    "loss and miner": {"loss": (MinedLoss(), Miner())},
    "no unit norm": {"normalize": False},
    "7 components": {"n_components": 7},
    "learned head": {"loss": BinaryCrossEntropyLoss(head="product")},
    "head of the classifier": {"make": quick_classifier, "head": "difference"},
    "binary codes": {"loss": "hamming_triplet"},
    "manhattan": {"loss": "contrastive", "distance": "manhattan"},
    "manhattan in the spec": {"loss": ContrastiveLoss(distance="manhattan")},
    "two towers": {"make": quick_classifier, "architecture": "pseudo_siamese"},
    "two channels": {"make": quick_classifier, "architecture": "two_channel"},
}
KEPT = {
    "triplet": {},
    "8 components": {"n_components": 8},
    "odd": {"n_components": 11},
    "cosine": {"loss": "contrastive", "distance": "cosine"},
    "squared": {"distance": "sqeuclidean"},
    "spec": {"loss": TripletLoss(margin=0.3), "tower": MLPTower(dropout=0.1)},
    "proxies": {"loss": "proxy_anchor"},
    "softmax": {"loss": "normalized_softmax"},
    "distance head": {"loss": "binary_cross_entropy"},
    "callable tower": {"tower": linear_tower, "loss": "supcon"},
    "float64": {"X": lambda X: X.astype(np.float64)},
    "integers": {"X": lambda X: X.astype(np.uint8)},
    "images": {
        "X": lambda X: X.reshape(-1, 8, 8),
        "tower": CNNTower(channels=(4,)),
        "batch_size": 64,
    },
    "classifier": {"make": quick_classifier},
}


def few_of(cases, *quick_ones):
    """All names; those that are not among the quick ones are slow."""
    slow = pytest.mark.slow
    return [
        pytest.param(name, marks=[] if name in quick_ones else [slow]) for name in cases
    ]


def fit_both(case, table, purposes=("known_classes", "new_classes")):
    """Models of each purpose, and the rows to embed."""
    X_train, X_test, y_train, _ = table
    case = dict(case)
    convert, make = case.pop("X", lambda X: X), case.pop("make", quick)
    return [
        make(**{**SMALL, "purpose": purpose, **case}).fit(convert(X_train), y_train)
        for purpose in purposes
    ], convert(X_test)


class TestWhenItIsIgnored:
    @pytest.mark.parametrize("name", few_of(IGNORED, "7 components", "two channels"))
    def test_model_is_that_for_known_classes(self, name, table):
        (known, new), X = fit_both(IGNORED[name], table)
        assert known.input_weight_ == new.input_weight_ == 0
        if name == "two channels":
            pairs, _ = make_pairs(X, table[3], n_pairs=20, random_state=0)
            scores = [model.pair_score(pairs) for model in (known, new)]
            np.testing.assert_array_equal(*scores)
        else:
            np.testing.assert_array_equal(new.transform(X), known.transform(X))

    @pytest.mark.parametrize("make", [make_pairs, make_triplets])
    def test_pairs_and_triplets(self, make, table):
        X_train, X_test, y_train, _ = table
        made = make(X_train, y_train, random_state=0)
        made = made if isinstance(made, tuple) else (made,)
        known, new = (
            quick(**SMALL, purpose=purpose).fit(*made)
            for purpose in ("known_classes", "new_classes")
        )
        assert known.input_weight_ == new.input_weight_ == 0
        np.testing.assert_array_equal(new.transform(X_test), known.transform(X_test))

    def test_defaults(self):
        assert SiameseEmbedder().purpose == "known_classes"
        assert SiamesePairClassifier().purpose == "new_classes"

    def test_known_classes_keep_nothing(self, table):
        (known,), _ = fit_both({}, table, ["known_classes"])
        assert known.input_weight_ == 0
        assert known.net_.module_.input_path is None

    def test_weight_before_fit(self):
        with pytest.raises(NotFittedError):
            _ = SiameseEmbedder().input_weight_


class TestEmbedding:
    @pytest.mark.parametrize("name", few_of(KEPT, "triplet", "classifier"))
    def test_half_of_the_components_come_from_the_input(self, name, table):
        (model,), X = fit_both(KEPT[name], table, ["new_classes"])
        weight, Z = model.input_weight_, model.transform(X)
        assert np.abs(np.subtract(WEIGHTS, weight)).min() < 1e-6
        n_components = model.n_components
        assert Z.shape == (len(X), n_components)
        np.testing.assert_allclose(np.linalg.norm(Z, axis=1), 1, rtol=1e-5)
        kept, learned = Z[:, : n_components // 2], Z[:, n_components // 2 :]
        rows = torch.from_numpy(np.asarray(X, dtype=np.float32))
        np.testing.assert_allclose(
            kept, np.sqrt(weight) * model.net_.module_.input_path(rows), atol=1e-5
        )
        np.testing.assert_allclose(
            np.square(learned).sum(axis=1), 1 - weight, rtol=1e-4
        )

    def test_a_callable_tower_gets_half_of_the_components(self, table):
        def tower(input_shape, n_components):
            return nn.Linear(*input_shape, 10)  # whatever it is asked for

        with pytest.raises(
            ValueError,
            match=r"shape \(2, 5\); got \(2, 10\)\. Make its last layer as wide as the "
            r"`n_components` that the callable gets\.",
        ):
            for_new(tower=tower).fit(table[0], table[2])

    def test_input_adds_to_the_usual_number_of_components(self, table):
        X, _, y, _ = table
        usual = {"n_components": None, "max_epochs": 1}
        known = for_new(purpose="known_classes", **usual).fit(X, y)
        assert known.transform(X).shape[1] == 32
        new = for_new(**usual).fit(X, y)
        assert new.transform(X).shape[1] == 64
        assert new.net_.module_.tower[-1].out_features == 64 - (
            new.net_.module_.input_path.width
        )
        module = nn.Linear(X.shape[1], 32)
        assert for_new(tower=module, **usual).fit(X, y).transform(X).shape[1] == 32

    def test_feature_names(self, table):
        model = for_new().fit(table[0], table[2])
        assert len(model.get_feature_names_out()) == 10

    def test_three_classes_have_equal_weights(self, halves):
        X_train, _, y_train, _ = halves
        augment = Fails()
        model = for_new(augment=augment).fit(X_train, y_train)
        assert model.input_weight_ == 0.5
        assert augment.n_calls == model.n_steps_  # no other training

    def test_map_comes_from_the_rows_that_are_trained_on(self, table, monkeypatch):
        X_train, _, y_train, _ = table
        seen = []

        def recorded(function):
            def call(data, index, *args):
                seen.append(set(index.tolist()))
                return function(data, index, *args)

            return call

        for name in ("choose_scale", "learn_input_path", "leave_classes_out"):
            monkeypatch.setattr(base, name, recorded(getattr(base, name)))
        model = quick_classifier(**SMALL, validation_fraction=0.3)
        held_out = []
        hold_out = SiamesePairClassifier._hold_out

        def spy(*args):
            held_out.append(hold_out(*args))
            return held_out[-1]

        monkeypatch.setattr(SiamesePairClassifier, "_hold_out", spy)
        model.fit(X_train, y_train)
        ((kept, held),) = held_out
        assert len(held) > 30
        assert len(seen) == 6  # the scale, the map, the folds, three maps of parts
        assert all(rows <= set(kept.tolist()) for rows in seen)
        assert sum(rows == set(kept.tolist()) for rows in seen) == 3

    def test_early_stopping_scores_the_whole_embedding(self, table, monkeypatch):
        X_train, _, y_train, _ = table
        held_out = []
        hold_out = SiameseEmbedder._hold_out

        def spy(*args):
            held_out.append(hold_out(*args))
            return held_out[-1]

        monkeypatch.setattr(SiameseEmbedder, "_hold_out", spy)
        model = for_new(
            early_stopping=True, validation_split="classes", max_epochs=1
        ).fit(X_train, y_train)
        ((_, held),) = held_out
        score = map_at_r(model.transform(X_train[held]), y_train[held])
        assert model.history_[0]["valid_score"] == pytest.approx(score)

    @pytest.mark.parametrize(("d", "width"), [(64, 5), (5, 5), (3, 4)])
    def test_what_the_weight_is_chosen_from(self, d, width, table, monkeypatch):
        """Parts of equal length: what comes from the input, which can be less than half
        of the components if there are few features, and the rest.
        """
        X_train, _, y_train, _ = table
        seen = []

        def spy(target, index, train, n_rows, rng):
            known = index[target[index] < 6]
            out = index[target[index] >= 6]
            seen.append((n_rows, train(known, out)))
            return []

        monkeypatch.setattr(base, "leave_classes_out", spy)
        monkeypatch.setattr(base, "choose_weight", lambda target, folds: 0.125)
        model = for_new().fit(X_train[:, 20 : 20 + d], y_train)
        ((n_rows, fold),) = seen
        assert n_rows == model.n_steps_ * 32
        assert fold.width == width
        for rows, codes in (
            (fold.known, fold.known_codes),
            (fold.out, fold.out_codes),
        ):
            assert codes.shape == (len(rows), 10)
            for part in (codes[:, :width], codes[:, width:]):
                np.testing.assert_allclose(
                    np.linalg.norm(part, axis=1), 0.5**0.5, rtol=1e-5
                )
        assert model.input_weight_ == 0.125

    @pytest.mark.slow
    def test_short_trainings_take_an_eighth_of_the_steps(self, table):
        """Of 40 epochs of 6 batches, 240 steps: 75, the fewest; of 120 epochs, 720
        steps: 90. Each of the three ends with an epoch of at most 6 batches.
        """
        X_train, _, y_train, _ = table
        for max_epochs, n_brief in ((40, 75), (120, 90)):
            augment = Fails()
            model = for_new(
                max_epochs=max_epochs, augment=augment, tower=MLPTower((4,))
            ).fit(X_train, y_train)
            assert model.n_steps_ == 6 * max_epochs
            extra = augment.n_calls - model.n_steps_
            assert 3 * n_brief <= extra < 3 * (n_brief + 6)


class TestRepetition:
    @pytest.mark.slow
    def test_refit_is_the_same_to_the_bit(self, table):
        X_train, X_test, y_train, _ = table
        first, second, other = (
            for_new(random_state=seed).fit(X_train, y_train) for seed in (3, 3, 4)
        )
        again = first.transform(X_test)
        np.testing.assert_array_equal(second.transform(X_test), again)
        assert first.input_weight_ == second.input_weight_
        assert not np.allclose(other.transform(X_test), again, atol=1e-2)
        np.testing.assert_array_equal(
            first.fit(X_train, y_train).transform(X_test), again
        )

    @pytest.mark.slow
    def test_global_generators_are_left_alone(self, table):
        X_train, _, y_train, _ = table
        numpy_state = np.random.get_state()[1].copy()  # noqa: NPY002
        torch_state = torch.get_rng_state()
        for_new().fit(X_train, y_train)
        np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
        assert torch.equal(torch.get_rng_state(), torch_state)

    @pytest.mark.parametrize(
        "copied",
        [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))],
        ids=["deepcopy", "pickle"],
    )
    def test_copies_embed_alike(self, copied, table):
        X_train, X_test, y_train, _ = table
        model = for_new(warm_start=True).fit(X_train, y_train)
        other = copied(model)
        np.testing.assert_array_equal(other.transform(X_test), model.transform(X_test))
        assert other.input_weight_ == model.input_weight_
        np.testing.assert_array_equal(
            other.fit(X_train, y_train).transform(X_test),
            model.fit(X_train, y_train).transform(X_test),
        )

    @pytest.mark.slow
    def test_clone(self, table):
        X_train, X_test, y_train, _ = table
        model = for_new().fit(X_train, y_train)
        cloned = clone(model)
        assert cloned.purpose == "new_classes"
        np.testing.assert_array_equal(
            cloned.fit(X_train, y_train).transform(X_test), model.transform(X_test)
        )

    @pytest.mark.slow
    def test_grid_search(self, table):
        X_train, _, y_train, _ = table
        purposes = ["known_classes", "new_classes"]
        search = GridSearchCV(
            quick(**SMALL), {"purpose": purposes}, cv=StratifiedKFold(2)
        ).fit(X_train, y_train)
        scores = search.cv_results_["mean_test_score"]
        assert np.isfinite(scores).all()
        assert scores[0] != scores[1]
        best = search.best_estimator_
        assert (best.input_weight_ > 0) == (best.purpose == "new_classes")


class TestGoingOn:
    def test_partial_fit_begins_with_equal_weights_and_keeps_the_path(self, table):
        X_train, X_test, y_train, _ = table
        augment = Fails()
        model = for_new(augment=augment).partial_fit(X_train, y_train)
        assert model.input_weight_ == 0.5
        assert augment.n_calls == model.n_steps_
        before, Z = path_of(model), model.transform(X_test)
        model.partial_fit(3 * X_train[:100], y_train[:100])
        assert same_tensors(path_of(model), before)
        after = model.transform(X_test)
        np.testing.assert_array_equal(after[:, :5], Z[:, :5])
        assert not np.array_equal(after[:, 5:], Z[:, 5:])

    @pytest.mark.parametrize("go_on", ["fit", "partial_fit"])
    def test_fitted_model_keeps_path_and_weight(self, go_on, table):
        X_train, _, y_train, _ = table
        augment = Fails()
        model = for_new(warm_start=True, augment=augment).fit(X_train, y_train)
        before, weight = path_of(model), model.input_weight_
        augment.n_calls = 0
        getattr(model, go_on)(X_train, y_train)
        assert same_tensors(path_of(model), before)
        assert model.input_weight_ == weight
        assert augment.n_calls == model.n_steps_

    def test_fit_without_warm_start_learns_the_path_anew(self, table):
        X_train, _, y_train, _ = table
        model = for_new().fit(X_train, y_train)
        before = path_of(model)
        model.fit(X_train * np.arange(64), y_train)
        assert not same_tensors(path_of(model), before)

    def test_it_must_not_change_under_the_network(self, table):
        X_train, _, y_train, _ = table
        model = for_new(warm_start=True).fit(X_train, y_train)
        model.set_params(purpose="known_classes")
        with pytest.raises(ValueError, match=r"`purpose` is 'known_classes', but the"):
            model.fit(X_train, y_train)

    def test_bad_value(self, table):
        X_train, _, y_train, _ = table
        with pytest.raises(
            ValueError,
            match=r"`purpose` must be one of 'known_classes', 'new_classes'; got "
            r"'new_class'. Did you mean 'new_classes'\?",
        ):
            for_new(purpose="new_class").fit(X_train, y_train)


class TestShortTrainings:
    def n_brief(self, *data):
        """Calls of `augment` in the short trainings, which come first."""
        augment = Fails()
        model = for_new(augment=augment).fit(*data)
        n_brief = augment.n_calls - model.n_steps_
        assert n_brief > 15
        return n_brief

    @pytest.mark.parametrize("error", [RuntimeError("boom"), KeyboardInterrupt()])
    @pytest.mark.parametrize(
        "part",
        [pytest.param(part, marks=pytest.mark.slow) for part in (0, 0.1, 1)] + [0.5],
    )
    def test_a_fitted_model_survives(self, error, part, table):
        """The error comes in the first call, in between, and in the last one."""
        X_train, X_test, y_train, _ = table
        augment = Fails(error)
        model = for_new(augment=augment).fit(X_train, y_train)
        before, state = model.transform(X_test), dict(vars(model))
        weights = path_of(model), model.input_weight_
        changed = 2 * X_train[:100], y_train[:100]
        augment.n_left = round(part * (self.n_brief(*changed) - 1))
        with pytest.raises(type(error)):
            model.fit(*changed)
        assert vars(model) == state
        np.testing.assert_array_equal(model.transform(X_test), before)
        assert same_tensors(path_of(model), weights[0])
        assert model.input_weight_ == weights[1]

    def test_ctrl_c_before_the_first_model(self, table):
        X_train, X_test, y_train, _ = table
        augment = Fails(KeyboardInterrupt())
        augment.n_left = 10
        model = for_new(augment=augment)
        with pytest.raises(KeyboardInterrupt):
            model.fit(X_train, y_train)
        with pytest.raises(NotFittedError):
            model.transform(X_test)

    def test_callbacks_of_the_user_are_not_called(self, table):
        X_train, _, y_train, _ = table
        calls = []

        class Record(Callback):
            def initialize(self):
                calls.append("initialize")
                return self

            def on_train_begin(self, net, **kwargs):
                calls.append("train")

            def on_batch_begin(self, net, training, **kwargs):
                calls.append("batch")

        model = for_new(callbacks=[Record()]).fit(X_train, y_train)
        assert calls == ["initialize", "train", *["batch"] * model.n_steps_]
        assert model.n_iter_ == len(model.history_) == 2

    def test_parameters_of_callbacks(self, table):
        """They name callbacks that the short trainings do not have."""
        X_train, _, y_train, _ = table
        stop = EarlyStopping(monitor="train_loss", patience=9)
        model = for_new(
            callbacks=[stop], net_params={"callbacks__EarlyStopping__patience": 3}
        ).fit(X_train, y_train)
        assert dict(model.net_.callbacks_)["EarlyStopping"].patience == 3

    @pytest.mark.parametrize(
        "wrong",
        [{"callbacks": [3]}, {"net_params": {"callbacks__no__patience": 3}}],
        ids=["callbacks", "net_params"],
    )
    def test_wrong_parameters_are_refused_before_them(self, wrong, table):
        X_train, _, y_train, _ = table
        augment = Fails()
        with pytest.raises((TypeError, ValueError), match="Could not create the net"):
            for_new(augment=augment, **wrong).fit(X_train, y_train)
        assert augment.n_calls == 0

    def test_one_that_fails_is_left_out(self, table):
        """Numbers that are not finite stop it, without a warning."""
        X_train, X_test, y_train, _ = table

        class SpoilsOne(Fails):
            def __call__(self, batch):
                return super().__call__(batch) * (np.nan if self.n_calls == 0 else 1)

        model = for_new(augment=SpoilsOne()).fit(X_train, y_train)
        assert min(WEIGHTS) - 1e-6 <= model.input_weight_ <= max(WEIGHTS) + 1e-6
        assert np.isfinite(model.transform(X_test)).all()

    def test_schedule_is_that_of_the_whole(self, table):
        X_train, _, y_train, _ = table
        asked = []

        def schedule(step, n_steps):
            asked.append((step, n_steps))
            return 1.0

        model = for_new(lr_schedule=schedule).fit(X_train, y_train)
        whole = [(step, model.n_steps_) for step in range(model.n_steps_)]
        assert asked[-model.n_steps_ :] == whole
        assert sum(step == 0 for step, _ in asked) == 4

    def test_progress_is_shown_for_the_whole_only(self, table, capsys):
        X_train, _, y_train, _ = table
        for_new(verbose=1).fit(X_train, y_train)
        assert capsys.readouterr().err.count("| 0/12 [") == 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_new_digits_are_told_apart(seed):
    """Digits 7, 8 and 9 are left out of training on 400 images of the others.

    Over seeds 0 to 3, MAP@R of the digits left out is 0.46 to 0.51 by an embedding for
    known classes and 0.62 to 0.64 by one for new classes; accuracies on known digits
    differ by 0.003 to 0.005.
    """
    X, y = load_digits(return_X_y=True)
    is_known = y < 7
    X_train, X_test, y_train, y_test = train_test_split(
        X[is_known],
        y[is_known],
        test_size=0.3,
        stratify=y[is_known],
        random_state=0,
    )
    X_train, y_train = X_train[:400], y_train[:400]
    map_of_new, accuracy = [], []
    for purpose in ("known_classes", "new_classes"):
        model = SiameseEmbedder(purpose=purpose, max_epochs=10, random_state=seed)
        model.fit(X_train, y_train)
        map_of_new.append(map_at_r(model.transform(X[~is_known]), y[~is_known]))
        neighbors = KNeighborsClassifier(5).fit(model.transform(X_train), y_train)
        accuracy.append(neighbors.score(model.transform(X_test), y_test))
    assert map_of_new[1] > map_of_new[0] + 0.07
    assert accuracy[1] > accuracy[0] - 0.01
