"""Checks of a copy of the package that has one distance more, Chebyshev's.

`test_added_distance.py` runs them in a process of their own, on the copy.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.distance import cdist
from sklearn.datasets import load_iris

import siamese_sklearn
from siamese_sklearn import Pairs, SiameseEmbedder, SiamesePairClassifier
from siamese_sklearn.distances import DISTANCES
from siamese_sklearn.heads import DistanceHead
from siamese_sklearn.losses import LOSSES
from siamese_sklearn.metrics import map_at_r, pair_scores

NAME = "chebyshev"
X, Y = load_iris(return_X_y=True)
X = X.astype(np.float32)
SMALL = {"n_components": 4, "normalize": False, "max_epochs": 2, "random_state": 0}


def far_from_euclidean(Z):
    """The two distances differ so much that one cannot stand for the other."""
    return not np.allclose(cdist(Z, Z, NAME), cdist(Z, Z), rtol=0.02)


def naive_map_at_r(table, labels):
    """MAP@R of every row that searches all the others, from their distances."""
    means = []
    for i in range(len(table)):
        others = np.delete(np.arange(len(table)), i)
        relevant = labels[others[np.argsort(table[i, others])]] == labels[i]
        n_relevant = int(relevant.sum())
        precisions = [relevant[: k + 1].mean() * relevant[k] for k in range(n_relevant)]
        means.append(sum(precisions) / n_relevant)
    return np.mean(means)


def check_measures():
    Z = np.random.default_rng(0).normal(size=(40, 3))
    labels, table = np.arange(40) % 4, cdist(Z, Z, NAME)
    assert far_from_euclidean(Z)
    found = map_at_r(Z, labels, distance=NAME)
    assert np.isclose(found, naive_map_at_r(table, labels))
    assert not np.isclose(found, naive_map_at_r(cdist(Z, Z), labels))
    same, score = pair_scores(Z, labels, distance=NAME)
    row, column = np.triu_indices(40, 1)
    for kind in (0, 1):
        mine = (labels[row] == labels[column]) == kind
        expected = np.sort(-table[row, column][mine])
        np.testing.assert_allclose(np.sort(score[same == kind]), expected)


def check_embedder():
    embedder = SiameseEmbedder(distance=NAME, **SMALL).fit(X, Y)
    Z = embedder.transform(X).astype(np.float64)
    assert far_from_euclidean(Z)
    distance = embedder.pair_distance(Pairs(X[:50], X[50:100]))
    np.testing.assert_allclose(
        distance, cdist(Z[:50], Z[50:100], NAME).diagonal(), 1e-4
    )
    expected = naive_map_at_r(cdist(Z, Z, NAME), Y)
    assert np.isclose(embedder.score(X, Y), expected, atol=1e-3)


def check_classifier():
    model = SiamesePairClassifier(
        loss="contrastive",
        distance=NAME,
        n_references=None,
        lr=1e-4,  # the classes stay so close that neighbors differ
        **SMALL,
    ).fit(X[::2], Y[::2])
    Z, references = model.transform(X[1::2]), model.transform(X[::2])
    assert far_from_euclidean(np.concatenate([Z, references]))
    table = cdist(Z.astype(np.float64), references.astype(np.float64), NAME)
    votes, euclidean = (votes_of(model, each) for each in (table, cdist(Z, references)))
    np.testing.assert_array_equal(model.predict(X[1::2]), votes.argmax(axis=1))
    np.testing.assert_allclose(model.decision_function(X[1::2]), votes, atol=1e-4)
    assert not np.allclose(euclidean, votes, atol=1e-2)
    nearest = np.sort(table, axis=1)[:, :3]
    np.testing.assert_allclose(model.kneighbors(X[1::2], 3)[0], nearest, atol=1e-5)


def votes_of(model, table):
    """Log of the mean of exp(-a d) over the references of each class, over a."""
    sharpness = model._threshold.slope
    odds = np.exp(-sharpness * table)
    means = [odds[:, Y[::2] == label].mean(axis=1) for label in range(3)]
    return np.log(np.stack(means, axis=1)) / sharpness


def check_losses():
    """Contrastive and triplets by loops; the others take it, and are not Euclidean."""
    takers = [spec for spec in LOSSES.values() if spec.distances]
    assert len(takers) == 5
    z = torch.randn(9, 3, generator=torch.Generator().manual_seed(0)).double()
    labels = torch.arange(9) % 3
    for spec in takers:
        assert NAME in spec.distances
        values = [spec(distance=d).build(3, 3)(z, labels) for d in (NAME, "euclidean")]
        assert not torch.isclose(*values, rtol=1e-3)
    table, everyone = cdist(z, z, NAME), range(9)
    pairs = [(i, j) for i in everyone for j in everyone if i != j]
    kind = labels.tolist()
    near = [table[i, j] ** 2 / 2 for i, j in pairs if kind[i] == kind[j]]
    reach = [1 - table[i, j] for i, j in pairs if kind[i] != kind[j]]
    far = [gap**2 / 2 for gap in reach if gap > 0]
    module = LOSSES["contrastive"](1.0, distance=NAME).build(3, 3)
    np.testing.assert_allclose(module(z, labels), np.mean(near) + np.mean(far))
    hinges = [
        table[a, p] - table[a, n] + 0.2
        for a, p in pairs
        for n in everyone
        if kind[a] == kind[p] != kind[n]
    ]
    module = LOSSES["triplet"](0.2, distance=NAME).build(3, 3)
    active = [hinge for hinge in hinges if hinge > 0]
    np.testing.assert_allclose(module(z, labels), np.mean(active))


def check_head():
    head = DistanceHead(3, NAME)
    z = torch.tensor(X[:20, :3])
    expected = head.log_scale.exp().item() * (head.offset.item() - cdist(z, z, NAME))
    np.testing.assert_allclose(
        head.pairwise(z).detach(), expected, rtol=1e-4, atol=1e-5
    )


if __name__ == "__main__":
    assert Path(siamese_sklearn.__file__).is_relative_to(sys.argv[1])
    assert list(DISTANCES)[-1] == NAME
    for check in (check_measures, check_embedder, check_classifier, check_losses):
        check()
    check_head()
    print("as scipy says")
