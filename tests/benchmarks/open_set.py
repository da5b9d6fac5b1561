"""Strangers and newcomers: the rate of strangers named, against the one asked for.

Run: python tests/benchmarks/open_set.py [--seeds 2] [digits] [faces] [omniglot] [names]

Faces and Omniglot need the data folder, and are skipped without it.

FPIR is the share of strangers that are named, FNIR the share of enrolled people that
are rejected or named wrongly. "Realized" is FPIR with the threshold that
`calibrate_threshold` finds on held-out rows of enrolled classes; FNIR at an FPIR is
measured with the threshold that gives strangers exactly that rate.

- digits: eight classes in training, five examples of a ninth enrolled, a tenth at the
  door; eight choices of the two. Raw: pixels with ten references of each class, chosen
  as by the classifier, and the five of the ninth.
- faces: of 40 people, 30 in training with five photographs each, which are enrolled;
  the other five ask, and so do the ten people left out; eight folds.
- omniglot: trained on small set 1. Of the alphabets that only small set 2 has, every
  character turned and mirrored is a class of its own: two thirds are enrolled with
  five drawings, one third are strangers.
- names: companies with misspellings, trained on 1,000 of them; galleries of 10 to
  10,000 others, and 3,000 strangers. Raw: TF-IDF cosine.

Intervals are 95 %, by resampling the classes of strangers.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from _common import data_folder
from sklearn.datasets import load_digits
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import train_test_split

from siamese_sklearn import SiamesePairClassifier
from siamese_sklearn._estimators.gallery import Gallery
from siamese_sklearn.distances import Cosine, Euclidean

Array = np.ndarray[Any, Any]
RATES = (0.01, 0.05)


@dataclass
class Door:
    """One gallery, and those who come.

    Attributes
    ----------
    named : float array of shape (2, n)
        Whether a stranger is named at each of `RATES`, as calibrated.
    strangers : array of shape (n,)
        Their classes.
    fnir : dict
        FNIR at each of `RATES` for "known" and "newcomers", of "ours" and "raw".
    right : dict
        Share named rightly without rejection, in the same form.
    """

    named: Array
    strangers: Array
    fnir: dict[tuple[str, str], list[float]]
    right: dict[tuple[str, str], float]


Scores = tuple[Array, Array]  # best class (n,) and its score (n,)


def figures(found: Scores, y: Array, of_strangers: Array) -> tuple[float, list[float]]:
    """Share named rightly, and FNIR at each rate."""
    names, score = found
    wrong = names != y
    limits = [np.quantile(of_strangers, 1 - rate) for rate in RATES]
    return float(np.mean(~wrong)), [
        float(np.mean(wrong | (score < limit))) for limit in limits
    ]


def classified(model: Any, X: Any) -> Scores:
    scores = model.decision_function(X)
    return model.classes_[scores.argmax(axis=1)], scores.max(axis=1)


def raw(references: Any, y: Array, distance: Any) -> Callable[[Any], Scores]:
    gallery = Gallery().extended(
        references, references, y, None, np.random.default_rng(0)
    )

    def found(X: Any) -> Scores:
        numbers, scores = gallery.nearest(X, distance)
        return gallery.classes[numbers], scores

    return found


def at_the_door(
    model: Any,
    by_raw: Callable[[Any], Scores],
    held: tuple[Any, Array],
    groups: dict[str, tuple[Any, Array]],
    strangers: tuple[Any, Array],
) -> Door:
    """Calibrate on rows held out, and count the errors of the groups."""
    X, y = strangers
    named, limits = [], []
    for rate in RATES:
        model.calibrate_threshold(*held, strategy="fpir", target=rate)
        limits.append(model.identification_threshold_)
    ours = classified(model, X)[1]
    named = np.array([ours >= limit for limit in limits], dtype=float)
    fnir, right = {}, {}
    for title, (rows, names) in groups.items():
        for kind, find in (("ours", lambda Q: classified(model, Q)), ("raw", by_raw)):
            of_strangers = find(X)[1]
            right[kind, title], fnir[kind, title] = figures(
                find(rows), names, of_strangers
            )
    return Door(named, y, fnir, right)


def digits(seed: int) -> Iterator[Door]:
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    for new in range(8):
        stranger = (new + 3) % 10
        known = ~np.isin(y, (new, stranger))
        A, B, ya, yb = train_test_split(
            X[known], y[known], stratify=y[known], random_state=seed
        )
        model = SiamesePairClassifier(random_state=seed).fit(A, ya)
        rows = np.random.default_rng(seed).permutation(np.flatnonzero(y == new))
        model.enroll(X[rows[:5]], new)
        gallery = Gallery().extended(A, A, ya, 10, np.random.default_rng(seed))
        gallery = gallery.extended(
            X[rows[:5]], X[rows[:5]], np.full(5, new), 10, np.random.default_rng(seed)
        )
        find = raw(gallery.rows, gallery.classes[gallery.labels], Euclidean())
        newcomers = X[rows[5:]], y[rows[5:]]
        groups = {"known": (B, yb), "newcomers": newcomers}
        at = y == stranger
        yield at_the_door(model, find, (B, yb), groups, (X[at], y[at]))


def faces(seed: int) -> Iterator[Door]:
    with np.load(data_folder() / "olivetti_faces.npz") as file:
        X, y = file["X"].astype(np.float32) / 255, file["y"]
    X = X.reshape(-1, 32, 2, 32, 2).mean(axis=(2, 4))
    photo = np.arange(len(y)) % 10  # ten of each person, in order
    for fold in range(8):
        out = (np.arange(10) + 5 * fold) % 40
        known = ~np.isin(y, out)
        trains = known & (photo < 5)
        asks = known & (photo >= 5)
        model = SiamesePairClassifier(random_state=seed, n_references=None)
        model.fit(X[trains], y[trains])
        # the hold-out of `fit` keeps no row from the gallery
        flat = X.reshape(len(X), -1)
        by_raw = raw(flat[trains], y[trains], Euclidean())
        rows, names, at = X[asks], y[asks], X[~known]
        yield at_the_door(
            model,
            lambda Q, find=by_raw: find(Q.reshape(len(Q), -1)),
            (rows, names),
            {"known": (rows, names)},
            (at, y[~known]),
        )


def omniglot(seed: int) -> Iterator[Door]:
    sets = []
    for name in ("omniglot_small1", "omniglot_small2"):
        with np.load(data_folder() / f"{name}.npz") as file:
            sets.append((file["X"].astype(np.float32) / 255, file["y"]))
    (A, ya), (N, yn) = sets
    shared = {name.split("/")[0] for name in ya.tolist()}
    is_new = np.array([name.split("/")[0] not in shared for name in yn.tolist()])
    N, yn = N[is_new], np.unique(yn[is_new], return_inverse=True)[1]
    turned = [np.rot90(N, k, axes=(1, 2)) for k in range(4)]
    views = turned + [view[:, :, ::-1] for view in turned]
    X = np.ascontiguousarray(np.concatenate(views))
    y = np.concatenate([yn + k * (yn.max() + 1) for k in range(8)])
    model = SiamesePairClassifier(random_state=seed).fit(A, ya)
    model.forget(model.classes_)
    classes = np.random.default_rng(seed).permutation(np.unique(y))
    enrolled = np.isin(y, classes[: 2 * len(classes) // 3])
    drawing = np.zeros(len(y), dtype=int)
    for name in classes:
        at = np.flatnonzero(y == name)
        drawing[np.random.default_rng(seed).permutation(at)] = np.arange(len(at))
    first = enrolled & (drawing < 5)
    held, asks = enrolled & (drawing == 5), enrolled & (drawing > 5) & (drawing < 10)
    model.enroll(X[first], y[first])
    flat = X.reshape(len(X), -1)
    by_raw = raw(flat[first], y[first], Cosine())
    at = ~enrolled & (drawing < 10)
    yield at_the_door(
        model,
        lambda Q: by_raw(Q.reshape(len(Q), -1)),
        (X[held], y[held]),
        {"newcomers": (X[asks], y[asks])},
        (X[at], y[at]),
    )


# fmt: off
PARTS = (
    "al", "an", "ar", "bel", "bor", "bra", "cal", "cen", "cor", "dal", "den", "dor",
    "el", "en", "fer", "fin", "gal", "gar", "hal", "hel", "in", "jor", "kal", "kor",
    "lan", "len", "lin", "mar", "mel", "mon", "nor", "nov", "or", "pal", "per", "pol",
    "quin", "ral", "ren", "ros", "sal", "sen", "sol", "tal", "ter", "tor", "ul", "val",
    "ven", "vor", "wal", "wen", "xan", "yor", "zan", "zel",
)
TRADES = (
    "Bank", "Chemicals", "Construction", "Consulting", "Data", "Energy", "Engineering",
    "Foods", "Furniture", "Glass", "Holdings", "Insurance", "Logistics", "Machines",
    "Media", "Metals", "Motors", "Paper", "Partners", "Pharma", "Print", "Robotics",
    "Services", "Shipping", "Software", "Steel", "Systems", "Textiles", "Tools",
)
FORMS = (
    "Ltd", "Limited", "GmbH", "AG", "Inc", "Corp", "SA", "SpA", "BV", "Oy", "AB", "&",
    "Co",
)
# fmt: on


def companies(n: int, rng: np.random.Generator) -> list[str]:
    """Make different names: one or two words of two to four syllables, and a trade."""
    names: set[str] = set()
    while len(names) < n:
        words = [
            "".join(rng.choice(PARTS, size=rng.integers(2, 5))).capitalize()
            for _ in range(rng.integers(1, 3))
        ]
        names.add(" ".join([*words, rng.choice(TRADES)]))
    return rng.permutation(sorted(names)).tolist()


def misspelled(name: str, rng: np.random.Generator) -> str:
    """Lose, double or swap one or two letters, and add a legal form to two in three."""
    letters = list(name)
    for _ in range(rng.integers(1, 3)):
        at = int(rng.integers(1, len(letters) - 1))
        change = rng.integers(3)
        if change == 0:
            del letters[at]
        elif change == 1:
            letters.insert(at, letters[at])
        else:
            letters[at - 1], letters[at] = letters[at], letters[at - 1]
    form = f" {rng.choice(FORMS)}" if rng.random() < 2 / 3 else ""
    return "".join(letters) + form


def names(seed: int, n_enrolled: int) -> Iterator[Door]:
    rng = np.random.default_rng(seed)
    every = companies(1000 + n_enrolled + 4000, rng)
    known, rest = every[:1000], every[1000:]
    enrolled, rest = rest[:n_enrolled], rest[n_enrolled:]
    strangers, others = rest[:3000], rest[3000:]
    grams = TfidfVectorizer(
        analyzer="char_wb", ngram_range=(2, 3), max_features=4096, dtype=np.float32
    )
    texts = [misspelled(name, rng) for name in known for _ in range(4)]
    X = grams.fit_transform(texts)
    model = SiamesePairClassifier(random_state=seed, purpose="new_classes")
    model.fit(X, np.repeat(np.arange(1000), 4)).forget(np.arange(1000))
    first = grams.transform(enrolled)
    model.enroll(first, np.arange(n_enrolled))
    asks = rng.permutation(n_enrolled)[:2000]
    queries = grams.transform([misspelled(enrolled[i], rng) for i in asks])
    held = grams.transform([misspelled(name, rng) for name in others])
    by_raw = raw(first.toarray(), np.arange(n_enrolled), Cosine())
    yield at_the_door(
        model,
        lambda Q: by_raw(Q.toarray()),
        (held, np.arange(10**6, 10**6 + len(others))),
        {"newcomers": (queries, asks)},
        (
            grams.transform([misspelled(name, rng) for name in strangers]),
            np.arange(len(strangers)),
        ),
    )


def interval(doors: list[Door], k: int) -> tuple[float, float, float]:
    """Mean FPIR at a rate, and its interval by resampling classes of strangers."""
    means = np.concatenate(
        [
            [
                door.named[k][door.strangers == name].mean()
                for name in np.unique(door.strangers)
            ]
            for door in doors
        ]
    )
    draws = np.random.default_rng(0).choice(means, (2000, len(means))).mean(axis=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(means.mean()), float(low), float(high)


TASKS: dict[str, dict[str, Callable[[int], Iterator[Door]]]] = {
    "digits": {"digits": digits},
    "faces": {"faces": faces},
    "omniglot": {"omniglot": omniglot},
    "names": {
        f"names, {n}": lambda seed, n=n: names(seed, n) for n in (10, 100, 1000, 10_000)
    },
}


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--seeds", type=int, default=2)
    ask.add_argument("names", nargs="*", default=list(TASKS))
    given = ask.parse_args()
    print(
        "| data | realized at 1 % | at 5 % | group | named rightly, ours (raw) "
        "| FNIR at 1 % | at 5 % |\n" + "|---" * 7 + "|"
    )
    for task in given.names:
        for title, make in TASKS[task].items():
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    doors = [d for seed in range(given.seeds) for d in make(seed)]
            except FileNotFoundError as error:
                print(f"{title} is skipped: {error}")
                continue
            realized = [
                "{:.1%} ({:.1%} to {:.1%})".format(*interval(doors, k)) for k in (0, 1)
            ]
            for group in sorted({name for _, name in doors[0].fnir}):
                mean = {
                    kind: (
                        np.mean([door.right[kind, group] for door in doors]),
                        *np.mean([door.fnir[kind, group] for door in doors], axis=0),
                    )
                    for kind in ("ours", "raw")
                }
                cells = [
                    f"{ours:.3f} ({theirs:.3f})"
                    for ours, theirs in zip(mean["ours"], mean["raw"], strict=True)
                ]
                line = " | ".join([title, *realized, group, *cells])
                print(f"| {line} |", flush=True)
                title, realized = "", ["", ""]


if __name__ == "__main__":
    main()
