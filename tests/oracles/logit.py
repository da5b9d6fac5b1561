"""Losses on the logits of pairs."""

import math

from oracles._naive import mean, naive_distance, naive_pairs


def distance_logit(a, b, weights):
    distance = naive_distance(a, b, "euclidean")
    return math.exp(weights["head.log_scale"].item()) * (
        weights["head.offset"].item() - distance
    )


def difference_logit(a, b, weights):
    terms = [
        w * abs(x - y)
        for w, x, y in zip(weights["head.weight"].tolist(), a, b, strict=True)
    ]
    return math.fsum(terms) + weights["head.bias"].item()


def product_logit(a, b, weights):
    rows = zip(
        weights["head.hidden.weight"].tolist(),
        weights["head.hidden.bias"].tolist(),
        strict=True,
    )
    features = [abs(x - y) for x, y in zip(a, b, strict=True)] + [
        x * y for x, y in zip(a, b, strict=True)
    ]
    hidden = [
        max(math.fsum(w * f for w, f in zip(row, features, strict=True)) + c, 0.0)
        for row, c in rows
    ]
    (output,) = weights["head.output.weight"].tolist()
    terms = [w * h for w, h in zip(output, hidden, strict=True)]
    return math.fsum(terms) + weights["head.output.bias"].item()


NAIVE_HEADS = {
    "distance": distance_logit,
    "difference": difference_logit,
    "product": product_logit,
}


def binary_cross_entropy(same, different):
    """Minus the logarithm of the probability that the truth has."""
    same_loss = [-math.log(1 / (1 + math.exp(-o))) for o in same]
    different_loss = [-math.log(1 / (1 + math.exp(o))) for o in different]
    return mean(same_loss) + mean(different_loss), len(same) + len(different)


def hinge(same, different, *, margin):
    same_loss = [max(margin - o, 0.0) for o in same]
    different_loss = [max(margin + o, 0.0) for o in different]
    return mean(same_loss) + mean(different_loss), len(same) + len(different)


def of_logits(formula):
    """Oracle from a formula on the logits of the same pairs and of the
    different pairs.
    """

    def paired(left, right, weights, head):
        logit = NAIVE_HEADS[head]
        return [
            logit(a, b, weights)
            for a, b in zip(left.tolist(), right.tolist(), strict=True)
        ]

    def of_labels(
        embeddings, labels, weights, *, head="distance", mining="all", **params
    ):
        logit, rows = NAIVE_HEADS[head], embeddings.tolist()
        chosen = naive_pairs(
            [[-logit(a, b, weights) for b in rows] for a in rows], labels, mining
        )
        return formula(*([-distance for distance in kind] for kind in chosen), **params)

    def of_given_pairs(
        left, right, same, weights, *, head="distance", mining="all", **params
    ):
        pairs = list(zip(paired(left, right, weights, head), same, strict=True))
        return formula(
            [o for o, s in pairs if s], [o for o, s in pairs if not s], **params
        )

    def of_given_triplets(
        anchor, positive, negative, weights, *, head="distance", mining="all", **params
    ):
        near, far = (
            paired(anchor, side, weights, head) for side in (positive, negative)
        )
        return formula(near, far, **params)

    return {"labels": of_labels, "pairs": of_given_pairs, "triplets": of_given_triplets}


ORACLES = {
    "binary_cross_entropy": (
        of_logits(binary_cross_entropy),
        [{"head": head} for head in NAIVE_HEADS],
    ),
    "hinge": (
        of_logits(hinge),
        [
            {"margin": margin, "head": head}
            for head in NAIVE_HEADS
            for margin in (1.0, 2.5)
        ],
    ),
}
