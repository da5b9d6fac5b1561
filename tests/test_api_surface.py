"""The public names, their parameters and their documentation."""

import inspect
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import siamese_sklearn
from siamese_sklearn import Pairs, SiameseEmbedder
from siamese_sklearn.losses import LOSSES
from siamese_sklearn.towers import TOWERS

NAMES = [
    "CNNTower",
    "ContrastiveLoss",
    "ExponentialLoss",
    "MLPTower",
    "PairTransformer",
    "Pairs",
    "SiameseEmbedder",
    "TripletLoss",
    "Triplets",
    "make_pairs",
    "make_triplets",
]

EMBEDDER_PARAMETERS = [
    *["n_components", "tower", "loss", "margin", "distance", "mining", "normalize"],
    *["max_epochs", "batch_size", "lr", "optimizer", "weight_decay", "augment"],
    *["early_stopping", "validation_fraction", "validation_split", "n_iter_no_change"],
    *["callbacks", "net_params", "warm_start", "device", "n_threads", "random_state", "verbose"],
]

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


def test_public_names():
    assert siamese_sklearn.__all__ == NAMES


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


@pytest.mark.parametrize("name", NAMES)
def test_public_names_are_documented(name):
    first = inspect.getdoc(getattr(siamese_sklearn, name)).splitlines()[0]
    assert re.fullmatch(r"[A-Z`\[].*\.", first), first


@pytest.mark.parametrize(
    "documented", dict.fromkeys([*PUBLIC, *SPECS]), ids=lambda documented: documented.__name__
)
def test_documented_parameters_are_those_that_exist(documented):
    parameters = list(inspect.signature(documented).parameters)
    assert parameters
    assert section(documented, "Parameters") == parameters


def test_embedder_parameters():
    assert list(inspect.signature(SiameseEmbedder).parameters) == EMBEDDER_PARAMETERS
    assert sorted(SiameseEmbedder().get_params(deep=False)) == sorted(EMBEDDER_PARAMETERS)


@pytest.mark.parametrize("documented", [SiameseEmbedder, *SPECS], ids=lambda documented: documented.__name__)
def test_parameters_are_keyword_only_after_the_first(documented):
    first, *others = inspect.signature(documented).parameters.values()
    assert first.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert all(parameter.kind is inspect.Parameter.KEYWORD_ONLY for parameter in others)


@pytest.mark.parametrize("documented", [SiameseEmbedder, *SPECS], ids=lambda documented: documented.__name__)
def test_documented_defaults_are_the_real_ones(documented):
    lines = inspect.getdoc(documented).splitlines()
    for name, parameter in inspect.signature(documented).parameters.items():
        described = next(line for line in lines if line.startswith(f"{name} : "))
        stated = re.search(r"default=(.*)$", described)
        assert stated, described
        assert eval(stated.group(1)) == parameter.default, described


@pytest.mark.parametrize("name", METHODS)
def test_embedder_methods_are_documented(name):
    assert inspect.getdoc(getattr(SiameseEmbedder, name))


def test_embedder_sets_the_attributes_that_it_documents(iris):
    X, y = iris
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    embedder = SiameseEmbedder(n_components=2, max_epochs=1, random_state=0).fit(frame, y)
    learned = {name for name in vars(embedder) if name.endswith("_") and not name.startswith("_")}
    assert learned == set(section(SiameseEmbedder, "Attributes"))


def test_embedder_without_labels_has_no_classes(iris):
    X, _ = iris
    same = np.arange(20) % 2
    embedder = SiameseEmbedder(n_components=2, max_epochs=1, random_state=0)
    embedder.fit(Pairs(X[:20], X[20:40]), same)
    assert not hasattr(embedder, "classes_")


def test_import_leaves_optional_packages_alone():
    code = "import sys, siamese_sklearn; print({'matplotlib', 'polars', 'IPython'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
    assert done.stderr == ""
