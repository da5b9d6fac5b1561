"""What each distance says of itself: its ends, its ranks, its name elsewhere."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.metrics import pairwise_distances

from siamese_sklearn import SiameseEmbedder, SiamesePairClassifier
from siamese_sklearn.distances import (
    DISTANCES,
    Distance,
    RankedByEuclidean,
    as_distance,
    normalize,
    paired,
    pairwise,
)
from siamese_sklearn.heads import DistanceHead
from siamese_sklearn.losses import LOSSES
from siamese_sklearn.metrics import map_at_r, pair_scores, r_precision, recall_at_k

each_distance = pytest.mark.parametrize(
    "distance", DISTANCES.values(), ids=list(DISTANCES)
)
RANKED = {name: d for name, d in DISTANCES.items() if isinstance(d, RankedByEuclidean)}
each_ranked = pytest.mark.parametrize("distance", RANKED.values(), ids=list(RANKED))
seeds = st.integers(0, 10_000)


def rows(n, d, seed=0, dtype=torch.float64):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_the_registry_lists_them_by_name():
    assert list(DISTANCES) == ["euclidean", "sqeuclidean", "manhattan", "cosine"]
    for name, distance in DISTANCES.items():
        assert isinstance(distance, Distance)
        assert distance.name == name
        assert as_distance(name) is as_distance(distance) is distance
    assert 0 < len(RANKED) < len(DISTANCES)


@each_distance
def test_equal_by_kind_also_after_copying(distance):
    for twin in (copy.deepcopy(distance), pickle.loads(pickle.dumps(distance))):
        assert twin == distance
        assert hash(twin) == hash(distance)
    assert [other for other in DISTANCES.values() if other == distance] == [distance]


@each_distance
def test_functions_and_methods_are_one(distance):
    left, right = rows(6, 3), rows(6, 3, seed=1)
    assert torch.equal(distance.paired(left, right), paired(left, right, distance.name))
    for side in (None, right):
        by_name = pairwise(left, side, distance.name)
        assert torch.equal(distance.pairwise(left, side), by_name)
        assert torch.equal(pairwise(left, side, distance), by_name)


@each_distance
def test_scikit_learn_knows_it_by_its_metric(distance):
    left, right = rows(20, 5), rows(30, 5, seed=1)
    theirs = pairwise_distances(left, right, metric=distance.sklearn_metric)
    np.testing.assert_allclose(distance.pairwise(left, right), theirs, rtol=1e-9)


@pytest.mark.slow
@each_distance
@settings(max_examples=30)
@given(seed=seeds, d=st.integers(1, 40))
def test_no_two_unit_vectors_are_farther_apart_than_the_farthest(distance, seed, d):
    left, right = (normalize(rows(30, d, seed + i)) for i in range(2))
    both = torch.cat([left, right, -left])
    assert distance.pairwise(both).max() <= distance.farthest(d) * (1 + 1e-12)


@each_distance
@pytest.mark.parametrize("d", [1, 2, 3, 8, 32])
def test_two_unit_vectors_are_as_far_apart_as_the_farthest(distance, d):
    """Those along the diagonal, (1, ..., 1) / sqrt(d) and its opposite."""
    diagonal = torch.ones(1, d, dtype=torch.float64) / math.sqrt(d)
    found = distance.paired(diagonal, -diagonal).item()
    assert found == pytest.approx(distance.farthest(d), rel=1e-12)


@each_distance
@settings(max_examples=30)
@given(seed=seeds, exponent=st.integers(-3, 8))
def test_no_two_rows_are_farther_apart_than_the_highest(distance, seed, exponent):
    both = torch.cat([rows(10, 4, seed), -rows(10, 4, seed)]) * 10.0**exponent
    assert distance.pairwise(both).max() <= distance.highest * (1 + 1e-12)


@each_distance
def test_the_highest_is_reached_or_there_is_none(distance):
    east = torch.tensor([[1e9, 0.0]], dtype=torch.float64)
    found = distance.paired(east, -east).item()
    if distance.highest == math.inf:
        assert found > 1e9
    else:
        assert found == pytest.approx(distance.highest)


def test_the_cosine_distance_alone_has_a_highest():
    finite = {name: d.highest for name, d in DISTANCES.items() if d.highest < math.inf}
    assert finite == {"cosine": 2.0}


@each_distance
def test_a_square_names_its_root_and_others_themselves(distance):
    left, right = rows(20, 3), rows(20, 3, seed=1)
    root, found = distance.unsquared, distance.paired(left, right)
    assert root.unsquared == root
    if root == distance:
        assert distance.name != "sqeuclidean"
    else:
        assert (distance.name, root.name) == ("sqeuclidean", "euclidean")
        torch.testing.assert_close(root.paired(left, right).square(), found)


@each_ranked
def test_euclidean_distances_of_the_images_turn_into_it(distance):
    left, right = rows(20, 5, dtype=torch.float32), rows(30, 5, 1, torch.float32)
    length = torch.cdist(distance.image(left), distance.image(right)).numpy()
    found = distance.from_euclidean(length)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, distance.pairwise(left, right), rtol=1e-5)


@each_ranked
@settings(max_examples=30)
@given(seed=seeds)
def test_it_ranks_as_the_euclidean_distance_of_the_images(distance, seed):
    left, right = rows(1, 4, seed), rows(30, 4, seed + 1)
    by_image = torch.cdist(distance.image(left), distance.image(right))
    assert torch.equal(
        distance.pairwise(left, right).argsort(dim=1), by_image.argsort(dim=1)
    )


@each_ranked
def test_a_longer_way_between_the_images_is_a_larger_distance(distance):
    length = np.linspace(0, 2, 100, dtype=np.float32)
    assert (np.diff(distance.from_euclidean(length)) > 0).all()
    assert distance.from_euclidean(np.zeros(1, np.float32)).tolist() == [0]


def test_the_manhattan_distance_ranks_by_itself():
    """(3, 0) and (2, 2) are 3 and 2.8 from the origin, but 3 and 4 by absolute sums."""
    origin, rows = torch.zeros(1, 2), torch.tensor([[3.0, 0.0], [2.0, 2.0]])
    near_and_far = {
        name: distance.pairwise(origin, rows).argmin().item()
        for name, distance in DISTANCES.items()
        if name != "cosine"
    }
    assert near_and_far == {"euclidean": 1, "sqeuclidean": 1, "manhattan": 0}
    assert not isinstance(DISTANCES["manhattan"], RankedByEuclidean)


X = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
Y = np.arange(12) % 3
TAKERS = {
    "paired": lambda name: paired(torch.tensor(X), torch.tensor(X), name),
    "pairwise": lambda name: pairwise(torch.tensor(X), None, name),
    "map_at_r": lambda name: map_at_r(X, Y, distance=name),
    "r_precision": lambda name: r_precision(X, Y, distance=name),
    "recall_at_k": lambda name: recall_at_k(X, Y, distance=name),
    "pair_scores": lambda name: pair_scores(X, Y, distance=name),
    "DistanceHead": lambda name: DistanceHead(3, name),
    "embedder": lambda name: SiameseEmbedder(distance=name).fit(X, Y),
    "classifier": lambda name: SiamesePairClassifier(
        loss="contrastive", distance=name
    ).fit(X, Y),
    **{
        spec.__name__: lambda name, spec=spec: spec(distance=name).build(3, 3)
        for spec in LOSSES.values()
        if spec.distances
    },
}


@pytest.mark.parametrize("taker", TAKERS)
@pytest.mark.parametrize("name", ["chebyshev", "Euclidean", "l2", 2, ["cosine"]])
def test_what_is_no_distance_is_an_error_and_never_the_euclidean_one(taker, name):
    with pytest.raises(ValueError, match=r"distance` must be one of 'euclidean', "):
        TAKERS[taker](name)


class Chebyshev(Distance):
    """A distance that the registry does not know."""

    name = sklearn_metric = "chebyshev"

    def paired(self, left, right):
        return (left - right).abs().amax(dim=-1)

    def pairwise(self, left, right=None):
        right = left if right is None else right
        return (left[:, None] - right[None]).abs().amax(dim=-1)

    def farthest(self, n_components):
        return 2.0


def test_a_distance_of_the_user_needs_no_registry():
    distance, table = Chebyshev(), cdist(X, X, "chebyshev")
    found = pairwise(torch.tensor(X), None, distance)
    np.testing.assert_allclose(found, table, rtol=1e-6)
    head = DistanceHead(3, distance)
    assert head.distance is distance
    logits = head.pairwise(torch.tensor(X)).detach()
    expected = head.log_scale.exp().item() * (head.offset.item() - table)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
    _, score = pair_scores(X, Y, distance=distance)
    above = np.triu_indices(len(X), 1)
    np.testing.assert_allclose(np.sort(-score), np.sort(table[above]), rtol=1e-6)
    everyone = map_at_r(X, Y, gallery=X, gallery_labels=Y, distance=distance)
    assert everyone == pytest.approx(naive_map_at_r(table, Y))
    assert everyone != map_at_r(X, Y, gallery=X, gallery_labels=Y)


def naive_map_at_r(table, labels):
    """MAP@R of rows that search all rows, themselves too, from their distances."""
    means = []
    for distances, label in zip(table, labels, strict=True):
        relevant = labels[np.argsort(distances)] == label
        n_relevant = int(relevant.sum())
        precisions = [relevant[: i + 1].mean() * relevant[i] for i in range(n_relevant)]
        means.append(sum(precisions) / n_relevant)
    return np.mean(means)
