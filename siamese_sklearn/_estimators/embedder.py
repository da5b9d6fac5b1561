"""SiameseEmbedder: metric learning as a scikit-learn transformer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import roc_auc_score
from sklearn.utils.validation import check_is_fitted

from siamese_sklearn._checks import warn
from siamese_sklearn._estimators.base import SiameseBase
from siamese_sklearn._estimators.class_folds import ClassFold
from siamese_sklearn._estimators.holdout import hold_out, measure
from siamese_sklearn._estimators.index import SiameseIndex
from siamese_sklearn._estimators.training_data import TrainingData
from siamese_sklearn._net import (
    DistanceScorer,
    Scorer,
    embed,
    embedding_distance,
    threads,
)
from siamese_sklearn._typing import IntArray
from siamese_sklearn._validation import check_labels, check_rows, check_same, documented
from siamese_sklearn.metrics import map_at_r
from siamese_sklearn.pairs import Pairs, Triplets
from siamese_sklearn.search._resolve import SearchLike

__all__ = ["SiameseEmbedder"]


@documented
@dataclass(eq=False, repr=False)
class SiameseEmbedder(SiameseBase):
    """Learn an embedding that pulls each class together and pushes classes apart.

    A Siamese network: one tower maps every row to a vector, and training shapes the
    distances between these vectors so that they separate the classes. `fit` makes pairs
    or triplets from ordinary ``(X, y)`` inside class-balanced batches. `transform`
    returns the vectors, for nearest neighbors, clustering, retrieval, plots, or any
    classifier.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes seen in `fit`. Not available after a fit on `Pairs` or `Triplets`.
    net_ : skorch.NeuralNet
        The fitted net; ``net_.module_`` is the torch module.
    history_ : skorch.history.History
        One row per epoch: "train_loss"; "n_active", the number of pairs, triplets or
        rows per batch that contribute to the loss; "spread" of the embeddings, from 0
        (collapsed) to 1; "valid_score" if `early_stopping` is on; "dur", the duration
        in seconds.
    n_iter_ : int
        Number of epochs trained.
    n_steps_ : int
        Number of steps that the last call planned, one per batch.
    input_weight_ : float
        Share of the squared distances that comes from the input, see `purpose`.
    input_offset_ : ndarray or None
        Subtracted from X, in float64, before X becomes float32: the means of features
        whose differences float32 would lose, such as Unix seconds of one day, and 0
        for all others. None if there are no such features in the data of the first
        fit, or if these are float32.
    input_shape_ : tuple of int
        Shape of one row.
    n_features_in_ : int
        Length of the first axis of a row.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, if `X` was a data frame with string column names.

    See Also
    --------
    sklearn.neighbors.NeighborhoodComponentsAnalysis : A linear map, for small data.
    siamese_sklearn.persistence : Save and load without pickle.
    siamese_sklearn.export : The network for ONNX and PyTorch alone.

    Notes
    -----
    GridSearchCV uses `score`, which is MAP@R. It stratifies folds for classifiers only,
    so pass ``cv=StratifiedKFold(5)`` if `y` is sorted: a fold with a single class
    always scores 1.

    `early_stopping` evaluates at most 2,000 held-out rows, searching at most 5,000
    training rows for their neighbors.

    A tower that is a lambda or a local class cannot be pickled; define it at the top
    level of a module.

    References
    ----------
    Bromley et al., "Signature Verification using a 'Siamese' Time Delay Neural
    Network", NeurIPS 1993.

    Hadsell, Chopra & LeCun, "Dimensionality Reduction by Learning an Invariant
    Mapping", CVPR 2006.

    Schroff, Kalenichenko & Philbin, "FaceNet: A Unified Embedding for Face Recognition
    and Clustering", CVPR 2015.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import train_test_split
    >>> from siamese_sklearn import SiameseEmbedder
    >>> X, y = load_iris(return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(
    ...     X, y, stratify=y, random_state=0
    ... )
    >>> embedder = SiameseEmbedder(n_components=2, random_state=0).fit(X_train, y_train)
    >>> embedder.transform(X_test).shape
    (38, 2)
    >>> embedder.score(X_test, y_test) > 0.9
    True
    """

    def fit(self, X: Any, y: npt.ArrayLike | None = None) -> Self:
        """Train the network.

        Ctrl-C stops training early and raises KeyboardInterrupt; the estimator is then
        fitted and keeps what it has learned. During the short trainings of `purpose`,
        and after training, Ctrl-C leaves the estimator as it was before.

        Parameters
        ----------
        X : {array-like, sparse matrix, data frame, memmap}, Pairs or Triplets
            Rows of shape (n, d), (n, H, W) or (n, C, H, W), from which pairs or
            triplets are made; or your own pairs or triplets.
        y : array-like of shape (n,)
            The class of each row; for `Pairs`, 1 (same) or 0 (different); ignored for
            `Triplets`.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If a parameter or the data is invalid. A previously fitted model is
            unchanged.
        KeyboardInterrupt
            If Ctrl-C stopped training.
        """
        epochs = self.max_epochs
        with self._training(X, y, n_epochs=epochs, is_whole=True) as (net, run):
            net.fit_loop(run)
        return self

    def partial_fit(
        self,
        X: Any,
        y: npt.ArrayLike | None = None,
        classes: npt.ArrayLike | None = None,
    ) -> Self:
        """Train for one more epoch on `X`, continuing from the current weights.

        The first call builds the network and fixes the input standardization of a
        built-in tower. Later calls keep the tower, the loss, the optimizer and its
        state; `lr`, `weight_decay`, `batch_size`, `sampler`, `augment` and `callbacks`
        may change between calls. `early_stopping` is ignored. Ctrl-C ends the epoch as
        in `fit`. Each call trains a copy of ``net_``, which then takes its place.

        Parameters
        ----------
        X, y
            As in `fit`. Each call needs at least two classes, one of them with two
            rows.
        classes : array-like of shape (n_classes,), default=None
            Classes that later calls may contain; `classes_` then holds them from the
            start. If None, `classes_` grows with each call.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If a parameter or the data is invalid. A previously fitted model is
            unchanged.
        """
        known = [] if classes is None else [classes]
        with self._training(X, y, n_epochs=1, is_whole=False, known_classes=known) as (
            net,
            run,
        ):
            net.fit_loop(run)
        return self

    def score(self, X: Any, y: npt.ArrayLike | None = None) -> float:
        """Return MAP@R: how well each row retrieves the other rows of its class.

        Parameters
        ----------
        X : as in `transform`
        y : array-like of shape (n,)
            The class of each row; for `Pairs`, 1 (same) or 0 (different); ignored for
            `Triplets`.

        Returns
        -------
        float
            Between 0 and 1; higher is better. For `Pairs`, the area under the ROC curve
            of `pair_score`; for `Triplets`, the fraction whose positive is closer than
            their negative.

        Raises
        ------
        ValueError
            If no class in `y` has two rows, so that there is nothing to retrieve.

        Warns
        -----
        UserWarning
            If `y` has a single class: the score is then 1 for any embedding.

        See Also
        --------
        siamese_sklearn.metrics : More metrics, and scorers for ``scoring=``.
        """
        if isinstance(X, Triplets):
            near = self.pair_distance(Pairs(X.anchor, X.positive))
            return float(
                np.mean(near < self.pair_distance(Pairs(X.anchor, X.negative)))
            )
        if isinstance(X, Pairs):
            return float(roc_auc_score(check_same(X, y), self.pair_score(X)))
        check_is_fitted(self)
        X = check_rows(self, X, reset=False)
        classes, labels = check_labels(self, X, y, min_classes=1)
        if len(classes) == 1:
            warn(
                f"`y` has a single class, {classes.tolist()[0]!r}, so every neighbor "
                "is relevant and MAP@R is 1. If this is a cross-validation fold on "
                "sorted labels, stratify the folds: cv=StratifiedKFold(5)."
            )
        with threads(self.n_threads):
            embeddings = embed(self.net_, self._rows(X))
        return map_at_r(embeddings, labels, distance=embedding_distance(self.net_))

    def index(
        self,
        X: Any,
        *,
        ids: npt.ArrayLike | None = None,
        search: SearchLike = "exact",
    ) -> SiameseIndex:
        """Make an index of rows, which finds the most similar ones.

        Parameters
        ----------
        X : as in `transform`
        ids, search
            As in `SiameseIndex`.

        Returns
        -------
        SiameseIndex
            It keeps a copy of this model: a later `fit` does not change it.
        """
        return SiameseIndex(self, X, ids=ids, search=search)

    @property
    def _architecture(self) -> str:
        return "siamese"

    @property
    def _head(self) -> None:
        return None

    @property
    def _scorer(self) -> Scorer:
        return DistanceScorer(self.net_, embedding_distance(self.net_))

    def _hold_out(
        self, data: TrainingData, early_stopping: bool, rng: np.random.Generator
    ) -> tuple[IntArray, IntArray]:
        if not early_stopping:
            return np.arange(len(data.target)), np.empty(0, dtype=np.int64)
        return hold_out(
            data.target, self.validation_fraction, self._split_of(data), rng
        )

    def _measure(
        self,
        data: TrainingData,
        kept: IntArray,
        held: IntArray,
        device: torch.device,
        rng: np.random.Generator,
    ) -> Callable[[Any], float]:
        gallery = kept if self._split_of(data) == "rows" else None
        return measure(data, held, gallery, device, rng)

    def _learn_from(
        self,
        data: TrainingData,
        kept: IntArray,
        held: IntArray,
        folds: list[ClassFold],
        rng: np.random.Generator,
    ) -> None:
        """Learn nothing more: the embedding is the whole model."""
