"""Training that diverges ends with a warning and a fitted model, whatever overflows."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from torch import nn

from models import quick, quick_classifier
from seeds import torch_seed

Y = np.arange(60) % 3
X = (np.random.default_rng(0).normal(size=(60, 4)) + Y[:, None]).astype(np.float32)
HUGE = np.where(np.arange(60)[:, None] < 40, X, X * np.float32(1e18))


@pytest.mark.parametrize("make", [quick, quick_classifier])
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("batch_size", [16, 60])
@pytest.mark.parametrize("rows", [X, HUGE], ids=["rows", "huge rows"])
def test_rate_that_is_far_too_high(make, early_stopping, normalize, batch_size, rows):
    """The loss, the embeddings or only their distances overflow; the latter on rows
    that are not the first ones.
    """
    with torch_seed():
        tower = nn.Linear(4, 3)
    model = make(
        n_components=3,
        tower=tower,
        loss="contrastive",
        optimizer="sgd",
        lr=1e38 if batch_size == 60 else 1e30,
        batch_size=batch_size,
        normalize=normalize,
        early_stopping=early_stopping,
    )
    with pytest.warns(ConvergenceWarning, match="became NaN or infinite"):
        model.fit(rows, Y)
    assert np.isfinite(model.transform(X)).all()
    assert 0 <= model.score(X, Y) <= 1
    assert model.n_iter_ == len(model.history_) < 3
