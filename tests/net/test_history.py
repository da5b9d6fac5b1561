"""The history finds an epoch at once, and is skorch's history otherwise."""

import pickle

import pytest
from skorch.history import History

from nets import X, Y, make_embedder
from siamese_sklearn._net._history import EpochHistory


def filled(kind):
    history = kind()
    for epoch in range(3):
        history.new_epoch()
        history.record("epoch", epoch)
        for batch in range(2):
            history.new_batch()
            history.record_batch("loss", 10 * epoch + batch)
    return history


@pytest.mark.parametrize(
    "index",
    [
        0,
        -1,
        slice(1, 3),
        (-1, "epoch"),
        (slice(None), "epoch"),
        (-1, "batches", -1),
        (slice(None), "batches", slice(None), "loss"),
    ],
    ids=str,
)
def test_same_as_that_of_skorch(index):
    assert filled(EpochHistory)[index] == filled(History)[index]


def test_one_epoch_is_found_without_a_copy_of_all(monkeypatch):
    history = filled(EpochHistory)
    monkeypatch.setattr(EpochHistory, "to_list", None)
    assert history[-1]["epoch"] == 2
    history.new_batch()
    history.record_batch("loss", 5)
    history.record("loss", 6)
    assert history[2]["batches"][-1] == {"loss": 5}


def test_it_stays_the_kind_of_a_model():
    model = make_embedder().fit(X, Y)
    loaded = pickle.loads(pickle.dumps(model)).partial_fit(X, Y)
    for each in (model, loaded):
        assert type(each.history_) is EpochHistory
        assert type(each.net_.history) is EpochHistory
