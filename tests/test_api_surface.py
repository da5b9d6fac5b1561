"""The public names, their parameters and their documentation."""

import importlib
import inspect
import pkgutil
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import siamese_sklearn
from siamese_sklearn import Pairs, SiameseEmbedder, SiamesePairClassifier, plotting
from siamese_sklearn.losses import LOSSES
from siamese_sklearn.towers import TOWERS

# The public modules, and the public names of each.
NAMES = {
    "siamese_sklearn": [
        "CNNTower",
        "ContrastiveLoss",
        "ExponentialLoss",
        "MLPTower",
        "PairTransformer",
        "Pairs",
        "SiameseEmbedder",
        "SiameseIndex",
        "SiamesePairClassifier",
        "TripletLoss",
        "Triplets",
        "make_pairs",
        "make_triplets",
    ],
    "siamese_sklearn.augmentation": [
        "ImageAugmenter",
    ],
    "siamese_sklearn.binary": [
        "hamming_neighbors",
        "pack_bits",
        "to_bits",
    ],
    "siamese_sklearn.calibration": [
        "Threshold",
        "choose_threshold",
    ],
    "siamese_sklearn.distances": [
        "DISTANCES",
        "Distance",
        "RankedByEuclidean",
        "normalize",
        "paired",
        "pairwise",
    ],
    "siamese_sklearn.export": [
        "as_module",
        "to_onnx",
        "to_torch",
    ],
    "siamese_sklearn.heads": [
        "HEADS",
        "DifferenceHead",
        "DistanceHead",
        "Head",
        "ProductHead",
    ],
    "siamese_sklearn.losses": [
        "LOSSES",
        "ArcFaceLoss",
        "BinaryCrossEntropyLoss",
        "CircleLoss",
        "ContrastiveLoss",
        "CosFaceLoss",
        "EmbeddingLoss",
        "ExponentialLoss",
        "HammingTripletLoss",
        "HingeLoss",
        "LiftedLoss",
        "LogitLoss",
        "LossSpec",
        "MultiSimilarityLoss",
        "NPairsLoss",
        "NormalizedSoftmaxLoss",
        "ProxyAnchorLoss",
        "ProxyNCALoss",
        "SupConLoss",
        "TripletLoss",
        "TripletRatioLoss",
        "TupleLoss",
    ],
    "siamese_sklearn.matching": [
        "deduplicate",
        "entities",
        "explain",
        "join",
        "match",
    ],
    "siamese_sklearn.metrics": [
        "cmc_curve",
        "eer",
        "far_frr_curve",
        "fnir",
        "fnir_at_fpir",
        "fpir",
        "fpir_fnir_curve",
        "make_neg_fnir_at_fpir_scorer",
        "make_tar_at_far_scorer",
        "map_at_r",
        "map_at_r_scorer",
        "neg_eer_scorer",
        "neg_fnir_at_fpir_scorer",
        "neg_fnir_scorer",
        "neg_fpir_scorer",
        "pair_scores",
        "r_precision",
        "r_precision_scorer",
        "rank_1_identification_scorer",
        "recall_at_1_scorer",
        "recall_at_k",
        "tar_at_far",
        "tar_at_far_scorer",
        "verification_auc_scorer",
    ],
    "siamese_sklearn.mining": [
        "MINERS",
        "easy_positive",
        "every_triplet",
        "hard",
        "pair_masks",
        "random_negative",
        "semihard",
    ],
    "siamese_sklearn.pairs": [
        "PairTransformer",
        "Pairs",
        "Triplets",
        "make_pairs",
        "make_triplets",
    ],
    "siamese_sklearn.persistence": [
        "load",
        "save",
    ],
    "siamese_sklearn.plotting": [
        "ContributionDisplay",
        "EmbeddingDisplay",
        "NeighborsDisplay",
        "OpenSetDisplay",
        "PairScoreDisplay",
        "TrainingCurveDisplay",
    ],
    "siamese_sklearn.sampling": [
        "BalancedBatches",
        "Batches",
        "PairedBatches",
        "ShuffledBatches",
    ],
    "siamese_sklearn.search": [
        "ApproximateSearch",
        "ExactSearch",
        "Search",
    ],
    "siamese_sklearn.towers": [
        "TOWERS",
        "CNNTower",
        "InputPath",
        "MLPTower",
        "PseudoSiameseNetwork",
        "SiameseNetwork",
        "Standardize",
        "TowerSpec",
        "TwoChannelNetwork",
    ],
}

# Each display's second way to make it; `from_estimator` is the first.
DISPLAYS = {
    "ContributionDisplay": "from_predictions",
    "EmbeddingDisplay": "from_predictions",
    "NeighborsDisplay": "from_predictions",
    "OpenSetDisplay": "from_predictions",
    "PairScoreDisplay": "from_predictions",
    "TrainingCurveDisplay": "from_history",
}
DISPLAY_METHODS = [
    (name, method)
    for name, second in DISPLAYS.items()
    for method in ("from_estimator", second, "plot")
]

SHARED_PARAMETERS = [
    *["n_components", "tower", "loss", "margin", "distance", "mining", "normalize"],
    *["purpose", "max_epochs", "batch_size", "sampler", "lr_schedule", "lr"],
    *["optimizer", "weight_decay"],
    *["weight_averaging", "augment", "early_stopping", "validation_fraction"],
    *["validation_split", "n_iter_no_change", "callbacks", "net_params", "warm_start"],
    *["device", "n_threads", "random_state", "verbose"],
]
PARAMETERS = {
    SiameseEmbedder: SHARED_PARAMETERS,
    SiamesePairClassifier: [
        *SHARED_PARAMETERS,
        *["search", "architecture", "head", "n_references", "unknown_label"],
    ],
}
METHODS = [
    *[
        "fit",
        "fit_transform",
        "partial_fit",
        "transform",
        "score",
        "pair_distance",
        "pair_score",
        "get_metric",
    ],
    *["get_feature_names_out", "set_output", "get_params", "set_params"],
]

EMBEDDER_METHODS = [*METHODS, "index"]
CLASSIFIER_METHODS = [
    *METHODS,
    *["predict", "predict_proba", "decision_function", "enroll", "forget", "verifier"],
    *["calibrate_threshold", "set_threshold", "kneighbors"],
]

ESTIMATORS = [SiameseEmbedder, SiamesePairClassifier]
SPECS = [*LOSSES.values(), *TOWERS.values()]
PUBLIC = [getattr(siamese_sklearn, name) for name in siamese_sklearn.__all__]


def section(documented, title):
    """Names that a numpydoc section describes, in order: `a`, or `a, b` in one line."""
    lines = inspect.getdoc(documented).splitlines()
    if title not in lines:
        return []
    start = lines.index(title)
    assert set(lines[start + 1]) == {"-"}, f"{title} is not underlined"
    names = []
    for line, after in zip(lines[start + 2 :], [*lines[start + 3 :], ""], strict=True):
        if after and set(after) == {"-"}:
            break
        if line and not line.startswith(" "):
            names += [name.strip("* ") for name in line.split(" : ")[0].split(",")]
    return names


def test_public_modules():
    submodules = [
        f"siamese_sklearn.{info.name}"
        for info in pkgutil.iter_modules(siamese_sklearn.__path__)
        if not info.name.startswith("_")
    ]
    assert list(NAMES) == ["siamese_sklearn", *submodules]


@pytest.mark.parametrize("name", NAMES)
def test_public_names(name):
    module = importlib.import_module(name)
    assert module.__all__ == NAMES[name]
    assert all(hasattr(module, each) for each in NAMES[name])


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module in NAMES for name in NAMES[module]]
)
def test_what_can_be_called_is_documented(module, name):
    named = getattr(importlib.import_module(module), name)
    if not callable(named):
        assert name.isupper()  # a table
        return
    first = inspect.getdoc(named).splitlines()[0]
    assert re.fullmatch(r"[A-Z`\[].*\.", first), first


def test_section_reads_numpydoc():
    def example():
        """Do nothing.

        Parameters
        ----------
        a, b : int
            Text: with a colon : too.
        c

        Returns
        -------
        nothing
        """

    assert section(example, "Parameters") == ["a", "b", "c"]
    assert section(example, "Returns") == ["nothing"]
    assert section(example, "Raises") == []


@pytest.mark.parametrize(
    "documented",
    dict.fromkeys([*PUBLIC, *SPECS]),
    ids=lambda documented: documented.__name__,
)
def test_documented_parameters_are_those_that_exist(documented):
    parameters = list(inspect.signature(documented).parameters)
    assert parameters
    assert section(documented, "Parameters") == parameters


def test_displays():
    assert plotting.__all__ == list(DISPLAYS)
    for name, second in DISPLAYS.items():
        public = {
            attribute
            for attribute in dir(getattr(plotting, name))
            if not attribute.startswith("_")
        }
        assert public == {"from_estimator", second, "plot"}


@pytest.mark.parametrize("name", DISPLAYS)
def test_documented_parameters_of_displays_are_those_that_exist(name):
    display = getattr(plotting, name)
    assert section(display, "Parameters") == list(inspect.signature(display).parameters)


@pytest.mark.parametrize(("name", "method"), DISPLAY_METHODS)
def test_methods_of_displays_are_documented(name, method):
    documented = getattr(getattr(plotting, name), method)
    parameters = [
        each for each in inspect.signature(documented).parameters if each != "self"
    ]
    # `ax` comes among the last
    assert sorted(section(documented, "Parameters")) == sorted(parameters)
    assert section(documented, "Returns") == [name]
    assert "ImportError" in section(documented, "Raises")


@pytest.mark.parametrize("name", DISPLAYS)
def test_displays_set_the_attributes_that_they_document(name):
    learned = [
        each for each in getattr(plotting, name).__annotations__ if each.endswith("_")
    ]
    assert sorted(section(getattr(plotting, name), "Attributes")) == sorted(learned)


@pytest.mark.parametrize("estimator", PARAMETERS)
def test_parameters_in_their_order(estimator):
    assert list(inspect.signature(estimator).parameters) == PARAMETERS[estimator]
    assert sorted(estimator().get_params(deep=False)) == sorted(PARAMETERS[estimator])


def test_the_estimators_share_parameters_and_their_defaults():
    embedder, classifier = (
        inspect.signature(estimator).parameters for estimator in ESTIMATORS
    )
    # a loss that trains the head, and that all architectures take
    own = {"loss": "binary_cross_entropy", "purpose": "new_classes"}
    for name in SHARED_PARAMETERS:
        assert classifier[name].default == own.get(name, embedder[name].default), name


@pytest.mark.parametrize(
    "documented", [*ESTIMATORS, *SPECS], ids=lambda documented: documented.__name__
)
def test_parameters_are_keyword_only_after_the_first(documented):
    first, *others = inspect.signature(documented).parameters.values()
    assert first.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert all(parameter.kind is inspect.Parameter.KEYWORD_ONLY for parameter in others)


@pytest.mark.parametrize(
    "documented", [*ESTIMATORS, *SPECS], ids=lambda documented: documented.__name__
)
def test_documented_defaults_are_the_real_ones(documented):
    lines = inspect.getdoc(documented).splitlines()
    for name, parameter in inspect.signature(documented).parameters.items():
        described = next(line for line in lines if line.startswith(f"{name} : "))
        stated = re.search(r"default=(.*)$", described)
        assert stated, described
        assert eval(stated.group(1)) == parameter.default, described


@pytest.mark.parametrize(
    ("estimator", "name"),
    [
        *((SiameseEmbedder, name) for name in EMBEDDER_METHODS),
        *((SiamesePairClassifier, name) for name in CLASSIFIER_METHODS),
    ],
)
def test_methods_are_documented(estimator, name):
    assert inspect.getdoc(getattr(estimator, name))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_no_method_is_public_by_accident(estimator):
    is_embedder = estimator is SiameseEmbedder
    listed = EMBEDDER_METHODS if is_embedder else CLASSIFIER_METHODS
    from_scikit_learn = {
        "get_metadata_routing",
        *(n for n in dir(estimator) if re.match(r"set_\w+_request", n)),
    }
    public = {
        name
        for name in dir(estimator)
        if not name.startswith("_") and not name.endswith("_")
    }
    others = public - from_scikit_learn - set(PARAMETERS[estimator])
    assert others == set(listed)


def learned_by(estimator):
    """Public names of what a fitted estimator has learned, computed ones too."""
    return {
        name
        for name in dir(estimator)
        if name.endswith("_") and not name.startswith("_") and hasattr(estimator, name)
    }


def test_embedder_sets_the_attributes_that_it_documents(iris):
    X, y = iris
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    embedder = SiameseEmbedder(n_components=2, max_epochs=1, random_state=0).fit(
        frame, y
    )
    assert learned_by(embedder) == set(section(SiameseEmbedder, "Attributes"))


@pytest.mark.parametrize("kind", ["rows", "pairs"])
def test_classifier_sets_the_attributes_that_it_documents(iris, kind):
    X, y = iris
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    given = (
        (frame, y)
        if kind == "rows"
        else (Pairs(frame[:20], frame[20:40]), np.arange(20) % 2)
    )
    classifier = SiamesePairClassifier(
        n_components=2, max_epochs=1, random_state=0
    ).fit(*given)
    assert learned_by(classifier) == set(section(SiamesePairClassifier, "Attributes"))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_an_estimator_that_is_not_fitted_has_learned_nothing(estimator):
    assert learned_by(estimator()) == set()


def test_embedder_without_labels_has_no_classes(iris):
    X, _ = iris
    same = np.arange(20) % 2
    embedder = SiameseEmbedder(n_components=2, max_epochs=1, random_state=0)
    embedder.fit(Pairs(X[:20], X[20:40]), same)
    assert not hasattr(embedder, "classes_")


@pytest.mark.slow
def test_import_leaves_optional_packages_alone():
    code = (
        "import sys, siamese_sklearn.plotting; print({'matplotlib', 'polars', "
        "'IPython'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
    assert done.stderr == ""
