"""SiamesePairClassifier: verification, identification and enrolment on one scikit-learn classifier."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import softmax
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from siamese_sklearn._checks import check_integer, check_option
from siamese_sklearn._estimators.gallery import Gallery, Score
from siamese_sklearn._estimators.holdout import TrainingData
from siamese_sklearn._estimators.verifier import Verifier
from siamese_sklearn._net import Rows, cross_scores, embedding_distance, scores_by_distance, threads
from siamese_sklearn._validation import check_names, check_rows, join_classes, keep_fitted_state
from siamese_sklearn.heads import HEADS, HeadLike
from siamese_sklearn.losses import LossLike
from siamese_sklearn.pairs._containers import Sides
from siamese_sklearn.towers import ARCHITECTURES, TowerLike

__all__ = ["SiamesePairClassifier"]

Index = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


class SiamesePairClassifier(ClassifierMixin, Verifier):
    """Decide whether two things are the same, say who something is, and take in classes from one example.

    A Siamese network with a threshold and a gallery. `fit` makes same and different pairs from ordinary
    ``(X, y)``, or takes given `Pairs`. Then the one model answers three questions:

    - verification (1:1), ``predict(Pairs(A, B))``: are these two the same? 1 = same, 0 = different;
    - identification (1:N), ``predict(X)``: who is this? The class of the most similar enrolled reference;
    - one-shot enrolment, ``enroll(X, y)``: new classes from one example, untrained; ``forget(labels)``.

    A pair is the same from ``threshold_`` on, which is learned on pairs of rows held out of training.
    `calibrate_threshold` chooses another one, such as the highest true-accept rate at a given false-accept
    rate.

    Parameters
    ----------
    n_components : int, default=32
        Width of the embedding. Left unused by "two_channel", which has none.
    architecture : {"siamese", "pseudo_siamese", "two_channel"}, default="siamese"
        - "siamese": one tower for both sides; symmetric.
        - "pseudo_siamese": two towers with weights of their own; the sides of `Pairs` may differ in shape.
          Rows to identify are of the left side, references of the right one.
        - "two_channel": both sides enter one network as channels, which gives the logit itself. It has no
          embedding, so each query is compared with each reference by the whole network: made for
          verification, slow for identification. Symmetric, because both orders are averaged.
    tower : {"auto", "mlp", "cnn"}, MLPTower, CNNTower, torch.nn.Module or callable, or a tuple of two, \
            default="auto"
        As in `SiameseEmbedder`. For "pseudo_siamese" also ``(left, right)``. For "two_channel" a module maps
        the stacked pair, (B, 2 C, H, W) or (B, 2 d), to (B, 1).
    loss : str, loss spec or torch.nn.Module, default="binary_cross_entropy"
        As in `SiameseEmbedder`. "binary_cross_entropy" and "hinge" train a `head`; the others shape a
        distance, which is the score. Given `Pairs`, a loss on pairs or triplets is needed; for
        "two_channel" one on logits.
    head : {"distance", "difference", "product"}, Head or torch.nn.Module, default=None
        What turns two embeddings into the logit of "same", in place of the one that `loss` has; None leaves
        that. See `siamese_sklearn.heads`. A loss without a head, and "two_channel", leave it unused.
    margin, distance, mining, normalize
        As in `SiameseEmbedder`. Left unused by "two_channel" (`margin` apart).
    n_references : int or None, default=10
        References kept of a class at the most, central ones and spread over its clusters; None keeps all.
    unknown_label : label, default=None
        What `predict` answers for a row whose best reference does not reach `threshold_`; None always names
        a class.
    max_epochs, batch_size, lr, optimizer, weight_decay, weight_averaging, augment
        As in `SiameseEmbedder`. "two_channel" has `batch_size` pairs in a batch.
    early_stopping : bool, default=False
        Watch the area under the ROC curve of the pairs held out, stop when it no longer rises, and restore
        the weights of the best epoch.
    validation_fraction : float, default=0.1
        Share of the rows, or of the classes, held out of training for the threshold.
    validation_split : {"rows", "classes"}, default="rows"
        Hold out rows of every class, or whole classes, for a threshold that has to serve classes not seen in
        training. `Pairs` are always held out by rows.
    n_iter_no_change, callbacks, net_params, warm_start, device, n_threads, random_state, verbose
        As in `SiameseEmbedder`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes enrolled; 0 and 1 after a fit on `Pairs`, as long as nothing is enrolled.
    threshold_ : float
        Score from which on a pair is the same.
    net_ : skorch.NeuralNet
        The fitted net; ``net_.module_`` is the torch module.
    history_, n_iter_, input_shape_, n_features_in_, feature_names_in_
        As in `SiameseEmbedder`; features are those of the left side.

    See Also
    --------
    SiameseEmbedder : the embedding alone, as a transformer.
    siamese_sklearn.calibration : strategies for the threshold.

    Notes
    -----
    The held-out rows serve the threshold alone and do not train, but may become references. If fewer than
    half of them have another held-out row of their class, they are compared with rows of training too.

    Probabilities belong to the balance of the pairs they were fitted on: as many same as different for rows,
    that of the data for `Pairs`.

    References
    ----------
    Chopra, Hadsell & LeCun, "Learning a Similarity Metric Discriminatively, with Application to Face
    Verification", CVPR 2005.

    Koch, Zemel & Salakhutdinov, "Siamese Neural Networks for One-shot Image Recognition", ICML Deep Learning
    Workshop 2015.

    Zagoruyko & Komodakis, "Learning to Compare Image Patches via Convolutional Neural Networks", CVPR 2015.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from siamese_sklearn import Pairs, SiamesePairClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> X_seen, y_seen = X[y < 8], y[y < 8]
    >>> clf = SiamesePairClassifier(max_epochs=10, random_state=0).fit(X_seen[:1000], y_seen[:1000])
    >>> clf.predict(X_seen[1000:1005]), y_seen[1000:1005]
    (array([6, 3, 1, 3, 1]), array([6, 3, 1, 3, 1]))
    >>> clf.predict(Pairs(X_seen[1001:1003], X_seen[1003:1005])), clf.predict(Pairs(X_seen[:2], X_seen[1:3]))
    (array([1, 1]), array([0, 0]))
    >>> clf.enroll(X[y == 9][:1], 9).classes_
    array([0, 1, 2, 3, 4, 5, 6, 7, 9])
    """

    _gallery = Gallery()

    def __init__(
        self,
        n_components: int = 32,
        *,
        architecture: str = "siamese",
        tower: TowerLike | tuple[TowerLike, TowerLike] = "auto",
        loss: LossLike = "binary_cross_entropy",
        head: HeadLike | None = None,
        margin: float | Literal["soft"] | None = None,
        distance: str | None = None,
        mining: str | None = None,
        normalize: bool = True,
        n_references: int | None = 10,
        unknown_label: Any = None,
        max_epochs: int = 40,
        batch_size: int = 64,
        lr: float = 5e-4,
        optimizer: str | type[torch.optim.Optimizer] = "adamw",
        weight_decay: float = 0.01,
        weight_averaging: float = 0.99,
        augment: Callable[[Tensor], Tensor] | Literal["auto"] | None = "auto",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        validation_split: str = "rows",
        n_iter_no_change: int = 10,
        callbacks: list[Any] | None = None,
        net_params: dict[str, Any] | None = None,
        warm_start: bool = False,
        device: str = "auto",
        n_threads: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.architecture = architecture
        self.tower = tower
        self.loss = loss
        self.head = head
        self.margin = margin
        self.distance = distance
        self.mining = mining
        self.normalize = normalize
        self.n_references = n_references
        self.unknown_label = unknown_label
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.optimizer = optimizer
        self.weight_decay = weight_decay
        self.weight_averaging = weight_averaging
        self.augment = augment
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.validation_split = validation_split
        self.n_iter_no_change = n_iter_no_change
        self.callbacks = callbacks
        self.net_params = net_params
        self.warm_start = warm_start
        self.device = device
        self.n_threads = n_threads
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: npt.ArrayLike | None = None) -> Self:
        """Train the network, learn the threshold, and enrol references of every class.

        Ctrl-C stops training and keeps what was learned so far, with a warning.

        Parameters
        ----------
        X : {array-like, sparse matrix, data frame, memmap} or Pairs
            Rows of shape (n, d), (n, H, W) or (n, C, H, W), of which pairs are made; or given pairs.
        y : array-like of shape (n,)
            The class of each row; for `Pairs` 1 (same) or 0 (different).

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If a parameter or the data cannot be used. A model fitted before stays as it was.

        Warns
        -----
        UserWarning
            If there are too few rows to hold some out; `threshold_` is then learned on the training pairs.
        """
        with keep_fitted_state(self):
            self._gallery = Gallery()
            return super().fit(X, y)

    def enroll(self, X: Any, y: Any) -> Self:
        """Take in references of new classes, or more of known ones, without training.

        Parameters
        ----------
        X : as in `predict`, of n rows
            For two different towers, rows of the right side.
        y : label, or array-like of shape (n,)
            The class of each row, or one class for all of them.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If a row or a label cannot be used; what was enrolled before stays.
        """
        check_is_fitted(self)
        with keep_fitted_state(self):
            rows = check_rows(self._side(1), X, reset=False)
            names = check_names(y, rows)
            rng = np.random.default_rng(self._split_seed)
            self._keep(self._extended(self._gallery, rows, names, rng))
        return self

    def forget(self, labels: npt.ArrayLike) -> Self:
        """Take classes out of the ones enrolled.

        Parameters
        ----------
        labels : label, or array-like of labels
            Classes in `classes_`.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If one of them is not enrolled; all stay then.
        """
        self._keep(self._enrolled().without(labels))
        return self

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Say who each row is, or whether the sides of each pair are the same.

        Parameters
        ----------
        X : {array-like, sparse matrix, data frame, memmap} or Pairs, of n rows

        Returns
        -------
        array of shape (n,)
            For rows the class of the best reference, or `unknown_label` if that is set and no reference
            reaches `threshold_`. For `Pairs` 1 (same) or 0 (different).

        Raises
        ------
        ValueError
            If nothing is enrolled: after a fit on `Pairs`, or when all has been forgotten.
        """
        check_is_fitted(self)
        if isinstance(X, Sides):
            return (self.decision_function(X) >= 0).astype(np.int64)
        gallery, queries = self._enrolled(), self._queries(X)
        with threads(self.n_threads):
            best, score = gallery.nearest(queries, self._gallery_score())
        labels: npt.NDArray[Any] = gallery.classes[best]
        if self.unknown_label is None:
            return labels
        return _replaced(labels, score < self.threshold_, self.unknown_label)

    def decision_function(self, X: Any) -> FloatArray:
        """Score of each class, or of each pair by how far it is from the threshold.

        Parameters
        ----------
        X : as in `predict`

        Returns
        -------
        array of shape (n, n_classes) or (n,)
            For rows the score of each class's best reference; for two classes the second's minus the
            first's, (n,). For `Pairs` ``pair_score(X) - threshold_``, (n,): 0 or more means same.
        """
        check_is_fitted(self)
        if isinstance(X, Sides):
            return self.pair_score(X).astype(np.float64) - self.threshold_
        scores = self._class_scores(X)
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def predict_proba(self, X: Any) -> FloatArray:
        """Probability of each class, or of "different" and "same".

        It is fitted, with one slope, on the pairs held out in `fit`, and `calibrate_threshold` does not
        change it.

        Parameters
        ----------
        X : as in `predict`

        Returns
        -------
        array of shape (n, n_classes), or (n, 2) for Pairs
            Columns as in `classes_`; for `Pairs` different, same. Each row sums to one.
        """
        check_is_fitted(self)
        if isinstance(X, Sides):
            logit = self._slope * (self.pair_score(X).astype(np.float64) - self._midpoint)
            logits = np.stack([np.zeros_like(logit), logit], axis=1)
        else:
            logits = self._slope * self._class_scores(X)
        probabilities: FloatArray = softmax(logits, axis=1)
        return probabilities

    def score(self, X: Any, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> float:
        """Accuracy of `predict`.

        Parameters
        ----------
        X : as in `predict`
        y : array-like of shape (n,)
            True classes; for `Pairs` 1 (same) or 0 (different).
        sample_weight : array-like of shape (n,), default=None

        Returns
        -------
        float
        """
        answer = self.predict(X)
        if answer.dtype == object:  # names and numbers, which accuracy_score does not compare
            y = column_or_1d(y)
            check_consistent_length(y, answer)
            y, answer = np.asarray(y, dtype=object) == answer, np.ones(len(answer), dtype=bool)
        return float(accuracy_score(y, answer, sample_weight=sample_weight))

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_option("architecture", self.architecture, ARCHITECTURES)
        if isinstance(self.head, str):
            check_option("head", self.head, HEADS)
        if self.unknown_label is not None and np.ndim(self.unknown_label) > 0:
            raise TypeError(f"`unknown_label` must be one label or None; got {self.unknown_label!r}.")
        if self.n_references is not None:
            check_integer("n_references", self.n_references, low=1, also=" or None")

    def _check_data(self, X: Any, y: Any, *, reset: bool) -> TrainingData:
        data = super()._check_data(X, y, reset=reset)
        if data.classes is not None and len(self._gallery):
            join_classes(data.classes, self._gallery.classes)  # before training, if they do not go together
        return data

    def _learn_from(self, data: TrainingData, kept: Index, held: Index, rng: np.random.Generator) -> None:
        """Enrol references of every class, over and above the threshold."""
        super()._learn_from(data, kept, held, rng)
        gallery = self._gallery
        if gallery.embeddings is not None:  # partial_fit has moved the embedding
            gallery = gallery.re_embedded(lambda rows: self._codes(rows, 1))
        if data.classes is not None:
            names = np.asarray(self._class_order)[data.target]
            gallery = self._extended(gallery, data.sides[0], names, rng)
        self._keep(gallery)

    def _extended(
        self, gallery: Gallery, rows: Any, names: npt.NDArray[Any], rng: np.random.Generator
    ) -> Gallery:
        codes = self._codes(rows, 1)
        embeddings = None if codes is rows else codes  # a 2-channel network has none
        return gallery.extended(rows, embeddings, names, self.n_references, rng)

    def _enrolled(self) -> Gallery:
        check_is_fitted(self)
        if len(self._gallery) == 0:
            raise ValueError(
                "Nothing is enrolled, so rows cannot be identified. Call enroll(X, y) with at least one row "
                "of each class; to compare two sides, pass Pairs(left, right)."
            )
        return self._gallery

    def _keep(self, gallery: Gallery) -> None:
        self._gallery = gallery
        is_empty_after_pairs = len(gallery) == 0 and self._class_order is None
        self.classes_ = np.array([0, 1]) if is_empty_after_pairs else gallery.classes

    def _class_scores(self, X: Any) -> npt.NDArray[np.float64]:
        """Score of the best reference of each class, (n, n_classes)."""
        gallery, queries = self._enrolled(), self._queries(X)
        with threads(self.n_threads):
            return gallery.class_scores(queries, self._gallery_score()).astype(np.float64)

    def _queries(self, X: Any) -> Any:
        return self._codes(check_rows(self, X, reset=False), 0)

    def _gallery_score(self) -> Score:
        """Name of the distance, or function, that the gallery is searched by."""
        return embedding_distance(self.net_) if scores_by_distance(self.net_) else self._cross

    def _cross(self, queries: Any, references: Any) -> npt.NDArray[np.float32]:
        device = torch.device(self.net_.device)
        return cross_scores(self.net_, Rows(queries, device=device), Rows(references, device=device))


def _replaced(labels: npt.NDArray[Any], where: npt.NDArray[np.bool_], label: Any) -> npt.NDArray[Any]:
    """`labels` with `label` at some places, in a dtype that holds both kinds."""
    both = np.asarray([label])
    kinds = {"number" if array.dtype.kind in "biuf" else array.dtype.kind for array in (labels, both)}
    dtype = np.result_type(labels, both) if len(kinds) == 1 else np.dtype(object)
    answer = labels.astype(dtype)
    answer[where] = label
    return answer
