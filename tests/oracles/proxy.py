"""Losses with one learned vector per class."""

import math

from oracles._naive import mean, naive_cosine, naive_distance


def proxy_anchor(embeddings, labels, weights, *, margin=0.1, alpha=32.0):
    pull, push = [], []
    for number, proxy in enumerate(weights["proxies"].tolist()):
        cosines = [naive_cosine(z, proxy) for z in embeddings.tolist()]
        own = [c for c, label in zip(cosines, labels, strict=True) if label == number]
        others = [
            c for c, label in zip(cosines, labels, strict=True) if label != number
        ]
        if own:
            pull.append(
                math.log1p(math.fsum(math.exp(-alpha * (c - margin)) for c in own))
            )
        push.append(
            math.log1p(math.fsum(math.exp(alpha * (c + margin)) for c in others))
        )
    return mean(pull) + mean(push), len(labels)


def of_logits(logits_of):
    """Oracle from the logits of one row with a label: the mean of -log of the softmax
    at the label.
    """

    def of_labels(embeddings, labels, weights, **params):
        values = []
        for z, label in zip(embeddings.tolist(), labels, strict=True):
            logits = logits_of(z, label, weights["proxies"].tolist(), **params)
            chance = math.exp(logits[label]) / math.fsum(map(math.exp, logits))
            values.append(-math.log(chance))
        return mean(values), len(values)

    return {"labels": of_labels}


def unit(row):
    return [x / math.hypot(*row) for x in row]


def proxy_nca(z, label, proxies, *, temperature=1 / 9):
    return [
        -naive_distance(unit(z), unit(p), "sqeuclidean") / temperature for p in proxies
    ]


def normalized_softmax(z, label, proxies, *, temperature=0.05):
    return [naive_cosine(z, p) / temperature for p in proxies]


def arcface(z, label, proxies, *, margin=0.5, scale=16.0):
    logits = [scale * naive_cosine(z, p) for p in proxies]
    angle = math.acos(naive_cosine(z, proxies[label]))
    beyond = angle + margin >= math.pi
    logits[label] = scale * (
        math.cos(angle) - margin * math.sin(margin)
        if beyond
        else math.cos(angle + margin)
    )
    return logits


def cosface(z, label, proxies, *, margin=0.35, scale=16.0):
    logits = [scale * naive_cosine(z, p) for p in proxies]
    logits[label] -= scale * margin
    return logits


ORACLES = {
    "arcface": (
        of_logits(arcface),
        [{"margin": 0.5, "scale": 16.0}, {"margin": 1.4, "scale": 3.0}],
    ),
    "cosface": (
        of_logits(cosface),
        [{"margin": 0.35, "scale": 16.0}, {"margin": 0.1, "scale": 3.0}],
    ),
    "normalized_softmax": (
        of_logits(normalized_softmax),
        [{"temperature": 0.05}, {"temperature": 0.7}],
    ),
    "proxy_anchor": (
        {"labels": proxy_anchor},
        [{"margin": 0.1, "alpha": 32.0}, {"margin": 0.3, "alpha": 4.0}],
    ),
    "proxy_nca": (of_logits(proxy_nca), [{"temperature": 1 / 9}, {"temperature": 0.7}]),
}
