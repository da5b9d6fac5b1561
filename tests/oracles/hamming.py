"""Loss on triplets of binary codes."""

import math

from oracles._naive import mean, naive_distance, naive_triplets


def soft_bits(row):
    """A row of numbers as soft bits, scaled to length sqrt(d) first, unless it is on a
    line.
    """
    length = math.hypot(*row)
    scale = 1.0 if len(row) == 1 else math.sqrt(len(row)) / length
    return [1 / (1 + math.exp(-2 * scale * x)) for x in row]


def imbalance(bits):
    return math.fsum((2 * mean(column) - 1) ** 2 for column in zip(*bits, strict=True))


def cost(near_and_far, bits, *, margin=None, balance=0.1):
    margin = max(len(bits[0]) / 16, 1) if margin is None else margin
    values = [
        near - far + margin for near, far in near_and_far if near - far + margin > 0
    ]
    return mean(values) + balance * imbalance(bits), len(values)


def of_labels(embeddings, labels, weights, *, mining="all", **params):
    bits = list(map(soft_bits, embeddings.tolist()))
    table = [[naive_distance(a, b, "sqeuclidean") for b in bits] for a in bits]
    chosen = naive_triplets(table, labels, mining)
    return cost([(table[a][p], table[a][n]) for a, p, n in chosen], bits, **params)


def of_given_pairs(left, right, same, weights, *, mining="all", **params):
    """Every same pair against every different one."""
    left, right = (list(map(soft_bits, side.tolist())) for side in (left, right))
    distances = [
        naive_distance(a, b, "sqeuclidean") for a, b in zip(left, right, strict=True)
    ]
    pairs = list(zip(distances, same, strict=True))
    return cost(
        [(x, y) for x, s in pairs for y, t in pairs if s and not t],
        left + right,
        **params,
    )


def of_given_triplets(anchor, positive, negative, weights, *, mining="all", **params):
    sides = [
        list(map(soft_bits, side.tolist())) for side in (anchor, positive, negative)
    ]
    near_and_far = [
        (naive_distance(a, p, "sqeuclidean"), naive_distance(a, n, "sqeuclidean"))
        for a, p, n in zip(*sides, strict=True)
    ]
    return cost(near_and_far, [row for side in sides for row in side], **params)


ORACLES = {
    "hamming_triplet": (
        {"labels": of_labels, "pairs": of_given_pairs, "triplets": of_given_triplets},
        [{}, {"margin": 0.3, "balance": 0.0}, {"margin": 0.5, "balance": 2.0}],
    ),
}
