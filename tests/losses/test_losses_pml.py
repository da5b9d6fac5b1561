"""Losses against those of pytorch-metric-learning, in value and gradient, wherever both
have one formula.

They do not have one formula for contrastive (theirs is linear in the distance, not
squared), nor for N-pairs (theirs draws one pair of each class; ours is what they call
NT-Xent, on dot products). The semi-hard triplets of their miner are all negatives
between the positive and the margin, ours the closest one as in FaceNet, so that their
loss is taken on the triplets of our miner.
"""

import pytest
import torch
from torch.testing import assert_close

from siamese_sklearn.distances import pairwise
from siamese_sklearn.losses import (
    CircleLoss,
    LiftedLoss,
    MultiSimilarityLoss,
    NPairsLoss,
    SupConLoss,
    TripletLoss,
)
from siamese_sklearn.mining import MINERS, pair_masks

pytest.importorskip("pytorch_metric_learning")

from pytorch_metric_learning import distances, losses, miners

# 24 rows: beyond 25 their distances are less exact
GROUPS = torch.arange(6).repeat_interleave(4)
# two rows without a positive
LONE = torch.cat([GROUPS[:20], torch.tensor([7, 8, 9, 9])])
RAW = {"normalize_embeddings": False}


def rows(labels, seed=0):
    """Rows around a center for each class, of different lengths; (B, 5) in float64."""
    generator = torch.Generator().manual_seed(seed)
    centers = torch.randn(10, 5, generator=generator, dtype=torch.float64)
    return 0.6 * centers[labels] + 0.6 * torch.randn(
        len(labels), 5, generator=generator, dtype=torch.float64
    )


def value_and_gradient(loss, embeddings, labels):
    embeddings = embeddings.clone().requires_grad_()
    value = loss(embeddings, labels)
    (gradient,) = torch.autograd.grad(value, embeddings)
    return value.detach(), gradient


def assert_same(spec, theirs, labels, seed, share=None):
    """Compare, theirs times what `share` makes of the number of terms that ours is a
    mean over.
    """
    module, embeddings = spec.build(10, 5), rows(labels, seed)
    value, gradient = value_and_gradient(module, embeddings, labels)
    expected, expected_gradient = value_and_gradient(theirs, embeddings, labels)
    factor = share(module.n_active) if share else 1.0
    assert value > 0
    assert gradient.norm() > 0
    assert_close(value, factor * expected, rtol=1e-8, atol=1e-10)
    assert_close(gradient, factor * expected_gradient, rtol=1e-7, atol=1e-10)


each_seed = pytest.mark.parametrize("seed", range(3))
each_labels = pytest.mark.parametrize(
    "labels", [GROUPS, LONE], ids=["groups", "lone rows"]
)


class TestMultiSimilarity:
    @each_seed
    @each_labels
    @pytest.mark.parametrize("epsilon", [0.1, 0.0])
    def test_with_its_mining(self, labels, seed, epsilon):
        """Ours is a mean over the anchors that have a pair left, theirs over all rows
        of the batch.
        """
        loss, miner = (
            losses.MultiSimilarityLoss(alpha=2, beta=50, base=0.5),
            miners.MultiSimilarityMiner(epsilon),
        )
        assert_same(
            MultiSimilarityLoss(epsilon=epsilon),
            lambda z, y: loss(z, y, miner(z, y)),
            labels,
            seed,
            share=lambda n_active: 24 / n_active.item(),
        )

    @each_seed
    @each_labels
    def test_on_all_pairs(self, labels, seed):
        ours = MultiSimilarityLoss(3.0, beta=20.0, base=0.4, mining="all")
        assert_same(
            ours, losses.MultiSimilarityLoss(alpha=3, beta=20, base=0.4), labels, seed
        )


@each_seed
@each_labels
@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_supcon(labels, seed, temperature):
    assert_same(SupConLoss(temperature), losses.SupConLoss(temperature), labels, seed)


@each_seed
@each_labels
@pytest.mark.parametrize(("margin", "gamma"), [(0.4, 80.0), (0.25, 10.0)])
def test_circle(labels, seed, margin, gamma):
    assert_same(
        CircleLoss(margin, gamma=gamma), losses.CircleLoss(margin, gamma), labels, seed
    )


class TestLifted:
    @each_seed
    @pytest.mark.parametrize(
        ("distance", "power"), [("euclidean", 1), ("sqeuclidean", 2)]
    )
    def test_all_anchors(self, distance, power, seed):
        theirs = losses.GeneralizedLiftedStructureLoss(
            1.5, distance=distances.LpDistance(power=power, **RAW)
        )
        assert_same(LiftedLoss(1.5, distance=distance), theirs, GROUPS, seed)

    @each_seed
    def test_a_lone_row_is_left_out(self, seed):
        """Theirs gives a row without positives its negatives' part alone; ours leaves
        it out as an anchor.
        """
        theirs = losses.GeneralizedLiftedStructureLoss(
            1.5, distance=distances.LpDistance(**RAW)
        )
        pairs = tuple(
            side for mask in pair_masks(LONE) for side in mask.nonzero(as_tuple=True)
        )
        anchor, other = pairs[2:]
        kept = torch.isin(anchor, pairs[0])
        pairs = (*pairs[:2], anchor[kept], other[kept])
        assert_same(
            LiftedLoss(1.5),
            lambda z, y: theirs(z, y, pairs),
            LONE,
            seed,
            share=lambda n_active: 24 / n_active.item(),
        )


@each_seed
@each_labels
@pytest.mark.parametrize("temperature", [1.0, 0.2])
def test_n_pairs_is_their_nt_xent_on_dot_products(labels, seed, temperature):
    theirs = losses.NTXentLoss(
        temperature, distance=distances.DotProductSimilarity(**RAW)
    )
    assert_same(NPairsLoss(temperature), theirs, labels, seed)


class TestTriplet:
    @each_seed
    @each_labels
    @pytest.mark.parametrize(
        ("distance", "power"), [("euclidean", 1), ("sqeuclidean", 2)]
    )
    def test_every_triplet(self, labels, distance, power, seed):
        theirs = losses.TripletMarginLoss(
            0.3, distance=distances.LpDistance(power=power, **RAW)
        )
        assert_same(TripletLoss(0.3, distance=distance), theirs, labels, seed)

    @each_seed
    @each_labels
    def test_soft_margin(self, labels, seed):
        theirs = losses.TripletMarginLoss(
            0.0, smooth_loss=True, distance=distances.LpDistance(**RAW)
        )
        assert_same(TripletLoss("soft"), theirs, labels, seed)

    @each_seed
    @each_labels
    @pytest.mark.parametrize(
        ("mining", "positives"), [("hard", "hard"), ("easy_positive", "easy")]
    )
    def test_one_triplet_for_each_anchor(self, labels, mining, positives, seed):
        distance = distances.LpDistance(**RAW)
        miner = miners.BatchEasyHardMiner(
            pos_strategy=positives, neg_strategy="hard", distance=distance
        )
        loss = losses.TripletMarginLoss(0.5, distance=distance)
        ours = TripletLoss(0.5, distance="euclidean", mining=mining, relative=False)
        assert_same(ours, lambda z, y: loss(z, y, miner(z, y)), labels, seed)

    @each_seed
    @each_labels
    def test_semihard(self, labels, seed):
        loss = losses.TripletMarginLoss(
            0.5, distance=distances.LpDistance(power=2, **RAW)
        )

        def theirs(z, y):
            return loss(
                z,
                y,
                MINERS["semihard"](
                    pairwise(z.detach(), distance="sqeuclidean"), *pair_masks(y)
                ),
            )

        assert_same(TripletLoss(0.5, mining="semihard"), theirs, labels, seed)
