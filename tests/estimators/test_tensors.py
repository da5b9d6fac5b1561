"""Tensors in: arrays out, or tensors with scikit-learn's array API dispatch."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from models import quick, quick_classifier
from siamese_sklearn import _arrays
from siamese_sklearn.calibration import choose_threshold
from siamese_sklearn.metrics import (
    cmc_curve,
    eer,
    far_frr_curve,
    fpir,
    map_at_r,
    map_at_r_scorer,
    pair_scores,
    recall_at_k,
    verification_auc_scorer,
)

METHODS = ["predict", "predict_proba", "decision_function", "transform", "kneighbors"]


@pytest.fixture
def dispatch(monkeypatch):
    """The setting, without the environment variable that SciPy reads at its import."""
    monkeypatch.setattr(_arrays, "get_config", lambda: {"array_api_dispatch": True})


@pytest.fixture
def tensors(halves):
    return tuple(map(torch.from_numpy, halves))


def as_tuple(found):
    return found if isinstance(found, tuple) else (found,)


@pytest.mark.parametrize("method", METHODS)
def test_a_tensor_gives_an_array(models, halves, tensors, method):
    model = models("contrastive")
    for wanted, found in zip(
        as_tuple(getattr(model, method)(halves[1])),
        as_tuple(getattr(model, method)(tensors[1])),
        strict=True,
    ):
        assert isinstance(found, np.ndarray)
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.usefixtures("dispatch")
class TestDispatch:
    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("n_classes", [2, 3])
    def test_a_tensor_gives_a_tensor(self, halves, tensors, method, n_classes):
        model = quick_classifier(max_epochs=1).fit(tensors[0], tensors[2])
        model.forget(np.arange(n_classes, 3))
        for wanted, found in zip(
            as_tuple(getattr(model, method)(halves[1])),
            as_tuple(getattr(model, method)(tensors[1])),
            strict=True,
        ):
            assert isinstance(wanted, np.ndarray)
            assert isinstance(found, torch.Tensor)
            assert found.device == tensors[1].device
            np.testing.assert_array_equal(found.numpy(), wanted)

    def test_strings_stay_an_array(self, halves, tensors):
        names = np.array(["ann", "bob", "eve"])[halves[2]]
        model = quick_classifier(max_epochs=1).fit(tensors[0], names)
        assert isinstance(model.predict(tensors[1]), np.ndarray)
        assert isinstance(model.predict_proba(tensors[1]), torch.Tensor)

    def test_scores(self, models, halves, tensors):
        model, embedder = models("contrastive"), quick(max_epochs=1)
        embedder.fit(tensors[0], tensors[2])
        for score in (model.score, embedder.score):
            assert score(tensors[1], tensors[3]) == score(halves[1], halves[3])
        for scorer in (map_at_r_scorer, verification_auc_scorer):
            for fitted in (model, embedder):
                wanted = scorer(fitted, halves[1], halves[3])
                assert scorer(fitted, tensors[1], tensors[3]) == wanted

    def test_the_container_asked_for_comes_first(self, tensors):
        model = quick(max_epochs=1).fit(tensors[0], tensors[2])
        frame = model.set_output(transform="pandas").transform(tensors[1])
        assert list(frame.columns) == list(model.get_feature_names_out())


@pytest.mark.parametrize("has_gradient", [False, True])
def test_metrics_take_tensors(halves, has_gradient):
    X, _, y, _ = halves
    same, score = (y[:50] == 1).astype(int), X[:50, 0]
    scores = -np.abs(X[:, :1] - [[1.0, 2.0, 3.0]])
    of_rows = [
        lambda X, y: map_at_r(X, y),
        lambda X, y: recall_at_k(X, y, gallery=X[:30], gallery_labels=y[:30]),
        lambda X, y: pair_scores(X, y)[1],
    ]
    of_pairs = [far_frr_curve, eer, choose_threshold]
    of_classes = [
        lambda scores, y: cmc_curve(y, scores, classes=y[[0, 25, 50]]),
        lambda scores, y: fpir(y, scores[:, :2], -1.5, classes=y[[0, 25]]),
    ]
    cases = [
        *[(call, X, y) for call in of_rows],
        *[(lambda s, y, call=call: call(y, s), score, same) for call in of_pairs],
        *[(call, scores, y) for call in of_classes],
    ]
    for call, numbers, labels in cases:
        tensor = torch.tensor(numbers, requires_grad=has_gradient)
        found = call(tensor, torch.from_numpy(labels))
        np.testing.assert_array_equal(found, call(numbers, labels))


@pytest.mark.slow
def test_with_the_setting_itself():
    code = """
import numpy as np, sklearn, torch
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from siamese_sklearn import SiamesePairClassifier
X, y = load_iris(return_X_y=True)
X, y = torch.from_numpy(X).float(), torch.from_numpy(y)
with sklearn.config_context(array_api_dispatch=True):
    model = SiamesePairClassifier(max_epochs=1, random_state=0, device="cpu").fit(X, y)
    pipeline = make_pipeline(model)
    assert isinstance(pipeline.transform(X), torch.Tensor)
    assert isinstance(pipeline.predict(X), torch.Tensor)
    assert isinstance(pipeline.predict_proba(X), torch.Tensor)
    score = pipeline.score(X, y)
assert score == model.score(X, y)
assert isinstance(model.predict(X), np.ndarray)
"""
    environment = {**os.environ, "SCIPY_ARRAY_API": "1"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
