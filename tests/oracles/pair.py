"""Losses on pairs."""

import math

from oracles._naive import mean, naive_paired, naive_pairs, naive_table


def contrastive(same, different, *, margin):
    same_loss = [0.5 * d**2 for d in same]
    different_loss = [0.5 * (margin - d) ** 2 for d in different if d < margin]
    return mean(same_loss) + mean(different_loss), len(same_loss) + len(different_loss)


def exponential(same, different, *, bound):
    same_loss = [2 / bound * d**2 for d in same]
    different_loss = [2 * bound * math.exp(-2.77 * d / bound) for d in different]
    return mean(same_loss) + mean(different_loss), len(same_loss) + len(different_loss)


def of_pairs(formula):
    """Oracle from a formula on the distances of the same pairs and of the different
    pairs.
    """

    def of_labels(embeddings, labels, weights, *, distance, mining, **params):
        return formula(
            *naive_pairs(naive_table(embeddings, embeddings, distance), labels, mining),
            **params,
        )

    def of_given_pairs(left, right, same, weights, *, distance, mining, **params):
        pairs = list(zip(naive_paired(left, right, distance), same, strict=True))
        return formula(
            [d for d, s in pairs if s], [d for d, s in pairs if not s], **params
        )

    def of_given_triplets(
        anchor, positive, negative, weights, *, distance, mining, **params
    ):
        near, far = (
            naive_paired(anchor, side, distance) for side in (positive, negative)
        )
        return formula(near, far, **params)

    return {"labels": of_labels, "pairs": of_given_pairs, "triplets": of_given_triplets}


ORACLES = {
    "contrastive": (of_pairs(contrastive), [{"margin": 0.8}, {"margin": 1.5}]),
    "exponential": (of_pairs(exponential), [{"bound": 2.0}, {"bound": 0.7}]),
}
