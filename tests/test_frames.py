"""How many of the package's own functions lie between a call and what it is about."""

import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from torch import nn

import siamese_sklearn
from models import ARCHITECTURES, quick, quick_classifier
from siamese_sklearn import make_pairs, make_triplets
from siamese_sklearn.losses import LOSSES

ROOT = str(Path(siamese_sklearn.__file__).parent)
TO_THE_FORMULA, TO_THE_TOWER = 4, 3  # frames, both ends included
IN_PLACE = {
    "<listcomp>",
    "<genexpr>",
    "<setcomp>",
    "<dictcomp>",
}  # no jumps to a reader

# The functions that compute a loss: a formula, or what has one for a whole batch.
OF_TRIPLETS = {"triplet", "soft_triplet", "triplet_ratio", "_every"}
OF_BATCHES = ["circle", "lifted", "multi_similarity", "n_pairs", "supcon"]
OF_PROXIES = ["arcface", "cosface", "normalized_softmax", "proxy_anchor", "proxy_nca"]
FORMULAS = {
    "contrastive": {"contrastive"},
    "exponential": {"exponential"},
    "binary_cross_entropy": {"binary_cross_entropy"},
    "hinge": {"hinge"},
    "triplet": OF_TRIPLETS,
    "triplet_ratio": OF_TRIPLETS,
    "hamming_triplet": {"soft_bits"},
    **{name: {"terms"} for name in OF_BATCHES},
    **{name: {"formula"} for name in OF_PROXIES},
}
WITH_MINING = [
    pytest.param(name, mining, marks=[pytest.mark.slow] if number else [])
    for name, spec in LOSSES.items()
    for number, mining in enumerate(spec.minings or (None,))
]
ON_TUPLES = [name for name, spec in LOSSES.items() if spec.takes_tuples]


def own_frames(frame):
    """Names of the package's functions from the outermost one to this frame."""
    names = []
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith(ROOT) and code.co_name not in IN_PLACE:
            names.append(code.co_name)
        frame = frame.f_back
    return names[::-1]


@contextmanager
def paths_to(names, folder):
    """Collect the own frames of all calls of these functions of a folder, not of those
    that they make of each other.
    """
    paths, before = [], sys.getprofile()

    def profile(frame, event, arg):
        code = frame.f_code
        if event == "call" and code.co_name in names and folder in code.co_filename:
            *callers, name = own_frames(frame)
            if not names.intersection(callers):
                paths.append([*callers, name])

    sys.setprofile(profile)
    try:
        yield paths
    finally:
        sys.setprofile(before)


def check_paths(paths):
    assert paths
    assert all(path[0] == "fit" for path in paths)
    longest = max(paths, key=len)
    assert len(longest) <= TO_THE_FORMULA, longest


def test_every_loss_has_its_formula():
    assert set(FORMULAS) == set(LOSSES)


@pytest.mark.parametrize("make", [quick, quick_classifier])
@pytest.mark.parametrize(("loss", "mining"), WITH_MINING)
def test_from_fit_on_rows_to_the_formula(make, loss, mining, halves):
    model = make(loss=loss, mining=mining, max_epochs=1)
    with paths_to(FORMULAS[loss], f"{ROOT}/losses") as paths:
        model.fit(halves[0], halves[2])
    check_paths(paths)


@pytest.mark.slow
@pytest.mark.parametrize("make", [quick, quick_classifier])
@pytest.mark.parametrize("loss", ON_TUPLES)
def test_from_fit_on_pairs_to_the_formula(make, loss, halves):
    pairs = make_pairs(halves[0], halves[2], random_state=0)
    with paths_to(FORMULAS[loss], f"{ROOT}/losses") as paths:
        make(loss=loss, max_epochs=1).fit(*pairs)
    check_paths(paths)


@pytest.mark.slow
@pytest.mark.parametrize("loss", ON_TUPLES)
def test_from_fit_on_triplets_to_the_formula(loss, halves):
    triplets = make_triplets(halves[0], halves[2], random_state=0)
    with paths_to(FORMULAS[loss], f"{ROOT}/losses") as paths:
        quick(loss=loss, max_epochs=1).fit(triplets)
    check_paths(paths)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("loss", ["binary_cross_entropy", "hinge"])
def test_from_fit_of_every_architecture_to_the_formula(architecture, loss, halves):
    model = quick_classifier(architecture=architecture, loss=loss, max_epochs=1)
    with paths_to(FORMULAS[loss], f"{ROOT}/losses") as paths:
        model.fit(halves[0], halves[2])
    check_paths(paths)


class Spy(nn.Linear):
    """A tower that records who calls it outside of training."""

    paths = ()

    def forward(self, x):
        if not self.training:
            self.paths.append(own_frames(sys._getframe()))
        return super().forward(x)


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (quick, {}),
        (quick_classifier, {"architecture": "siamese"}),
        (quick_classifier, {"architecture": "pseudo_siamese"}),
    ],
)
@pytest.mark.parametrize("kind", ["rows", "pairs"])
def test_from_transform_to_the_tower(make, options, kind, halves, monkeypatch):
    monkeypatch.setattr(Spy, "paths", [])
    model = make(tower=Spy(4, 5), n_components=5, max_epochs=1, **options)
    model.fit(halves[0], halves[2])
    Spy.paths.clear()
    X = halves[1] if kind == "rows" else make_pairs(halves[1], halves[3])[0]
    model.transform(X)
    assert len(Spy.paths) == (1 if kind == "rows" else 2)
    for path in Spy.paths:
        assert path[0] == "transform"
        assert len(path) <= TO_THE_TOWER, path


def test_the_built_in_towers_are_no_frames_of_their_own(halves):
    """What `transform` calls is torch's own: a module of the package would add one."""
    tower = quick(max_epochs=1).fit(halves[0], halves[2]).net_.module_.tower
    assert isinstance(tower, nn.Sequential)


def test_own_frames_are_counted_from_the_call_inwards(halves):
    def outer():
        return own_frames(sys._getframe())

    assert outer() == []
    with paths_to({"_training"}, ROOT) as paths:
        quick(max_epochs=1).fit(halves[0], halves[2])
    assert paths
    assert all(path == ["fit", "_training"] for path in paths)
