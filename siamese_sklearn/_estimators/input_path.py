"""What an embedding keeps of its input, so that it tells apart classes never seen.

Training makes the known classes compact and discards the directions that do not tell
these apart (neural collapse; Papyan, Han & Donoho 2020), so rows of other classes fall
onto them. A fixed linear map of the input keeps all directions; it only damps those in
which rows of one class vary, and which other classes mostly share.

How the input is scaled, how much the map damps, and how much it weighs beside the
network depends on the data. All three are chosen by leaving out classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA

from siamese_sklearn._estimators.class_folds import ClassFold, class_folds, some_rows
from siamese_sklearn._estimators.training_data import TrainingData
from siamese_sklearn._grouping import group_by_class
from siamese_sklearn._typing import DoubleArray, IntArray
from siamese_sklearn.metrics import map_at_r
from siamese_sklearn.towers import InputPath

__all__ = [
    "InputScale",
    "choose_scale",
    "choose_weight",
    "learn_input_path",
]

_RATIOS = (0.25, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0)  # network : input
_USUAL_RATIO = 0.5
_PER_SQUARED_OCTAVE = 0.004  # relative MAP@R that a ratio farther from it has to gain

_SHRINKAGES = (math.inf, 3.0, 1.0, 0.3, 0.1)
_PER_PLACE = 0.005  # relative MAP@R that each further place has to gain

_FOLDS = 16  # of classes, to choose the scale
_MAX_ROWS = 5000  # that the map is learned from
_MAX_NUMBERS = 2**26  # in these rows: 0.5 GB
_MAX_DIRECTIONS = 128  # principal components that the map is learned in
_MAX_LEFT_OUT = 300  # rows of the classes left out
_TINY = 1e-6  # so that MAP@R has a logarithm


@dataclass(frozen=True)
class _Scaled:
    """Rows scaled and reduced to their principal components."""

    mean: DoubleArray  # (d,)
    to_directions: DoubleArray  # (d, m)
    rows: DoubleArray  # (n, m)


@dataclass(frozen=True)
class InputScale:
    """How the input is scaled before it is mapped.

    Attributes
    ----------
    alike : bool
        Scale all features by one factor, or each to unit variance.
    shrinkage : float
        The larger, the less the map damps the scatter within classes; infinite for not
        at all.
    """

    alike: bool
    shrinkage: float


def choose_scale(
    data: TrainingData, index: IntArray, width: int, rng: np.random.Generator
) -> InputScale:
    """Choose the scale with the best MAP@R on classes left out.

    Parameters
    ----------
    data : TrainingData
        Rows and their classes.
    index : array of int
        The rows to use.
    width : int
        Number of components of the path, at least 2.
    rng : numpy.random.Generator

    Returns
    -------
    InputScale
    """
    rows, labels = _flat_rows(data, index, rng)
    folds = class_folds(labels, _FOLDS, rng)
    if not folds:  # a table may mix units, an image does not
        return InputScale(data.sides[0].ndim > 2, 1.0)
    merits = np.array(  # (2, n_shrinkages)
        [
            _merits(_scaled(rows, alike), labels, width, folds, rng)
            for alike in (True, False)
        ]
    )
    alike = bool(merits[0].mean() >= merits[1].mean())
    penalty = _PER_PLACE * np.arange(len(_SHRINKAGES))
    place = int((merits[0 if alike else 1] - penalty).argmax())
    return InputScale(alike, _SHRINKAGES[place])


def learn_input_path(
    data: TrainingData,
    index: IntArray,
    width: int,
    scale: InputScale,
    rng: np.random.Generator,
) -> InputPath:
    """Learn the map of the input.

    With W the scatter within classes and w its mean eigenvalue, rows are mapped by
    (W + shrinkage w I)^(-1/2), and projected on the leading principal components of
    the result.

    Parameters
    ----------
    data, index, width, rng
        As in `choose_scale`.
    scale : InputScale

    Returns
    -------
    InputPath

    References
    ----------
    Bar-Hillel, Hertz, Shental & Weinshall, "Learning a Mahalanobis Metric from
    Equivalence Constraints", JMLR 6, 2005.

    Hatch, Kajarekar & Stolcke, "Within-Class Covariance Normalization for SVM-based
    Speaker Recognition", Interspeech 2006.
    """
    rows, labels = _flat_rows(data, index, rng)
    scaled = _scaled(rows, scale.alike)
    scatter = _scatter_within(scaled.rows, labels)
    whitening = _whitening(scatter, scale.shrinkage)
    projection, constant = _leading(whitening, scaled.rows, width - 1)
    return InputPath(
        torch.from_numpy(scaled.mean.astype(np.float32)),
        torch.from_numpy((scaled.to_directions @ projection).astype(np.float32)),
        constant,
    )


def choose_weight(target: IntArray, folds: list[ClassFold]) -> float:
    """Choose the weight of the input with the best MAP@R on classes left out.

    Parameters
    ----------
    target : array of shape (n,)
        Classes as integers from 0.
    folds : list of ClassFold

    Returns
    -------
    float
        Share of the squared distances that comes from the input; one half if no class
        was left out.
    """
    if not folds:
        return 0.5
    weights = 1 / (1 + np.square(_RATIOS))
    found = [
        [map_at_r(fold.weighted(weight)[1], target[fold.out]) for weight in weights]
        for fold in folds
    ]
    octaves = np.log2(np.array(_RATIOS) / _USUAL_RATIO)
    merit = np.log(np.maximum(found, _TINY)).mean(axis=0)
    return float(weights[(merit - _PER_SQUARED_OCTAVE * octaves**2).argmax()])


def _flat_rows(
    data: TrainingData, index: IntArray, rng: np.random.Generator
) -> tuple[DoubleArray, IntArray]:
    """Take some flat rows (m, d), and their classes as integers from 0."""
    (X,) = data.sides
    room = min(_MAX_ROWS, max(_MAX_NUMBERS // max(X[:1].size, 1), 2))
    chosen = some_rows(data.target, index, room, rng)
    rows = np.asarray(X[chosen], dtype=np.float64).reshape(len(chosen), -1)
    return rows, np.unique(data.target[chosen], return_inverse=True)[1]


def _scaled(rows: DoubleArray, alike: bool) -> _Scaled:
    """Scale rows, and reduce them to their principal components."""
    mean, spread = rows.mean(axis=0), rows.std(axis=0)
    common = math.sqrt(np.square(spread).mean()) or 1.0
    # what rounding to float32 leaves of a constant feature is not spread
    is_constant = spread <= 1e-6 * np.abs(mean) + np.finfo(np.float32).tiny
    scale = np.where(is_constant | alike, common, spread)
    centered = (rows - mean) / scale
    n_directions = min(_MAX_DIRECTIONS, *rows.shape)
    with np.errstate(invalid="ignore"):  # of the variance explained, if there is none
        pca = PCA(n_directions, random_state=0).fit(centered)
    directions = pca.components_.T  # (d, m)
    return _Scaled(mean, directions / scale[:, None], centered @ directions)


def _scatter_within(
    rows: DoubleArray, labels: IntArray
) -> tuple[DoubleArray, DoubleArray]:
    """Eigenvalues of the scatter within classes over their mean (m,), and vectors."""
    count = np.bincount(labels)
    order, start, _ = group_by_class(labels)
    sums = np.add.reduceat(rows[order], start, axis=0)
    within = rows - sums[labels] / count[labels, None]
    variance, vectors = np.linalg.eigh(within.T @ within)
    variance = np.maximum(variance, 0.0)
    return variance / (variance.mean() or 1.0), vectors


def _whitening(
    scatter: tuple[DoubleArray, DoubleArray], shrinkage: float
) -> DoubleArray:
    """(W + shrinkage w I)^(-1/2) up to a factor and a rotation, (m, m)."""
    variance, vectors = scatter
    if math.isinf(shrinkage):
        return vectors
    whitening: DoubleArray = vectors / np.sqrt(variance + shrinkage)
    return whitening


def _leading(
    projection: DoubleArray, rows: DoubleArray, width: int
) -> tuple[DoubleArray, float]:
    """Leading principal components of the mapped rows, and the mean length of these."""
    second_moment = projection.T @ (rows.T @ rows / len(rows)) @ projection
    variance, vectors = np.linalg.eigh(second_moment)
    leading = vectors[:, ::-1][:, :width]
    constant = math.sqrt(variance[::-1][:width].sum()) or 1.0
    return projection @ leading, constant


def _merits(
    scaled: _Scaled,
    labels: IntArray,
    width: int,
    folds: list[IntArray],
    rng: np.random.Generator,
) -> DoubleArray:
    """Mean log of MAP@R on the classes left out, for each shrinkage."""
    logs: Any = np.zeros((len(folds), len(_SHRINKAGES)))
    for number, left_out in enumerate(folds):
        is_out = np.isin(labels, left_out)
        kept = scaled.rows[~is_out]
        kept_labels = np.unique(labels[~is_out], return_inverse=True)[1]
        scatter = _scatter_within(kept, kept_labels)
        searched = np.flatnonzero(is_out)
        if len(searched) > _MAX_LEFT_OUT:
            searched = rng.choice(searched, _MAX_LEFT_OUT, replace=False)
        for place, shrinkage in enumerate(_SHRINKAGES):
            whitening = _whitening(scatter, shrinkage)
            projection, constant = _leading(whitening, kept, width - 1)
            mapped = scaled.rows[searched] @ projection
            lifted = np.column_stack([mapped, np.full(len(mapped), constant)])
            found = map_at_r(lifted, labels[searched], distance="cosine")
            logs[number, place] = math.log(max(found, _TINY))
    merits: DoubleArray = logs.mean(axis=0)
    return merits
