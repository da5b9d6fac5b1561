"""Pickles of another version of the package."""

import copy
import pickle
import warnings

import joblib
import numpy as np
import pytest

from models import quick
from siamese_sklearn import SiameseEmbedder, SiamesePairClassifier, __version__
from siamese_sklearn._estimators import stamped


def written_by(version, estimator, monkeypatch, dump=pickle.dumps):
    with monkeypatch.context() as patch:
        patch.setattr(stamped, "__version__", version)
        return dump(estimator)


@pytest.mark.parametrize("cls", [SiameseEmbedder, SiamesePairClassifier])
def test_a_pickle_of_another_version_warns_at_the_caller(cls, monkeypatch):
    content = written_by("0.0.7", cls(), monkeypatch)
    with pytest.warns(
        UserWarning,
        match=rf"This {cls.__name__} was pickled by version 0\.0\.7 of "
        rf"siamese_sklearn, and this is version {__version__}.*persistence\.save",
    ) as caught:
        pickle.loads(content)
    assert caught[0].filename == __file__


def test_a_fitted_model_works_all_the_same(halves, monkeypatch, tmp_path):
    model = quick(n_components=2).fit(halves[0], halves[2])
    path = tmp_path / "model.joblib"
    written_by("9.9", model, monkeypatch, lambda each: joblib.dump(each, path))
    with pytest.warns(UserWarning, match=r"version 9\.9 of siamese_sklearn"):
        loaded = joblib.load(path)
    np.testing.assert_array_equal(
        loaded.transform(halves[1]), model.transform(halves[1])
    )


def test_a_pickle_without_a_version_warns():
    with pytest.warns(UserWarning, match="by an unknown version of siamese_sk"):
        SiameseEmbedder().__setstate__({"lr": 0.5})


def test_pickles_and_copies_of_this_version_are_silent():
    model = SiameseEmbedder(lr=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
            assert vars(other) == vars(model)
