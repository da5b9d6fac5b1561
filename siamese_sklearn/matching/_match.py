"""Pairs of rows that are the same: across two tables, or within one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from siamese_sklearn._checks import check_boolean, check_integer, check_number
from siamese_sklearn._estimators import SiameseBase, SiamesePairClassifier
from siamese_sklearn._typing import DoubleArray, IntArray
from siamese_sklearn.matching._assignment import assign
from siamese_sklearn.matching._tables import (
    Table,
    check_model,
    nearest,
    pair_scores,
    read,
)
from siamese_sklearn.search._resolve import SearchLike, check_search

__all__ = ["check_threshold", "deduplicate", "match", "pairs_within"]


def match(
    model: Any,
    A: Any,
    B: Any,
    *,
    k: int = 20,
    threshold: float | None = None,
    precision: float | None = None,
    prior: float | None = None,
    one_to_one: bool = False,
    search: SearchLike = "exact",
) -> pd.DataFrame:
    """Find the pairs of a row of `A` and a row of `B` that are the same.

    A search finds the `k` rows of `B` that are most similar to each row of `A`, and the
    best of these candidates are kept.

    Parameters
    ----------
    model : SiamesePairClassifier, SiameseEmbedder, or Pipeline that ends in one
        Fitted. A `SiameseEmbedder` needs `threshold`, and gives no probabilities.
    A : array-like, data frame, series or sparse matrix of n rows
        As the model takes them on the left side of `Pairs`.
    B : the same, of m rows
        As the model takes them on the right side.
    k : int, default=20
        Candidates for each row of `A`; at most all rows of `B` are taken. A row of `A`
        cannot have more matches than that.
    threshold : float, default=None
        The lowest `pair_score` to keep. None means ``threshold_`` of the model.
    precision : float, default=None
        Keep as many candidates as possible while the mean of their probabilities, which
        is the share of right ones to expect, is at least this. It takes the place of
        `threshold`, and it depends on `prior`.
    prior : float, default=None
        The share of matches among all n * m pairs, as far as known; for two lists of
        the same people, 1 / n. None means the share among the pairs that the model's
        probability was fitted on, see Notes.
    one_to_one : bool, default=False
        Keep each row of either table in one pair at most: of the candidates that reach
        the threshold, those with the highest sum of ``score - threshold``.
    search : {"exact", "approximate"} or object, default="exact"
        How candidates are found, as in `SiamesePairClassifier`. "exact" compares each
        row with all others, which takes long from about 100,000 rows on.

    Returns
    -------
    pandas.DataFrame
        One row per pair, the highest score first. "left" and "right" hold the index of
        a pandas data frame or series, and otherwise positions; "score" is the model's
        `pair_score`, and "probability" that of "same" (NaN for a `SiameseEmbedder`).

    Raises
    ------
    ValueError, TypeError
        If a parameter or a table is invalid, or if an index has duplicates.

    See Also
    --------
    deduplicate : The same within one table.
    entities : Groups of rows that are connected by matches.

    Notes
    -----
    A probability depends on how many pairs are the same to begin with. A classifier
    that was fitted on rows has seen one half, and one that was fitted on judged
    candidates perhaps a tenth; among all pairs of two tables of a million rows, it is
    one in a million. With the wrong prior, nearly all pairs look certain. `prior` adds
    the difference of the two log odds to that of each probability (Saerens et al.
    2002). This assumes that the different pairs of training are like those of the
    tables. If they were chosen because they are hard to tell apart (by blocking), the
    prior is the share of matches among pairs chosen in the same way.

    The probability is a logistic curve that `fit` fits to a few hundred or thousand
    pairs. They say little about odds of one in a million, so with a small prior the
    best of pairs can have a low probability, and `precision` keeps none. To set the
    threshold for such tables, match tables whose truth is known with a low `threshold`,
    and choose one from their scores with
    `siamese_sklearn.calibration.choose_threshold`.

    References
    ----------
    Fellegi & Sunter, "A Theory for Record Linkage", Journal of the American Statistical
    Association 64, 1969.

    Saerens, Latinne & Decaestecker, "Adjusting the Outputs of a Classifier to New a
    Priori Probabilities: A Simple Procedure", Neural Computation 14(1), 2002.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from siamese_sklearn import SiamesePairClassifier
    >>> from siamese_sklearn.matching import match
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> clf = SiamesePairClassifier(max_epochs=5, random_state=0).fit(X, y)
    >>> found = match(clf, X[:3], X[:50] + 0.01, k=5, one_to_one=True)
    >>> found[["left", "right"]].sort_values("left").to_numpy().tolist()
    [[0, 0], [1, 1], [2, 2]]
    """
    estimator = check_model(model)
    rule = _Rule.checked(estimator, threshold, precision, prior)
    k = check_integer("k", k, low=1)
    check_boolean("one_to_one", one_to_one)
    check_search("search", search)
    left, right = read(model, A, "A", (0,)), read(model, B, "B", (1,))
    row, column, score = _pairs_across(
        estimator, left.left, right.right, k, search, rule.threshold
    )
    kept, at = rule.kept(score)
    if one_to_one:
        kept = kept[assign(row[kept], column[kept], score[kept] - at)]
    return rule.frame(
        left.ids[row[kept]], right.ids[column[kept]], score[kept], row[kept]
    )


def deduplicate(
    model: Any,
    A: Any,
    *,
    k: int = 20,
    threshold: float | None = None,
    precision: float | None = None,
    prior: float | None = None,
    search: SearchLike = "exact",
) -> pd.DataFrame:
    """Find the pairs of rows of one table that are the same.

    Parameters
    ----------
    model : SiamesePairClassifier, SiameseEmbedder, or Pipeline that ends in one
        As in `match`.
    A : array-like, data frame, series or sparse matrix of n rows
    k : int, default=20
        Candidates for each row: the `k` other rows that are most similar to it.
    threshold, precision
        As in `match`.
    prior : float, default=None
        The share of matches among all n * (n - 1) / 2 pairs. Otherwise as in `match`.
    search : {"exact", "approximate"} or object, default="exact"
        As in `match`.

    Returns
    -------
    pandas.DataFrame
        As from `match`. Each pair occurs once, with the row that comes first in `A` on
        the left.

    Raises
    ------
    ValueError, TypeError
        If a parameter or the table is invalid, or if the sides of the model differ.

    See Also
    --------
    entities : Groups of rows that are connected by matches.
    join : Add rows to these groups later.

    Examples
    --------
    >>> import numpy as np
    >>> from siamese_sklearn import SiamesePairClassifier
    >>> from siamese_sklearn.matching import deduplicate, entities
    >>> X = np.float32([[0, 1], [0, 2], [1, 4], [4, 0], [5, 0], [7, 1]])
    >>> y = ["a", "a", "a", "b", "b", "b"]
    >>> clf = SiamesePairClassifier(max_epochs=20, random_state=0).fit(X, y)
    >>> pairs = deduplicate(clf, X)
    >>> entities(pairs, n=len(X)).tolist()
    [0, 0, 0, 1, 1, 1]
    """
    estimator = check_model(model)
    rule = _Rule.checked(estimator, threshold, precision, prior)
    k = check_integer("k", k, low=1)
    check_search("search", search)
    table = read(model, A, "A", (0, 1))
    row, column, score = pairs_within(estimator, table, k, search, rule.threshold)
    kept, _ = rule.kept(score)
    return rule.frame(
        table.ids[row[kept]], table.ids[column[kept]], score[kept], row[kept]
    )


def _pairs_across(
    estimator: SiameseBase,
    left: Any,
    right: Any,
    k: int,
    search: SearchLike,
    lowest: float,
) -> tuple[IntArray, IntArray, DoubleArray]:
    """Candidates of each row of `left` whose score is at least `lowest`.

    Returns
    -------
    row, column, score : array of shape (n_pairs,)
        In ascending order of `row`.
    """
    pairs = []
    for part, found in nearest(estimator, left, right, k, search):
        row = np.repeat(np.arange(part.start, part.start + len(found)), found.shape[1])
        pairs.append(_scored(estimator, left, right, row, found.ravel(), lowest))
    row, column, score = (np.concatenate(each) for each in zip(*pairs, strict=True))
    return row, column, score


def pairs_within(
    estimator: SiameseBase,
    table: Table,
    k: int,
    search: SearchLike,
    lowest: float,
    first: int = 0,
) -> tuple[IntArray, IntArray, DoubleArray]:
    """Pairs of rows and the `k` other rows most similar to them, each pair once.

    Parameters
    ----------
    estimator : estimator
    table : Table
    k, search
        As in `deduplicate`.
    lowest : float
        The lowest score of a pair.
    first : int, default=0
        The first row whose candidates are searched, among all rows.

    Returns
    -------
    row, column, score : array of shape (n_pairs,)
        ``row < column``, in ascending order.
    """
    left, right = table.left, table.right
    pairs = []
    for part, found in nearest(estimator, left[first:], right, k + 1, search):
        query = first + np.arange(part.start, part.start + len(found))[:, None]
        # among equal rows, a row need not be found first, or at all
        is_other = found != query
        is_candidate = is_other & (np.cumsum(is_other, axis=1) <= k)
        ends = np.stack(np.broadcast_arrays(query, found), axis=-1)[is_candidate]
        row, column = np.sort(ends, axis=1).T
        pairs.append(_scored(estimator, left, right, row, column, lowest))
    row, column, score = (np.concatenate(each) for each in zip(*pairs, strict=True))
    once = np.unique(row * len(table) + column, return_index=True)[1]
    return row[once], column[once], score[once]


def _scored(
    estimator: SiameseBase,
    left: Any,
    right: Any,
    row: IntArray,
    column: IntArray,
    lowest: float,
) -> tuple[IntArray, IntArray, DoubleArray]:
    score = pair_scores(estimator, left, right, row, column)
    kept = score >= lowest
    return row[kept], column[kept], score[kept]


def check_threshold(estimator: SiameseBase, threshold: float | None) -> float:
    """Return the threshold given, or that of the classifier."""
    if threshold is not None:
        return check_number("threshold", threshold, also=" or None")
    if not isinstance(estimator, SiamesePairClassifier):
        raise ValueError(
            f"`threshold` must be given for a {type(estimator).__name__}, which has "
            "none of its own: the lowest `pair_score` of a match. A "
            "SiamesePairClassifier learns it."
        )
    return estimator.threshold_


@dataclass(frozen=True)
class _Rule:
    """Which scores to keep, and their probabilities.

    Attributes
    ----------
    estimator : estimator
    threshold : float
        The lowest score to keep; minus infinity if `precision` decides.
    precision, prior : float or None
        As in `match`.
    """

    estimator: SiameseBase
    threshold: float
    precision: float | None
    prior: float | None

    @classmethod
    def checked(
        cls,
        estimator: SiameseBase,
        threshold: float | None,
        precision: float | None,
        prior: float | None,
    ) -> _Rule:
        for name, value in (("precision", precision), ("prior", prior)):
            if value is None:
                continue
            check_number(name, value, low=0, high=1, low_open=True, high_open=True)
            if not isinstance(estimator, SiamesePairClassifier):
                raise ValueError(
                    f"`{name}` must be None for a {type(estimator).__name__}, which "
                    "has no probabilities; use a SiamesePairClassifier."
                )
        if precision is None:
            return cls(estimator, check_threshold(estimator, threshold), None, prior)
        if threshold is not None:
            raise ValueError(
                "`threshold` and `precision` both decide what to keep; give one of "
                f"them. Got {threshold!r} and {precision!r}."
            )
        return cls(estimator, -np.inf, precision, prior)

    def probability(self, score: DoubleArray) -> DoubleArray:
        """Probability of "same", (n,); NaN if the model has none."""
        if not isinstance(self.estimator, SiamesePairClassifier):
            return np.full(len(score), np.nan)
        log_odds = self.estimator._threshold.logit(score, self.prior)
        return np.asarray(expit(log_odds), dtype=np.float64)

    def kept(self, score: DoubleArray) -> tuple[IntArray, float]:
        """Numbers of the scores to keep, in ascending order, and the lowest of them."""
        threshold = self.threshold
        if self.precision is not None and len(score):
            values, counts = np.unique(score, return_counts=True)
            value, count = values[::-1], counts[::-1]
            expected = np.cumsum(count * self.probability(value))  # right ones
            share = expected / np.cumsum(count)  # falls with the score
            n_kept = int(np.count_nonzero(share >= self.precision))
            threshold = float(value[n_kept - 1]) if n_kept else np.inf
        return np.flatnonzero(score >= threshold), threshold

    def frame(
        self,
        left: pd.Index[Any],
        right: pd.Index[Any],
        score: DoubleArray,
        row: IntArray,
    ) -> pd.DataFrame:
        """Make a data frame, the highest score first, then in order of `row`."""
        order = np.lexsort([row, -score])
        return pd.DataFrame(
            {
                "left": left[order],
                "right": right[order],
                "score": score[order],
                "probability": self.probability(score[order]),
            }
        )
