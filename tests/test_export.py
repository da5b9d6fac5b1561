"""Networks for other runtimes compute what the estimators compute."""

import copy
import os

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from torch import nn
from torch.export import Dim

from models import quick, quick_classifier
from siamese_sklearn import (
    CNNTower,
    MLPTower,
    Pairs,
    SiameseEmbedder,
    __version__,
    export,
)
from siamese_sklearn.export import as_module, to_onnx, to_torch

# of torch 2.13 in its own code, as of November 2026
pytestmark = pytest.mark.filterwarnings(
    r"ignore:`isinstance\(treespec, LeafSpec\)` is deprecated:FutureWarning"
)

SMALL = {"tower": MLPTower((8,)), "max_epochs": 1}
SIZES = 1, 7, 2048
MODELS = {
    "table": lambda: quick(n_components=6, **SMALL),
    "input path": lambda: quick(n_components=8, purpose="new_classes", **SMALL),
    "images": lambda: quick(n_components=3, tower=CNNTower((4, 8)), max_epochs=1),
    "bits": lambda: quick(n_components=6, loss="hamming_triplet", **SMALL),
    "product head": lambda: quick_classifier(head="product", **SMALL),
    "manhattan": lambda: quick_classifier(
        loss="contrastive", distance="manhattan", **SMALL
    ),
    "two towers": lambda: quick_classifier(architecture="pseudo_siamese", **SMALL),
    "two channels": lambda: quick_classifier(architecture="two_channel", **SMALL),
}
CASES = [
    ("table", "embedding"),
    ("input path", "embedding"),
    ("images", "embedding"),
    ("bits", "embedding"),
    ("product head", "score"),
    ("manhattan", "score"),
    ("two towers", "right_embedding"),
    ("two towers", "score"),
    ("two channels", "score"),
]


@pytest.fixture(scope="module")
def fitted(digits):
    """A fitted model and 2048 rows, by name."""
    kept = {}

    def fitted(name):
        if name not in kept:
            X, y = digits[0][::3], digits[1][::3]
            rows = np.random.default_rng(0).normal(8, 6, (2048, 8, 8))
            if name != "images":
                X, rows = X.reshape(-1, 64), rows.reshape(-1, 64)
            kept[name] = MODELS[name]().fit(X, y), rows.astype(np.float32)
        return kept[name]

    return fitted


def expected(model, output, X):
    """Inputs of a network, and what it should compute."""
    left, right = X, np.roll(X, 5, axis=0)
    if output == "score":
        return (left, right), model.pair_score(Pairs(left, right))
    if output == "right_embedding":
        return (X,), model.transform(Pairs(left, X)).right
    return (X,), model.transform(X)


@pytest.mark.parametrize(("name", "output"), CASES)
def test_modules_compute_what_the_estimator_does(fitted, name, output):
    model, X = fitted(name)
    module = as_module(model, output=output)
    assert not module.training
    for size in SIZES:
        inputs, wanted = expected(model, output, X[:size])
        with torch.no_grad():
            found = module(*map(torch.from_numpy, inputs)).numpy()
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize(("name", "output"), CASES)
def test_torch_alone_runs_batches_of_any_size(fitted, tmp_path, name, output):
    model, X = fitted(name)
    to_torch(model, tmp_path / "network.pt2", output=output)
    network = torch.export.load(tmp_path / "network.pt2").module()
    for size in SIZES:
        inputs, wanted = expected(model, output, X[:size])
        found = network(*map(torch.from_numpy, inputs)).detach().numpy()
        np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "output"), CASES)
def test_onnx_runtime_runs_batches_of_any_size(fitted, tmp_path, name, output):
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    model, X = fitted(name)
    path = tmp_path / "network.onnx"
    to_onnx(model, str(path), output=output)
    assert [each.name for each in tmp_path.iterdir()] == ["network.onnx"]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    assert names == (["left", "right"] if output == "score" else ["X"])
    assert session.get_outputs()[0].name == output
    assert {each.shape[0] for each in session.get_inputs()} == {"batch"}
    for size in SIZES:
        inputs, wanted = expected(model, output, X[:size])
        (found,) = session.run(None, dict(zip(names, inputs, strict=True)))
        np.testing.assert_allclose(found, wanted, atol=1e-5)
    metadata = session.get_modelmeta().custom_metadata_map
    assert metadata["siamese_sklearn"] == __version__
    if not isinstance(model, SiameseEmbedder):
        assert float(metadata["threshold"]) == model.threshold_
        at = float(metadata["identification_threshold"])
        assert at == model.identification_threshold_


@pytest.mark.parametrize("name", ["table", "images"])
def test_the_network_of_skorch_exports_with_any_batch(fitted, name):
    model, X = fitted(name)
    network = copy.deepcopy(model.net_.module_).eval()
    program = torch.export.export(
        network, (torch.from_numpy(X[:4]),), dynamic_shapes=({0: Dim("batch")},)
    )
    found = program.module()(torch.from_numpy(X[:7])).detach().numpy()
    np.testing.assert_allclose(found, model.transform(X[:7]), atol=1e-5)


def test_a_module_is_a_copy(fitted):
    model, X = fitted("table")
    module, rows = as_module(model), torch.from_numpy(X[:5])
    before = module(rows)
    other = copy.deepcopy(model)
    as_module(other).network.tower[1].weight.data.zero_()
    np.testing.assert_array_equal(other.transform(X), model.transform(X))
    assert torch.equal(module(rows), before)


def test_an_interrupted_write_leaves_what_was_there(fitted, tmp_path, monkeypatch):
    path = tmp_path / "network.pt2"
    path.write_bytes(b"what was there")

    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        to_torch(fitted("table")[0], path)
    assert path.read_bytes() == b"what was there"
    assert [each.name for each in tmp_path.iterdir()] == ["network.pt2"]


class TestRefusals:
    def test_two_channels_have_no_embedding(self, fitted, tmp_path):
        with pytest.raises(
            ValueError,
            match="`output` must be 'score' for architecture=\"two_channel\"",
        ):
            to_torch(fitted("two channels")[0], tmp_path / "network.pt2")

    def test_unknown_output(self, fitted):
        with pytest.raises(ValueError, match=r"`output` must be one of .*'score'; got"):
            as_module(fitted("table")[0], output="scores")

    def test_a_model_that_is_not_fitted(self, tmp_path):
        with pytest.raises(NotFittedError):
            to_torch(SiameseEmbedder(), tmp_path / "network.pt2")

    def test_a_tower_that_branches_on_values(self, halves, tmp_path):
        class Branches(nn.Linear):
            def forward(self, x):
                return super().forward(x) if x.sum() > 0 else super().forward(-x)

        model = quick(tower=Branches(4, 32), max_epochs=1)
        model.fit(halves[0], halves[2])
        with pytest.raises(
            ValueError, match=r"cannot be exported to torch\.export\. If the `tower` or"
        ):
            to_torch(model, tmp_path / "network.pt2")
        assert not any(tmp_path.iterdir())

    def test_what_onnx_does_not_have_is_an_error(self, fitted, tmp_path, monkeypatch):
        def fail(*arguments, **options):
            raise RuntimeError("no such operator")

        monkeypatch.setattr(export, "find_spec", lambda name: True)
        monkeypatch.setattr(torch.onnx, "export", fail)
        with pytest.raises(ValueError, match=r"to ONNX\. If the .*no such operator"):
            to_onnx(fitted("table")[0], tmp_path / "network.onnx")

    def test_packages_that_are_missing_are_named(self, fitted, tmp_path, monkeypatch):
        monkeypatch.setattr(export, "find_spec", lambda name: None)
        with pytest.raises(
            ImportError, match=r"requires onnx and onnxscript: pip install .*\[onnx\]"
        ):
            to_onnx(fitted("table")[0], tmp_path / "network.onnx")


def test_a_pipeline_is_refused():
    with pytest.raises(TypeError, match=r"got Pipeline\. Export the last"):
        as_module(make_pipeline(SiameseEmbedder()))
