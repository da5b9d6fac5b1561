"""Distances, and the pairs and triplets of a batch, by loops."""

import itertools
import math


def naive_distance(a, b, name):
    difference = [x - y for x, y in zip(a, b, strict=True)]
    if name == "manhattan":
        return math.fsum(map(abs, difference))
    if name == "cosine":
        return 1.0 - naive_cosine(a, b)
    return math.hypot(*difference) ** (2 if name == "sqeuclidean" else 1)


def naive_dot(a, b):
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def naive_cosine(a, b):
    return naive_dot(a, b) / (math.hypot(*a) * math.hypot(*b))


def naive_table(left, right, name):
    """Distance of every row of `left` to every row of `right`."""
    return [[naive_distance(a, b, name) for b in right.tolist()] for a in left.tolist()]


def naive_paired(left, right, name):
    """Distance of row i of `left` to row i of `right`."""
    return [
        naive_distance(a, b, name)
        for a, b in zip(left.tolist(), right.tolist(), strict=True)
    ]


def mean(values):
    return math.fsum(values) / len(values) if values else 0.0


def naive_groups(labels):
    """Of each row, in order: the other rows of its class, and the rows of other
    classes.
    """
    everyone = range(len(labels))
    for a in everyone:
        same = [j for j in everyone if labels[j] == labels[a] and j != a]
        yield a, same, [j for j in everyone if labels[j] != labels[a]]


def naive_triplets(table, labels, mining):
    """Triplets (anchor, positive, negative) of a batch."""
    found = []
    for a, same, different in naive_groups(labels):
        row = table[a]
        if mining in ("all", "semihard"):
            for p in same:
                farther = sorted(
                    (n for n in different if row[n] > row[p]), key=row.__getitem__
                )
                found += [
                    (a, p, n) for n in (different if mining == "all" else farther[:1])
                ]
        elif same and different:
            p = (max if mining == "hard" else min)(same, key=row.__getitem__)
            found.append((a, p, min(different, key=row.__getitem__)))
    return found


def naive_pairs(table, labels, mining):
    """Distances of the same pairs and of the different pairs of a batch, each pair
    once.
    """
    if mining == "hard":
        chosen = naive_triplets(table, labels, "hard")
        return [table[a][p] for a, p, _ in chosen], [table[a][n] for a, _, n in chosen]
    pairs = list(itertools.combinations(range(len(labels)), 2))
    same = [table[i][j] for i, j in pairs if labels[i] == labels[j]]
    return same, [table[i][j] for i, j in pairs if labels[i] != labels[j]]
