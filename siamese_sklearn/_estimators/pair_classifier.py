"""SiamesePairClassifier: verification, identification and enrolment on one scikit-learn classifier."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import softmax
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.validation import check_is_fitted

from siamese_sklearn._checks import check_integer, check_number, check_option, warn
from siamese_sklearn._estimators.base import SiameseBase
from siamese_sklearn._estimators.gallery import Gallery
from siamese_sklearn._estimators.holdout import check_both_kinds, hold_out
from siamese_sklearn._estimators.training_data import TrainingData
from siamese_sklearn._net import Scorer, make_scorer, threads
from siamese_sklearn._typing import Array, BoolArray, DoubleArray, IntArray
from siamese_sklearn._validation import (
    check_labels,
    check_names,
    check_rows,
    check_same,
    documented,
    join_classes,
    keep_fitted_state,
    or_none,
    parameter,
)
from siamese_sklearn.calibration import Threshold, choose_threshold
from siamese_sklearn.heads import HEADS, HeadLike
from siamese_sklearn.losses._resolve import LossLike
from siamese_sklearn.pairs import Triplets
from siamese_sklearn.pairs._containers import Sides
from siamese_sklearn.pairs._drawing import balanced_pairs, held_out_pairs, many_pairs
from siamese_sklearn.towers._architecture import ARCHITECTURES
from siamese_sklearn.towers._resolve import TowerLike

__all__ = ["SiamesePairClassifier"]

_LEAST_TO_HOLD_OUT = (
    3  # rows of a class, or pairs of a kind: two of them stay for training
)


def _check_head(name: str, value: Any) -> None:
    if isinstance(value, str):
        check_option(name, value, HEADS)


def _check_unknown_label(name: str, value: Any) -> None:
    if value is not None and np.ndim(value) > 0:
        raise TypeError(f"`{name}` must be one label or None; got {value!r}.")


@documented
@dataclass(eq=False, repr=False, kw_only=True)
class SiamesePairClassifier(ClassifierMixin, SiameseBase):
    """Decide whether two things are the same, say who something is, and take in classes from one example.

    A Siamese network with a threshold and a gallery. `fit` makes same and different pairs from ordinary
    ``(X, y)``, or takes given `Pairs`. Then the one model answers three questions:

    - verification (1:1), ``predict(Pairs(A, B))``: are these two the same? 1 = same, 0 = different;
    - identification (1:N), ``predict(X)``: who is this? The class of the most similar enrolled reference;
    - one-shot enrolment, ``enroll(X, y)``: new classes from one example, untrained; ``forget(labels)``.

    A pair is the same from ``threshold_`` on, which is learned on pairs of rows held out of training.
    `calibrate_threshold` chooses another one, such as the highest true-accept rate at a given false-accept
    rate.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes enrolled; 0 and 1 after a fit on `Pairs`, as long as nothing is enrolled.
    threshold_ : float
        Score from which a pair counts as the same.
    net_ : skorch.NeuralNet
        The fitted net; ``net_.module_`` is the torch module.
    history_ : skorch.history.History
        One row per epoch: "train_loss"; "n_active", the pairs, triplets or rows per batch in the mean of the
        loss; "spread" of the embeddings, from 0 (collapsed) to 1; "valid_score" under `early_stopping`; "dur"
        in seconds.
    n_iter_ : int
        Epochs trained.
    input_shape_ : tuple of int
        Shape of one row; of the left side, where the sides may differ.
    n_features_in_ : int
        Length of the first axis of a row.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, if X was a data frame with string names.

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

    architecture: str = parameter(
        "siamese",
        '{"siamese", "pseudo_siamese", "two_channel"}',
        """- "siamese": one tower for both sides; symmetric.
        - "pseudo_siamese": two towers with weights of their own; the sides of `Pairs` may
          differ in shape. Rows to identify are of the left side, references of the right.
        - "two_channel": both sides enter one network as channels, which gives the logit
          itself. It has no embedding, so the whole network compares each query with each
          reference: made for verification, slow for identification. Symmetric, because
          both orders are averaged. It ignores `n_components`, `head`, `distance`,
          `mining` and `normalize`, and a batch has `batch_size` pairs.""",
        check=partial(check_option, options=ARCHITECTURES),
        fixed=True,
    )
    tower: TowerLike | tuple[TowerLike, TowerLike] = parameter(
        "auto",
        '{"auto", "mlp", "cnn"}, MLPTower, CNNTower, torch.nn.Module or callable, or a tuple',
        """The network. "auto" takes an MLP for flat rows and a CNN for images. A spec
        (``MLPTower(dropout=0.1)``) is searched as ``tower__dropout``. A module maps
        (B, ...) to (B, n_components); it is deep-copied, never trained in place. A
        callable is called as ``tower(input_shape, n_components)`` and returns a module.
        The built-in towers standardize their input (and the MLP clips it and adds a little
        noise, see `MLPTower`); a module of your own sees X as it is. "pseudo_siamese" also
        takes ``(left, right)``. For "two_channel" a module maps the stacked pair,
        (B, 2 C, H, W) or (B, 2 d), to (B, 1).""",
        fixed=True,
    )
    loss: LossLike = parameter(
        "binary_cross_entropy",
        "str, loss spec or torch.nn.Module",
        """A name in `siamese_sklearn.losses.LOSSES`, a spec (``TripletLoss(margin=0.2)``,
        searched as ``loss__margin``), or a module with ``forward(embeddings, labels)``,
        which is deep-copied. "binary_cross_entropy" and "hinge" train a `head`; the others
        shape a distance, which is the score. Given `Pairs` need a loss on pairs or
        triplets, "two_channel" one on logits.""",
        fixed=True,
    )
    head: HeadLike | None = parameter(
        None,
        '{"distance", "difference", "product"}, Head or torch.nn.Module',
        """Turns two embeddings into the logit of "same". Overrides the head of `loss`; None
        keeps it. See `siamese_sklearn.heads`. Ignored by losses without a head.""",
        check=_check_head,
        fixed=True,
    )
    n_references: int | None = parameter(
        10,
        "int or None",
        """References kept of a class at most: central ones, spread over its clusters. None
        keeps all.""",
        check=or_none(partial(check_integer, low=1, also=" or None")),
    )
    unknown_label: Any = parameter(
        None,
        "label",
        """What `predict` answers for a row whose best reference does not reach
        `threshold_`; None always names a class.""",
        check=_check_unknown_label,
    )

    _gallery = Gallery()
    _threshold: Threshold = field(init=False)

    @property
    def threshold_(self) -> float:
        """Score from which a pair counts as the same."""
        return self._threshold.value

    def fit(self, X: Any, y: npt.ArrayLike | None = None) -> Self:
        """Train the network, learn the threshold, and enroll references of every class.

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
        continues = bool(self.warm_start) and hasattr(self, "net_")
        with keep_fitted_state(self):
            self._gallery = Gallery()
            with self._training(
                X,
                y,
                n_epochs=self.max_epochs,
                continues=continues,
                early_stopping=self.early_stopping,
            ) as (net, run):
                net.partial_fit(run, epochs=run.n_epochs)
        return self

    def partial_fit(
        self,
        X: Any,
        y: npt.ArrayLike | None = None,
        classes: npt.ArrayLike | None = None,
    ) -> Self:
        """Train for one more epoch on `X`, continuing from the current weights.

        The first call builds the network; it also fixes the input standardization of a built-in tower. Later
        calls keep tower, loss, optimizer and the optimizer's state; `lr`, `weight_decay`, `batch_size`,
        `sampler` and `augment` may change between calls. `early_stopping` is ignored.

        The enrolled references are embedded anew, those of the data join them, and `threshold_` is learned
        again, on rows held out of this call's data: set a threshold that was calibrated or set by hand again.

        Parameters
        ----------
        X, y
            As in `fit`: each call needs two classes, one of them with two rows.
        classes : array-like of shape (n_classes,), default=None
            Classes that later calls will bring, for a loss with weights for each class. `classes_` holds
            those enrolled, whatever is given here.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If a parameter or the data cannot be used. A model fitted before stays as it was.
        """
        known = [] if classes is None else [classes]
        with self._training(
            X,
            y,
            n_epochs=1,
            continues=hasattr(self, "net_"),
            early_stopping=False,
            known_classes=known,
        ) as (net, run):
            net.partial_fit(run, epochs=run.n_epochs)
        return self

    def calibrate_threshold(
        self,
        X: Any,
        y: npt.ArrayLike,
        *,
        strategy: str = "accuracy",
        target: float | None = None,
        beta: float = 1.0,
    ) -> Self:
        """Choose `threshold_` on data that training has not seen.

        Parameters
        ----------
        X : rows, of which pairs are made, or Pairs
        y : array-like of shape (n,)
            The class of each row, or 1 (same) and 0 (different).
        strategy, target, beta
            As in `siamese_sklearn.calibration.choose_threshold`. Of rows, "accuracy" and "f_beta" look at as
            many same as different pairs, the others at up to 200,000 of each kind.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError, TypeError
            If the data or the strategy cannot be used; the threshold stays as it was.
        """
        check_is_fitted(self)
        if isinstance(X, Sides):
            same, score = check_same(X, y), self.pair_score(X)
        else:
            self._check_one_kind()
            rows = check_rows(self, X, reset=False)
            _, labels = check_labels(self, rows, y)
            draw = balanced_pairs if strategy in ("accuracy", "f_beta") else many_pairs
            pairs, same = draw(labels, np.random.default_rng(self._split_seed))
            with threads(self.n_threads):
                score = self._scorer.rows(rows, rows, pairs)
        value = choose_threshold(same, score, strategy, target=target, beta=beta)
        self._threshold = self._threshold.moved(value, strategy)
        return self

    def set_threshold(self, threshold: float) -> Self:
        """Set `threshold_`: pairs with a score of at least that are the same.

        Parameters
        ----------
        threshold : float
            On the scale of `pair_score`.

        Returns
        -------
        self : object
        """
        check_is_fitted(self)
        self._threshold = self._threshold.moved(
            check_number("threshold", threshold), "set"
        )
        return self

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
        rows = check_rows(self._right, X, reset=False)
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

    def predict(self, X: Any) -> Array:
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
        gallery, rows = self._enrolled(), check_rows(self, X, reset=False)
        with threads(self.n_threads):
            scorer = self._scorer
            best, score = gallery.nearest(scorer.codes(rows, 0), scorer.searched_by)
        labels: Array = gallery.classes[best]
        if self.unknown_label is None:
            return labels
        return _replaced(labels, score < self.threshold_, self.unknown_label)

    def decision_function(self, X: Any) -> DoubleArray:
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
            return self._threshold.margin(self.pair_score(X))
        scores = self._class_scores(X)
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def predict_proba(self, X: Any) -> DoubleArray:
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
            logit = self._threshold.logit(self.pair_score(X))
            logits = np.stack([np.zeros_like(logit), logit], axis=1)
        else:
            logits = self._threshold.slope * self._class_scores(X)
        probabilities: DoubleArray = softmax(logits, axis=1)
        return probabilities

    def score(
        self, X: Any, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> float:
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
        if (
            answer.dtype == object
        ):  # names and numbers, which accuracy_score does not compare
            y = column_or_1d(y)
            check_consistent_length(y, answer)
            y, answer = (
                np.asarray(y, dtype=object) == answer,
                np.ones(len(answer), dtype=bool),
            )
        return float(accuracy_score(y, answer, sample_weight=sample_weight))

    @property
    def _scorer(self) -> Scorer:
        return make_scorer(self.net_)

    def _check_data(self, X: Any, y: Any, *, reset: bool) -> TrainingData:
        if isinstance(X, Triplets):
            raise TypeError(
                "X must be rows or Pairs; got Triplets, which SiameseEmbedder takes."
            )
        if not reset and not isinstance(X, Sides):
            self._check_one_kind()
        data = super()._check_data(X, y, reset=reset)
        if data.classes is not None and len(self._gallery):
            join_classes(
                data.classes, self._gallery.classes
            )  # before training, if they do not go together
        return data

    def _check_one_kind(self) -> None:
        if self._right_side is None:
            return
        left, right = (
            (side.input_shape_, list(getattr(side, "feature_names_in_", [])))
            for side in (self, self._right_side)
        )
        if left != right:
            raise ValueError(
                f"The sides were fitted on rows of shape {left[0]} and {right[0]}, with columns of their own "
                "kind, so rows of one kind cannot be paired with each other; pass Pairs(left, right)."
            )

    def _hold_out(
        self, data: TrainingData, early_stopping: bool, rng: np.random.Generator
    ) -> tuple[IntArray, IntArray]:
        """Hold out rows in every fit: the threshold is learned on them."""
        count = np.bincount(data.target)
        enough = (count if data.kind == "pairs" else count.max()) >= _LEAST_TO_HOLD_OUT
        if early_stopping or self._split_of(data) == "classes" or np.all(enough):
            return hold_out(
                data.target, self.validation_fraction, self._split_of(data), rng
            )
        warn(
            "There are too few rows to hold some out, so threshold_ is learned on the pairs of training, "
            "which are told apart too well. Call calibrate_threshold with other data."
        )
        return np.arange(len(data.target)), np.empty(0, dtype=np.int64)

    def _measure(
        self,
        data: TrainingData,
        kept: IntArray,
        held: IntArray,
        device: torch.device,
        rng: np.random.Generator,
    ) -> Callable[[Any], float]:
        pairs, same = _pairs_to_calibrate(data, held, rng)
        check_both_kinds(same)
        left, right = data.sides[0], data.sides[-1]
        return lambda net: float(
            roc_auc_score(same, make_scorer(net).rows(left, right, pairs))
        )

    def _learn_from(
        self,
        data: TrainingData,
        kept: IntArray,
        held: IntArray,
        rng: np.random.Generator,
    ) -> None:
        """Learn threshold and probability on the pairs held out, and enroll references of every class."""
        pairs, same = _pairs_to_calibrate(data, held if len(held) else kept, rng)
        scorer = self._scorer
        self._threshold = Threshold.learn(
            same, scorer.rows(data.sides[0], data.sides[-1], pairs)
        )
        gallery = self._gallery
        if gallery.embeddings is not None:  # partial_fit has moved the embedding
            gallery = gallery.re_embedded(lambda rows: scorer.codes(rows, 1))
        if data.kind == "rows":
            names = np.asarray(self._class_order)[data.target]
            gallery = self._extended(gallery, data.sides[0], names, rng)
        self._keep(gallery)

    def _extended(
        self, gallery: Gallery, rows: Any, names: Array, rng: np.random.Generator
    ) -> Gallery:
        with threads(self.n_threads):
            codes = self._scorer.codes(rows, 1)
        embeddings = codes if self._has_embedding else None
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

    def _class_scores(self, X: Any) -> DoubleArray:
        """Score of the best reference of each class, (n, n_classes)."""
        gallery, rows = self._enrolled(), check_rows(self, X, reset=False)
        with threads(self.n_threads):
            scorer = self._scorer
            return gallery.class_scores(
                scorer.codes(rows, 0), scorer.searched_by
            ).astype(np.float64)


def _pairs_to_calibrate(
    data: TrainingData, held: IntArray, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Row numbers of both sides (n, 2), and which are the same (n,)."""
    if data.kind == "pairs":
        return np.stack([held, held], axis=1), data.target[held]
    return held_out_pairs(data.target, held, rng)


def _replaced(labels: Array, where: BoolArray, label: Any) -> Array:
    """`labels` with `label` at some places, in a dtype that holds both kinds."""
    both = np.asarray([label])
    kinds = {
        "number" if array.dtype.kind in "biuf" else array.dtype.kind
        for array in (labels, both)
    }
    dtype = np.result_type(labels, both) if len(kinds) == 1 else np.dtype(object)
    answer = labels.astype(dtype)
    answer[where] = label
    return answer
