"""Losses on triplets."""

import math

from oracles._naive import mean, naive_paired, naive_table, naive_triplets


def triplet(near_and_far, *, margin):
    if margin == "soft":
        values = [math.log1p(math.exp(near - far)) for near, far in near_and_far]
    else:
        values = [
            near - far + margin for near, far in near_and_far if near - far + margin > 0
        ]
    return mean(values), len(values)


def triplet_ratio(near_and_far):
    values = []
    for near, far in near_and_far:
        total = math.exp(near) + math.exp(far)
        values.append((math.exp(near) / total) ** 2 + (math.exp(far) / total - 1) ** 2)
    return mean(values), len(values)


def over_mean(table):
    """Distances in units of their mean, that of a row to itself left out."""
    unit = mean(
        [value for i, row in enumerate(table) for j, value in enumerate(row) if i != j]
    )
    return [[value / unit for value in row] for row in table]


def of_triplets(formula, relative_minings=()):
    """Oracle from a formula on the distances (near, far) of each triplet."""

    def of_labels(
        embeddings, labels, weights, *, distance, mining, relative=None, **params
    ):
        table = naive_table(embeddings, embeddings, distance)
        if mining in relative_minings if relative is None else relative:
            table = over_mean(table)
        chosen = naive_triplets(table, labels, mining)
        return formula([(table[a][p], table[a][n]) for a, p, n in chosen], **params)

    def of_given_pairs(
        left, right, same, weights, *, distance, mining, relative=None, **params
    ):
        """Every same pair against every different one."""
        pairs = list(zip(naive_paired(left, right, distance), same, strict=True))
        return formula(
            [(x, y) for x, s in pairs for y, t in pairs if s and not t], **params
        )

    def of_given_triplets(
        anchor,
        positive,
        negative,
        weights,
        *,
        distance,
        mining,
        relative=None,
        **params,
    ):
        near, far = (
            naive_paired(anchor, side, distance) for side in (positive, negative)
        )
        return formula(list(zip(near, far, strict=True)), **params)

    return {"labels": of_labels, "pairs": of_given_pairs, "triplets": of_given_triplets}


ORACLES = {
    "triplet": (
        of_triplets(triplet, relative_minings=["hard"]),
        [
            *({"margin": margin} for margin in (0.2, 0.0, "soft")),
            *({"margin": 0.2, "relative": relative} for relative in (True, False)),
        ],
    ),
    "triplet_ratio": (of_triplets(triplet_ratio), [{}]),
}
