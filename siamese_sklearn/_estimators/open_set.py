"""The threshold at which a classifier names a row, and how it is found."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

from siamese_sklearn._checks import check_number
from siamese_sklearn._estimators.class_folds import ClassFold
from siamese_sklearn._estimators.draft import draft_of, snapshot_of
from siamese_sklearn._estimators.gallery import Gallery
from siamese_sklearn._estimators.searched import SearchesGallery
from siamese_sklearn._estimators.strangers import (
    LeftOut,
    StrangerSearches,
    check_strangers,
    draw_searches,
    search_left_out,
)
from siamese_sklearn._estimators.threshold_report import ThresholdReport, rate_of
from siamese_sklearn._net import make_scorer, threads
from siamese_sklearn._typing import Array, FloatArray, IntArray
from siamese_sklearn._validation import check_names, check_rows
from siamese_sklearn.calibration import allowed_rate, warn_beyond_data
from siamese_sklearn.distances import Distance
from siamese_sklearn.pairs._containers import Sides

__all__ = ["KeepsStrangersOut"]

_TARGET_OF_FIT = 0.01  # false-positive identification rate
_MOST_IN_FIT, _MOST_TO_CALIBRATE = 1000, 5000  # searches of strangers


@dataclass(eq=False, repr=False, kw_only=True)
class KeepsStrangersOut(SearchesGallery):
    """Part of a classifier that finds the threshold of identification."""

    if TYPE_CHECKING:
        n_threads: int | None
        n_references: int | None
        classes_: Array
        input_weight_: float
        _split_seed: int

    _gallery = Gallery()
    # A value that was set, or that was found by searches of strangers; None until it is
    # asked for, as a large gallery takes long to search. If there is nothing to search
    # for, it is that for pairs.
    _identification: float | None = field(default=None, init=False)
    _strangers: StrangerSearches | None = field(default=None, init=False)
    _left_out: LeftOut | None = field(default=None, init=False)
    _report: ThresholdReport | None = field(default=None, init=False)
    _has_rows: bool = field(default=False, init=False)  # was fitted on rows

    @property
    def identification_threshold_(self) -> float:
        """A row is named if its best score is at least this value."""
        check_is_fitted(self)
        view = snapshot_of(self)
        if view._identification is None:
            view._identification = view._find_threshold()
        value = view._identification
        return view._threshold.value if value is None else value

    @property
    def threshold_report_(self) -> ThresholdReport:
        """What the threshold that was chosen last has reached."""
        check_is_fitted(self)
        if self._report is None:
            raise AttributeError(
                "There is no `threshold_report_` of a threshold that was set by hand; "
                "call calibrate_threshold."
            )
        return self._report

    def _enrolled(self) -> Gallery:
        check_is_fitted(self)
        self._gallery.check_enrolled()  # before any row is embedded
        return self._gallery

    def _calibrate_identification(
        self,
        X: Any,
        y: npt.ArrayLike,
        target: float | None,
        strangers: Any,
        confidence: float | None,
    ) -> Self:
        gallery = self._enrolled()
        if target is None:
            raise ValueError(
                "`target` must be given for strategy 'fpir': the highest rate of "
                "strangers named, above 0 and below 1."
            )
        target = check_number(
            "target", target, low=0, high=1, low_open=True, high_open=True
        )
        rows, names = self._searched_for(X, y, strangers, gallery)
        rng = np.random.default_rng(self._split_seed)
        with threads(self.n_threads):
            codes = partial(make_scorer(self.net_).codes, side=0)
            given = rows, names, target, _MOST_TO_CALIBRATE, codes, rng
            searches = self._shifted(draw_searches(*given), gallery)
            if confidence is not None:
                of_others = self._best_of_others(searches, gallery)
                what = "searches of strangers"
                allowed = allowed_rate(*of_others, target, confidence, what)
                searches = self._shifted(replace(searches, target=allowed), gallery)
        if confidence is None:
            n = searches.n_of_others(gallery)
            warn_beyond_data(target, n, "searches of strangers")
        with draft_of(self) as draft:
            draft._keep(gallery, searches)
            draft._report = draft._report_of(searches, target, confidence)
        return self

    def _searched_for(
        self, X: Any, y: npt.ArrayLike, strangers: Any, gallery: Gallery
    ) -> tuple[Any, Array]:
        """Rows to search for and their classes, which are None for strangers."""
        if strangers is not None:
            rows = check_rows(self, strangers, reset=False)
            return rows, np.full(rows.shape[0], None, dtype=object)
        if isinstance(X, Sides):
            raise TypeError(
                "`X` must be rows for strategy 'fpir', which searches for each of "
                f"them in the gallery; got {type(X).__name__}."
            )
        rows = check_rows(self, X, reset=False)
        return rows, check_strangers(check_names(y, rows), gallery)

    def _best_of_others(
        self, searches: StrangerSearches, gallery: Gallery
    ) -> tuple[FloatArray, IntArray | None]:
        """Scores of the searches of strangers, and their classes if these are known."""
        best = searches.best_scores(gallery, *self._searched_by)
        is_stranger = best > -np.inf
        names = searches.names[is_stranger]
        if any(name is None for name in names.tolist()):
            return best[is_stranger], None
        return best[is_stranger], np.unique(names.astype(str), return_inverse=True)[1]

    def _report_of(
        self, searches: StrangerSearches, target: float, confidence: float | None
    ) -> ThresholdReport:
        gallery, threshold = self._gallery, self.identification_threshold_
        best, classes = self._best_of_others(searches, gallery)
        rates = [rate_of("FPIR", best >= threshold, best, classes)]
        key = {name: i for i, name in enumerate(gallery.classes.tolist())}
        own = np.array([key.get(name, -1) for name in searches.names.tolist()])
        enrolled = own >= 0
        if enrolled.any():
            codes = searches.codes[enrolled]
            found, score = gallery.nearest(codes, *self._searched_by)
            right = np.where(found == own[enrolled], score, -np.inf)
            rates.append(rate_of("FNIR", right < threshold, -right, own[enrolled]))
        return ThresholdReport("fpir", threshold, target, confidence, tuple(rates))

    def _shifted(self, searches: StrangerSearches, gallery: Gallery) -> Any:
        if self._left_out is None:
            return searches
        return searches.shifted(gallery, *self._searched_by, self._left_out)

    def _find_threshold(self) -> float | None:
        if self._strangers is None or not len(self._gallery):
            return None
        with threads(self.n_threads):
            return self._strangers.threshold(self._gallery, *self._searched_by)

    def _keep(self, gallery: Gallery, searches: StrangerSearches | None) -> None:
        """Store a gallery, and the searches that find the threshold for it."""
        if searches is not None:
            # if no stranger is left to find it by, the last one stays
            stays = self._strangers is not None and not searches.n_of_others(gallery)
            self._identification = self.identification_threshold_ if stays else None
            searches = searches.named_by(gallery.classes)
        if self._left_out is not None:
            self._left_out = self._left_out.named_by(gallery.classes)
        self._gallery, self._strangers = gallery, searches
        has_only_pairs = len(gallery) == 0 and not self._has_rows
        self.classes_ = np.array([0, 1]) if has_only_pairs else gallery.classes

    def _searches_of_fit(
        self,
        rows: Any,
        names: Array,
        trained: Array,
        folds: list[ClassFold],
        target: IntArray,
        rng: np.random.Generator,
    ) -> StrangerSearches:
        """Draw searches of strangers from held-out rows, and search those left out.

        Parameters
        ----------
        rows, names
            Held out, and their classes.
        trained : array
            The classes that the network was trained on.
        folds : list of ClassFold
        target : array of int
            The classes of all rows, as integers.
        rng : numpy.random.Generator
        """
        scorer = make_scorer(self.net_)
        if folds and isinstance(scorer.searched_by, Distance):
            kept = self.input_weight_, self.n_references
            by = self._searched_by
            self._left_out = search_left_out(folds, target, trained, *kept, *by, rng)
        encode = partial(scorer.codes, side=0)
        return draw_searches(rows, names, _TARGET_OF_FIT, _MOST_IN_FIT, encode, rng)
