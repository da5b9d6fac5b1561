"""Losses on all positives and negatives of an anchor."""

import math

from oracles._naive import mean, naive_cosine, naive_dot, naive_groups, naive_table


def log1p_sum_exp(exponents):
    return math.log1p(math.fsum(map(math.exp, exponents)))


def of_anchors(anchor_loss, similarity):
    """Oracle from a formula on the similarities of an anchor, which gives the terms of
    its loss.
    """

    def of_labels(embeddings, labels, weights, **params):
        table = [
            [similarity(a, b) for b in embeddings.tolist()] for a in embeddings.tolist()
        ]
        terms = []
        for a, same, different in naive_groups(labels):
            terms += anchor_loss(
                [table[a][p] for p in same], [table[a][n] for n in different], **params
            )
        return mean(terms), len(terms)

    return {"labels": of_labels}


def circle(same, different, *, margin, gamma=80.0):
    if not same or not different:
        return []
    positive = math.fsum(
        math.exp(-gamma * max(1 + margin - s, 0.0) * (s - (1 - margin))) for s in same
    )
    negative = math.fsum(
        math.exp(gamma * max(s + margin, 0.0) * (s - margin)) for s in different
    )
    return [math.log1p(positive * negative)]


def lifted_labels(embeddings, labels, weights, *, distance, margin):
    table = naive_table(embeddings, embeddings, distance)
    values = []
    for a, same, different in naive_groups(labels):
        if same and different:
            near = math.log(math.fsum(math.exp(table[a][p]) for p in same))
            far = math.log(math.fsum(math.exp(margin - table[a][n]) for n in different))
            values += [near + far] if near + far > 0 else []
    return mean(values), len(values)


def multi_similarity(
    same, different, *, mining, alpha=2.0, beta=50.0, base=0.5, epsilon=0.1
):
    if mining == "multi_similarity":
        kept_same = [s for s in same if different and s < max(different) + epsilon]
        kept_different = [s for s in different if same and s > min(same) - epsilon]
        same, different = kept_same, kept_different
    if not same and not different:
        return []
    pull = log1p_sum_exp(-alpha * (s - base) for s in same) / alpha
    return [pull + log1p_sum_exp(beta * (s - base) for s in different) / beta]


def n_pairs(same, different, *, temperature):
    if not different:
        return []
    return [log1p_sum_exp((d - s) / temperature for d in different) for s in same]


def supcon(same, different, *, temperature):
    if not same:
        return []
    total = math.fsum(math.exp(s / temperature) for s in (*same, *different))
    return [mean([-math.log(math.exp(s / temperature) / total) for s in same])]


ORACLES = {
    "circle": (
        of_anchors(circle, naive_cosine),
        [{"margin": 0.4}, {"margin": 0.25, "gamma": 10.0}],
    ),
    "lifted": ({"labels": lifted_labels}, [{"margin": 1.0}, {"margin": 0.0}]),
    "multi_similarity": (
        of_anchors(multi_similarity, naive_cosine),
        [{"alpha": 2.0}, {"alpha": 3.0, "beta": 20.0, "base": 0.3, "epsilon": 0.0}],
    ),
    "n_pairs": (
        of_anchors(n_pairs, naive_dot),
        [{"temperature": 1.0}, {"temperature": 0.2}],
    ),
    "supcon": (
        of_anchors(supcon, naive_cosine),
        [{"temperature": 0.1}, {"temperature": 0.7}],
    ),
}
