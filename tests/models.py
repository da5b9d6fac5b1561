"""Models that train in a moment, and the arrangements of them that tests go through."""

import numpy as np
import pytest

from siamese_sklearn import Pairs, SiameseEmbedder, SiamesePairClassifier

CONFIGURATIONS = {
    "contrastive": {"loss": "contrastive"},
    "manhattan": {"loss": "contrastive", "distance": "manhattan", "normalize": False},
    "cosine": {"loss": "contrastive", "distance": "cosine"},
    "exponential": {"loss": "exponential"},
    "triplet": {"loss": "triplet"},
    "distance head": {"loss": "binary_cross_entropy"},
    "difference head": {"loss": "binary_cross_entropy", "head": "difference"},
    "product head": {"loss": "hinge", "head": "product"},
    "two towers": {"architecture": "pseudo_siamese", "loss": "contrastive"},
    "two towers, product head": {
        "architecture": "pseudo_siamese",
        "loss": "hinge",
        "head": "product",
    },
    "two channels": {"architecture": "two_channel", "loss": "hinge"},
}
QUICK = {"contrastive", "two channels"}
EACH_CONFIGURATION = [
    pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow], id=name)
    for name in CONFIGURATIONS
]
ARCHITECTURES = {
    "siamese": {"architecture": "siamese"},
    "pseudo_siamese": {"architecture": "pseudo_siamese"},
    "two_channel": {"architecture": "two_channel", "loss": "hinge"},
}
# for `set_threshold`: none is named, and rows of any look are enrolled without warning
NOBODY = {"threshold": 1e9, "task": "identification"}
LEARNING = {"lr": 3e-3, "max_epochs": 20, "n_components": 16}


def quick(**parameters):
    """An embedder of few epochs."""
    return SiameseEmbedder(
        **{"max_epochs": 3, "random_state": 0, "device": "cpu", **parameters}
    )


def quick_classifier(**parameters):
    """A pair classifier of few components and epochs."""
    return SiamesePairClassifier(
        **{
            "n_components": 6,
            "max_epochs": 3,
            "random_state": 0,
            "device": "cpu",
            **parameters,
        }
    )


def naive_class_scores(model, rows, labels, queries):
    """Vote of the rows of each class for each query, by the `pair_score` of each."""
    labels = np.asarray(labels)
    every = Pairs(
        np.repeat(queries, len(rows), axis=0), np.tile(rows, (len(queries), 1))
    )
    score = model.pair_score(every).astype(np.float64).reshape(len(queries), -1)
    odds = np.exp(model._threshold.slope * score)
    means = [
        odds[:, labels == label].mean(axis=1) for label in sorted(set(labels.tolist()))
    ]
    return np.log(np.stack(means, axis=1)) / model._threshold.slope


class RowsSeen:
    """An `augment` that changes nothing and records what is trained on."""

    def __init__(self):
        self.n_calls, self.dtypes, self.rows = 0, set(), set()

    def __call__(self, batch):
        self.n_calls += 1
        self.dtypes.add(batch.dtype)
        self.rows.update(map(tuple, batch.tolist()))
        return batch

    def saw(self, X):
        """Which rows of X came in a batch."""
        rows = np.asarray(X, dtype=np.float32).tolist()
        return np.array([tuple(row) in self.rows for row in rows])
