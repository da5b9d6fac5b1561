"""SiamesePairClassifier: verification, identification and enrollment in one model."""

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
from sklearn.metrics import roc_auc_score
from sklearn.utils.validation import check_is_fitted

from siamese_sklearn._arrays import in_namespace_of
from siamese_sklearn._checks import check_integer, check_number, check_option, warn
from siamese_sklearn._estimators.accuracy import accuracy
from siamese_sklearn._estimators.base import SiameseBase
from siamese_sklearn._estimators.class_folds import ClassFold
from siamese_sklearn._estimators.draft import draft_of, snapshot_of
from siamese_sklearn._estimators.gallery import Gallery
from siamese_sklearn._estimators.holdout import (
    check_both_kinds,
    hold_out,
    pairs_to_calibrate,
)
from siamese_sklearn._estimators.open_set import KeepsStrangersOut
from siamese_sklearn._estimators.parameters import (
    check_head,
    check_unknown_is_no_class,
    check_unknown_label,
    purpose_parameter,
)
from siamese_sklearn._estimators.strangers import (
    warn_of_confusions,
    warn_of_duplicates,
    with_unknown,
)
from siamese_sklearn._estimators.threshold_report import report_of_pairs
from siamese_sklearn._estimators.training_data import TrainingData
from siamese_sklearn._estimators.verifier import copy_for_pairs
from siamese_sklearn._net import Scorer, make_scorer, threads
from siamese_sklearn._typing import Array, DoubleArray, FloatArray, IntArray
from siamese_sklearn._validation import (
    check_ids,
    check_labels,
    check_names,
    check_one_kind,
    check_rows,
    check_same,
    documented,
    join_classes,
    number_after,
    numbered_ids,
    or_none,
    parameter,
)
from siamese_sklearn.calibration import (
    Threshold,
    choose_threshold,
    confident_threshold,
)
from siamese_sklearn.heads import HeadLike
from siamese_sklearn.losses._resolve import LossLike
from siamese_sklearn.pairs import Triplets
from siamese_sklearn.pairs._containers import Sides
from siamese_sklearn.pairs._drawing import balanced_pairs, many_pairs
from siamese_sklearn.towers._architecture import ARCHITECTURES
from siamese_sklearn.towers._resolve import TowerLike

__all__ = ["SiamesePairClassifier"]

# rows per class, or pairs per kind: two of them stay for training
_MIN_TO_HOLD_OUT = 3


@documented
@dataclass(eq=False, repr=False, kw_only=True)
class SiamesePairClassifier(KeepsStrangersOut, ClassifierMixin, SiameseBase):
    """Verify pairs, identify rows, and enroll new classes from a single example.

    A Siamese network with a threshold and a gallery of references. `fit` makes same and
    different pairs from ordinary ``(X, y)``, or takes your own `Pairs`. One fitted
    model then covers:

    - verification (1:1), ``predict(Pairs(A, B))``: are these two the same? Returns 1
      for same and 0 for different;
    - identification (1:N), ``predict(X)``: who is this? Returns the enrolled class
      whose references are most similar;
    - one-shot enrollment, ``enroll(X, y)``: adds new classes from a single example
      each, without training. ``forget(labels)`` removes them.

    A pair counts as the same if its score is at least ``threshold_``, which is chosen
    on held-out pairs. A row is named if its best score is at least
    ``identification_threshold_``, unless `unknown_label` is None. One threshold cannot
    serve both: the best of many references scores higher than a single one, so a
    stranger is named more often than a different pair is accepted.
    `calibrate_threshold` chooses both by other criteria and for given rates.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The enrolled classes. After a fit on `Pairs`, 0 and 1 until a class is enrolled.
    threshold_ : float
        A pair counts as the same if its score is at least this value.
    identification_threshold_ : float
        With `unknown_label`, `predict` names a row if its best score is at least this
        value. `fit` chooses it so that an estimated 1% of strangers are named. It
        searches for held-out rows without the references of their own class, and raises
        their scores by what its short trainings have measured, see
        `calibrate_threshold`; without these trainings, strangers are named more often.
        After the gallery has changed, it is chosen again when it is next needed. Equal
        to ``threshold_`` where there was nothing to choose it on: after a fit on
        `Pairs`, and for networks without embeddings.
    threshold_report_ : object
        The error rates that the threshold chosen last has on the data it was chosen on:
        after `fit` those of held-out pairs, after `calibrate_threshold` those of its
        data, with the gallery of then. Printed, it is a summary with 95% intervals;
        ``table`` is a data frame, ``rates`` a tuple. A threshold that `set_threshold`
        has set has none.
    reference_ids_ : ndarray of shape (n_references,)
        What identifies each enrolled reference, see `enroll`.
    reference_labels_ : ndarray of shape (n_references,)
        The class of each enrolled reference.
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
        Shape of one row; of the left side, if the sides differ.
    n_features_in_ : int
        Length of the first axis of a row.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, if `X` was a data frame with string column names.

    See Also
    --------
    SiameseEmbedder : The embedding alone, as a transformer.
    siamese_sklearn.calibration : Strategies for the threshold.
    siamese_sklearn.persistence : Save and load without pickle.
    siamese_sklearn.export : The network for ONNX and PyTorch alone.

    Notes
    -----
    Held-out rows are used to choose the threshold and for `early_stopping`, never for
    training, but they can become references. If fewer than half of them have another
    held-out row of their class, they are also compared with training rows.

    Predicted probabilities depend on the proportion of same pairs that they were fitted
    on: one half for rows, that of the data for `Pairs`.

    References
    ----------
    Chopra, Hadsell & LeCun, "Learning a Similarity Metric Discriminatively, with
    Application to Face Verification", CVPR 2005.

    Koch, Zemel & Salakhutdinov, "Siamese Neural Networks for One-shot Image
    Recognition", ICML Deep Learning Workshop 2015.

    Zagoruyko & Komodakis, "Learning to Compare Image Patches via Convolutional Neural
    Networks", CVPR 2015.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from siamese_sklearn import Pairs, SiamesePairClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> X_seen, y_seen = X[y < 8], y[y < 8]
    >>> clf = SiamesePairClassifier(max_epochs=10, random_state=0)
    >>> clf = clf.fit(X_seen[:1000], y_seen[:1000])
    >>> clf.predict(X_seen[1000:1005]), y_seen[1000:1005]
    (array([6, 3, 1, 3, 1]), array([6, 3, 1, 3, 1]))
    >>> clf.predict(Pairs(X_seen[1001:1003], X_seen[1003:1005]))
    array([1, 1])
    >>> clf.predict(Pairs(X_seen[:2], X_seen[6:8]))
    array([0, 0])
    >>> clf.enroll(X[y == 9][:1], 9).classes_
    array([0, 1, 2, 3, 4, 5, 6, 7, 9])
    """

    architecture: str = parameter(
        "siamese",
        '{"siamese", "pseudo_siamese", "two_channel"}',
        """- "siamese": one tower for both sides; symmetric.
        - "pseudo_siamese": two towers with separate weights, so the sides of `Pairs`
          may differ in shape. For identification, the left tower embeds queries and the
          right one references.
        - "two_channel": one network takes both sides as channels and returns the logit.
          It has no embedding, so identification runs the whole network on every pair of
          query and reference: use it for verification; identification is slow.
          Symmetric, because it averages both orders. Ignores `n_components`, `head`,
          `distance`, `mining` and `normalize`; a batch has `batch_size` pairs.""",
        check=partial(check_option, options=ARCHITECTURES),
        fixed=True,
    )
    tower: TowerLike | tuple[TowerLike, TowerLike] = parameter(
        "auto",
        "str, tower spec, torch.nn.Module, callable or tuple",
        """The network. "auto" selects "mlp" for flat rows and "cnn" for images. The
        parameters of a spec, such as ``MLPTower(dropout=0.1)``, can be searched as
        ``tower__dropout``. A module maps (B, ...) to (B, n_components); it is
        deep-copied, so your instance is not trained. A callable is called as
        ``tower(input_shape, n_components)``, with the components that do not come from
        the input (see `purpose`), and returns a module. The built-in towers
        standardize their input (the MLP also clips it and adds a little noise,
        see `MLPTower`); your own module gets X as float32. "pseudo_siamese" also
        accepts ``(left, right)``. For "two_channel", a module maps the stacked pair, of
        shape (B, 2 C, H, W) or (B, 2 d), to (B, 1).""",
        fixed=True,
    )
    loss: LossLike = parameter(
        "binary_cross_entropy",
        "str, loss spec or torch.nn.Module",
        """A name in `siamese_sklearn.losses.LOSSES`; a spec such as
        ``TripletLoss(margin=0.2)``, whose parameters can be searched as
        ``loss__margin``; or a module with ``forward(embeddings, labels)``, which is
        deep-copied. "binary_cross_entropy" and "hinge" train a `head`; the other losses
        train a distance, and the score is its negative. `Pairs` require a loss on pairs
        or triplets, "two_channel" a loss on logits.""",
        fixed=True,
    )
    head: HeadLike | None = parameter(
        None,
        '{"distance", "difference", "product"}, Head or torch.nn.Module',
        """Turns two embeddings into the logit of "same". Overrides the head of `loss`;
        None keeps it. Ignored by losses without a head. See
        `siamese_sklearn.heads`.""",
        check=check_head,
        fixed=True,
    )
    purpose: str = purpose_parameter("new_classes")
    n_references: int | None = parameter(
        30,
        "int or None",
        """Maximum number of references to keep per class: central rows, spread over the
        clusters of the class. None keeps all.""",
        check=or_none(partial(check_integer, low=1, also=" or None")),
    )
    unknown_label: Any = parameter(
        None,
        "label",
        """Label that `predict` returns for a row if its best class scores below
        ``identification_threshold_``; no class can have it. With None, `predict` always
        returns an enrolled class.""",
        check=check_unknown_label,
    )

    _n_rows: int = field(default=0, init=False)  # the next number for an id

    @property
    def threshold_(self) -> float:
        """A pair counts as the same if its score is at least this value."""
        return self._threshold.value

    @property
    def reference_ids_(self) -> Array:
        """What identifies each enrolled reference."""
        check_is_fitted(self)
        return self._gallery.ids

    @property
    def reference_labels_(self) -> Array:
        """The class of each enrolled reference."""
        check_is_fitted(self)
        return self._gallery.classes[self._gallery.labels]

    def fit(self, X: Any, y: npt.ArrayLike | None = None) -> Self:
        """Train the network, choose the threshold, and enroll references of each class.

        Ctrl-C stops training early and raises KeyboardInterrupt; the estimator is then
        fitted and keeps what it has learned. During the short trainings of `purpose`,
        and after training, Ctrl-C leaves the estimator as it was before.

        Parameters
        ----------
        X : {array-like, sparse matrix, data frame, memmap} or Pairs
            Rows of shape (n, d), (n, H, W) or (n, C, H, W), from which pairs are made;
            or your own pairs.
        y : array-like of shape (n,)
            The class of each row; for `Pairs`, 1 (same) or 0 (different).

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

        Warns
        -----
        UserWarning
            If there are too few rows to hold any out; `threshold_` is then chosen on
            training pairs.
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

        Each call re-embeds the enrolled references, adds references from the rows of
        `X`, and chooses `threshold_` again on a held-out part of `X`. If you calibrated
        or set the threshold, do so again after the call.

        Parameters
        ----------
        X, y
            As in `fit`. Each call needs at least two classes, one of them with two
            rows.
        classes : array-like of shape (n_classes,), default=None
            Classes that later calls may contain, for a loss that has weights for each
            class. `classes_` still holds the enrolled classes only.

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

    def calibrate_threshold(
        self,
        X: Any,
        y: npt.ArrayLike,
        *,
        strategy: str = "accuracy",
        target: float | None = None,
        beta: float = 1.0,
        strangers: Any = None,
        confidence: float | None = None,
    ) -> Self:
        """Choose a threshold on data that was not used in training.

        Parameters
        ----------
        X : rows, from which pairs are made, or Pairs
        y : array-like of shape (n,)
            The class of each row; for `Pairs`, 1 (same) or 0 (different).
        strategy : str, default="accuracy"
            "fpir" chooses ``identification_threshold_``, which `predict` compares with:
            the lowest value at which at most a fraction `target` of strangers is named
            (the false-positive identification rate, ISO/IEC 19795-1). The searches are
            kept, at most 5000 of them, and repeated whenever the gallery changes, so
            that they meet the target in a gallery of any size. All other strategies
            choose ``threshold_``, by pairs, as described in
            `siamese_sklearn.calibration.choose_threshold`. For rows, "accuracy" and
            "f_beta" use equal numbers of same and different pairs; the others use up to
            200,000 pairs of each kind.
        target : float, default=None
            The rate, or precision, of the strategies that need one.
        beta : float, default=1.0
            For "f_beta".
        strangers : rows, default=None
            For "fpir": searches of people who are not enrolled, and who were not in the
            training data. With None, rows of `X` whose class is not enrolled are
            strangers, and each row of another class is one after the references of its
            class are taken away. `fit` has measured, in its short trainings, how much
            closer strangers come than rows of classes of training do (see `purpose`),
            and their scores are raised by that much. Without these trainings, with
            ``purpose="known_classes"`` for instance, the true rate can be many times
            the target if there are few classes. `X` and `y` are ignored if strangers
            are given.
        confidence : float, default=None
            For "fpir", "far" and "frr": choose the threshold so that the true rate is
            at most `target` with this confidence, such as 0.95. The rate on the data
            given here is then lower. Pairs and searches of one class depend on each
            other, so the number of classes decides how much lower. None chooses it so
            that the rate on these data is at most `target`; the true one is then higher
            about every other time.

        Returns
        -------
        self : object
            ``threshold_report_`` has the rates reached, and their intervals.

        Raises
        ------
        ValueError, TypeError
            If the data or the strategy is invalid, if there are no strangers to be had,
            or if the data cannot show the target with the given confidence. The
            thresholds are then unchanged.

        Warns
        -----
        UserWarning
            If `target` is lower than the data can show.
        """
        check_is_fitted(self)
        if confidence is not None:
            check_option("strategy", strategy, ("fpir", "far", "frr"))
            check_number(
                "confidence", confidence, low=0, high=1, low_open=True, high_open=True
            )
            check_number("target", 0 if target is None else target, low=0, high=1)
        if strategy == "fpir":
            return self._calibrate_identification(X, y, target, strangers, confidence)
        if strangers is not None:
            raise ValueError(
                f"`strangers` must be None for strategy {strategy!r}; only 'fpir' uses "
                "them."
            )
        same, score, classes = self._pairs_to_calibrate(X, y, strategy)
        if confidence is None or target is None:
            value = choose_threshold(same, score, strategy, target=target, beta=beta)
        else:
            value = confident_threshold(
                same, score, classes, strategy, target, confidence
            )
        asked = target, confidence
        report = report_of_pairs(strategy, value, same, score, classes, *asked)
        with draft_of(self) as draft:
            draft._threshold = self._threshold.moved(value, strategy)
            draft._report = report
        return self

    def _pairs_to_calibrate(
        self, X: Any, y: npt.ArrayLike, strategy: str
    ) -> tuple[IntArray, FloatArray, IntArray | None]:
        """Which pairs are the same, their scores, and the classes of both sides."""
        if isinstance(X, Sides):
            return check_same(X, y), self.pair_score(X), None
        check_one_kind(self, self._right_side)
        rows = check_rows(self, X, reset=False)
        _, labels = check_labels(self, rows, y)
        draw = balanced_pairs if strategy in ("accuracy", "f_beta") else many_pairs
        pairs, same = draw(labels, np.random.default_rng(self._split_seed))
        with threads(self.n_threads):
            return same, self._scorer.rows(rows, rows, pairs), labels[pairs]

    def set_threshold(self, threshold: float, *, task: str = "verification") -> Self:
        """Set a threshold.

        Parameters
        ----------
        threshold : float
            On the scale of `pair_score`. Finite: a number beyond all scores, such as
            1e9, names nobody, and -1e9 everybody.
        task : {"verification", "identification"}, default="verification"
            "verification" sets ``threshold_``, with which pairs are compared;
            "identification" sets ``identification_threshold_``, which then stays if the
            gallery changes.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError, TypeError
            If `threshold` is not a finite number, or if `task` is unknown.
        """
        check_is_fitted(self)
        check_option("task", task, ("verification", "identification"))
        value = check_number("threshold", threshold)
        with draft_of(self) as draft:
            if task == "verification":
                draft._threshold = self._threshold.moved(value, "set")
            else:
                draft._identification, draft._strangers = value, None
            draft._report = None
        return self

    def verifier(self) -> Self:
        """Return a copy that compares pairs only: nothing is enrolled in it.

        After a fit on rows, ``classes_`` are the enrolled classes. Tools of
        scikit-learn that read ``classes_`` then misread what `predict_proba` returns
        for `Pairs`: CalibratedClassifierCV and TunedThresholdClassifierCV of a
        FrozenEstimator, FixedThresholdClassifier, and the Displays. Pass them the copy.

        Returns
        -------
        SiamesePairClassifier
            Fitted, with ``classes_`` 0 (different) and 1 (same). It has the network and
            the thresholds of now: later training does not change it.

        Examples
        --------
        >>> from sklearn.calibration import CalibratedClassifierCV
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.frozen import FrozenEstimator
        >>> from siamese_sklearn import SiamesePairClassifier, make_pairs
        >>> X, y = load_iris(return_X_y=True)
        >>> clf = SiamesePairClassifier(max_epochs=1).fit(X[::2], y[::2])
        >>> pairs, same = make_pairs(X[1::2], y[1::2], random_state=0)
        >>> frozen = FrozenEstimator(clf.verifier())
        >>> CalibratedClassifierCV(frozen).fit(pairs, same).predict_proba(pairs).shape
        (150, 2)
        """
        check_is_fitted(self)
        copied: Self = copy_for_pairs(self)
        return copied

    def enroll(self, X: Any, y: Any, ids: npt.ArrayLike | None = None) -> Self:
        """Add references of new or known classes, without training.

        Parameters
        ----------
        X : as in `predict`, of n rows
            With two different towers, rows of the right side.
        y : label, or array-like of shape (n,)
            The class of each row, or one class for all rows.
        ids : array-like of shape (n,), default=None
            What identifies each row in the results of `kneighbors`: integers of 64 bits
            or strings. None numbers the rows on from those of `fit`, which are numbered
            from 0, and from integers given before.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If a row, a label or an id is invalid, if an id is given twice, or if a
            class is `unknown_label`. The enrolled references are then unchanged.

        Warns
        -----
        UserWarning
            If a row is a reference of its class already; and, if `unknown_label` is
            set, if it is so similar to a reference of another class that it would be
            named as that class.
        """
        check_is_fitted(self)
        rows = check_rows(self._right, X, reset=False)
        names = check_names(y, rows, self._gallery.classes)
        check_unknown_is_no_class(self.unknown_label, names)
        given = (
            numbered_ids(self._n_rows, len(names))
            if ids is None
            else check_ids(ids, rows, self._gallery.ids)
        )
        rng = np.random.default_rng(self._split_seed)
        with threads(self.n_threads):
            codes = self._scorer.codes(rows, 1)
            known = self._gallery.of_classes(names)
            warn_of_duplicates(known, rows, codes, names)
            # with two towers, references are no queries
            if self.unknown_label is not None and self._architecture == "siamese":
                at = self.identification_threshold_
                warn_of_confusions(self._gallery, codes, names, at, *self._searched_by)
        gallery = self._extended(self._gallery, rows, codes, names, given, rng)
        n_rows = number_after(self._n_rows + len(names), given)
        with draft_of(self) as draft:
            draft._keep(gallery, self._strangers)
            draft._n_rows = n_rows
        return self

    def forget(self, labels: npt.ArrayLike) -> Self:
        """Remove enrolled classes, with their names, references and ids.

        Neither a pickle nor a saved file contains the names any more. What the network
        has learned from the classes stays, and so do rows of theirs that `fit` has held
        out, as those of strangers: ``identification_threshold_`` is chosen on them. A
        digest instead of the name tells if the class is enrolled again.
        `calibrate_threshold` with ``strategy="fpir"`` replaces these rows, and
        `set_threshold` with ``task="identification"`` drops them.

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
            If any of them is not enrolled; then none is removed.
        """
        gallery = self._enrolled().without(labels)
        with draft_of(self) as draft:
            draft._class_numbers = self._class_numbers.without(labels)
            draft._keep(gallery, self._strangers)
        return self

    def predict(self, X: Any) -> Any:
        """Predict the class of each row, or whether the two sides of each pair match.

        Parameters
        ----------
        X : {array-like, sparse matrix, data frame, memmap} or Pairs, of n rows

        Returns
        -------
        array of shape (n,)
            For rows, the class with the best score (see `decision_function`), or
            `unknown_label` if it is set and no class reaches
            ``identification_threshold_``. For `Pairs`, 1 (same) or 0 (different). As in
            `transform`, numbers are a tensor if `X` is one and ``array_api_dispatch``
            is on.

        Raises
        ------
        ValueError
            If `X` contains rows and no class is enrolled: after a fit on `Pairs`, or
            after `forget` has removed all classes.
        """
        check_is_fitted(self)
        if isinstance(X, Sides):
            return (self.decision_function(X) >= 0).astype(np.int64)
        view = snapshot_of(self)
        gallery, rows = view._enrolled(), check_rows(view, X, reset=False)
        with threads(self.n_threads):
            best, score = view._nearest_class(gallery, view._scorer.codes(rows, 0))
        labels: Array = gallery.classes[best]
        if view.unknown_label is not None:
            is_unknown = score.astype(np.float64) < view.identification_threshold_
            labels = with_unknown(labels, is_unknown, view.unknown_label)
        return in_namespace_of(X, labels)

    def kneighbors(
        self, X: Any, n_neighbors: int = 5, return_distance: bool = True
    ) -> Any:
        """Find the enrolled references most similar to each row.

        Parameters
        ----------
        X : rows, as in `predict`
        n_neighbors : int, default=5
            At most the number of references.
        return_distance : bool, default=True

        Returns
        -------
        distances : array of shape (n, n_neighbors), float32
            As `pair_distance` measures them, in ascending order. Only if
            `return_distance` is True.
        ids : array of shape (n, n_neighbors)
            What identifies the references, as passed to `enroll`; references of `fit`
            have their row numbers there. ``reference_ids_`` and ``reference_labels_``
            map ids to classes.

        Raises
        ------
        ValueError
            If there are fewer references, or none.

        Examples
        --------
        >>> import numpy as np
        >>> from siamese_sklearn import SiamesePairClassifier
        >>> X = np.float32([[0, 1], [0, 2], [1, 4], [4, 0], [5, 0], [7, 1]])
        >>> y = ["a", "a", "a", "b", "b", "b"]
        >>> clf = SiamesePairClassifier(max_epochs=1, random_state=0).fit(X, y)
        >>> clf = clf.enroll([[0, 3]], "a", ids=["new"])
        >>> distances, ids = clf.kneighbors([[0, 3]], n_neighbors=2)
        >>> ids
        array([['new', 2]], dtype=object)
        """
        n_neighbors = check_integer("n_neighbors", n_neighbors, low=1)
        view = snapshot_of(self)
        gallery, rows = view._enrolled(), check_rows(view, X, reset=False)
        if n_neighbors > len(gallery):
            raise ValueError(
                f"`n_neighbors`={n_neighbors} is more than the number of enrolled "
                f"references, {len(gallery)}."
            )
        with threads(self.n_threads):
            scorer = view._scorer
            places, scores = view._nearest_references(
                gallery, scorer.codes(rows, 0), n_neighbors
            )
        ids = in_namespace_of(X, gallery.ids[places])
        distances = in_namespace_of(X, scorer.distance_of(scores))
        return (distances, ids) if return_distance else ids

    def decision_function(self, X: Any) -> Any:
        """Score of each class, or score of each pair minus the threshold.

        The references of a class vote: with the slope a of the probability of "same",
        the class scores ``log(mean(exp(a s))) / a``, where s are the scores of its
        references. The nearest ones count most, and as it is a mean, many references
        are no advantage over a class that has just been enrolled with a few.

        Parameters
        ----------
        X : as in `predict`

        Returns
        -------
        array of shape (n, n_classes) or (n,)
            For rows, the score of each class; with two classes, the score of the second
            minus that of the first, (n,). For `Pairs`,
            ``pair_score(X) - threshold_``, (n,): 0 or more means same.
        """
        check_is_fitted(self)
        if isinstance(X, Sides):
            return self._threshold.margin(self.pair_score(X))
        scores = self._class_scores(X)
        is_binary = scores.shape[1] == 2
        return in_namespace_of(X, scores[:, 1] - scores[:, 0] if is_binary else scores)

    def predict_proba(self, X: Any) -> Any:
        """Probability of each class, or of "different" and "same".

        A single slope is fitted on held-out pairs in `fit`; `calibrate_threshold` does
        not change it. If `unknown_label` is set, the columns sum to 1 minus the
        probability of "unknown", which is the highest of all if `predict` returns
        `unknown_label`, and only then, except for rounding where a score is equal to
        the threshold.

        Parameters
        ----------
        X : as in `predict`

        Returns
        -------
        array of shape (n, n_classes), or (n, 2) for Pairs
            Columns as in `classes_`; for `Pairs`, different and same. Each row sums to
            1, or to less for rows if `unknown_label` is set.
        """
        check_is_fitted(self)
        if isinstance(X, Sides):
            logit = self._threshold.logit(self.pair_score(X))
            logits = np.stack([np.zeros_like(logit), logit], axis=1)
            return np.asarray(softmax(logits, axis=1))
        view = snapshot_of(self)
        scores = view._class_scores(X)
        if view.unknown_label is not None:
            # "unknown" scores the threshold, as if it were one more class
            stranger = np.full((len(scores), 1), view.identification_threshold_)
            scores = np.hstack([scores, stranger])
        probabilities: DoubleArray = softmax(view._threshold.slope * scores, axis=1)
        return in_namespace_of(X, probabilities[:, : len(view.classes_)])

    def score(
        self, X: Any, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> float:
        """Accuracy of `predict`.

        Parameters
        ----------
        X : as in `predict`
        y : array-like of shape (n,)
            True classes; for `Pairs`, 1 (same) or 0 (different).
        sample_weight : array-like of shape (n,), default=None

        Returns
        -------
        float
        """
        return accuracy(self, X, y, sample_weight)

    @property
    def _architecture(self) -> str:
        return self.architecture

    @property
    def _head(self) -> HeadLike | None:
        return self.head

    @property
    def _scorer(self) -> Scorer:
        return make_scorer(self.net_)

    def _begin_fit(self) -> None:
        self._gallery, self._n_rows, self._has_rows = Gallery(), 0, False
        self._strangers = self._identification = None
        if not self.warm_start:
            self._left_out = None

    def _check_data(self, X: Any, y: Any, *, reset: bool) -> TrainingData:
        if isinstance(X, Triplets):
            raise TypeError(
                "`X` must be rows or Pairs; got Triplets. Use SiameseEmbedder for "
                "Triplets."
            )
        if not reset and not isinstance(X, Sides):
            check_one_kind(self, self._right_side)
        data = super()._check_data(X, y, reset=reset)
        if data.classes is not None:
            numbered_ids(self._n_rows, len(data.target))  # raises
            check_unknown_is_no_class(self.unknown_label, data.classes)
            if len(self._gallery):  # raises if numbers and strings would be mixed
                join_classes(data.classes, self._gallery.classes)
        return data

    def _hold_out(
        self, data: TrainingData, early_stopping: bool, rng: np.random.Generator
    ) -> tuple[IntArray, IntArray]:
        """Hold out rows in every fit, because the threshold is chosen on them."""
        count = np.bincount(data.target)
        enough = (count if data.kind == "pairs" else count.max()) >= _MIN_TO_HOLD_OUT
        if early_stopping or self._split_of(data) == "classes" or np.all(enough):
            return hold_out(
                data.target, self.validation_fraction, self._split_of(data), rng
            )
        warn(
            "Too few rows to hold any out: `threshold_` is chosen on training pairs "
            "and is optimistic. Call calibrate_threshold with other data."
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
        pairs, same = pairs_to_calibrate(data, held, rng)
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
        folds: list[ClassFold],
        rng: np.random.Generator,
    ) -> None:
        """Learn threshold and probability on held-out pairs, and enroll references."""
        pairs, same = pairs_to_calibrate(data, held if len(held) else kept, rng)
        scorer = self._scorer
        score = scorer.rows(data.sides[0], data.sides[-1], pairs)
        self._threshold = Threshold.learn(same, score)
        among = data.target[pairs] if data.kind == "rows" else None
        value = self._threshold.value
        self._report = report_of_pairs("accuracy", value, same, score, among)
        encode = partial(scorer.codes, side=0)
        gallery, searches = self._gallery, self._strangers
        if gallery.embeddings is not None:  # training has changed the embedding
            gallery = gallery.re_embedded(lambda rows: scorer.codes(rows, 1))
        if searches is not None and data.kind != "rows":
            searches = searches.embedded_by(encode)
        if data.kind == "rows":
            self._has_rows = True
            rows, names = data.sides[0], self._class_numbers.names_of(data.target)
            ids = numbered_ids(self._n_rows, len(names))
            codes = scorer.codes(rows, 1)
            gallery = self._extended(gallery, rows, codes, names, ids, rng)
            self._n_rows += len(names)
            if self._has_embedding:
                among = held if len(held) else kept
                trained = np.unique(names[kept])
                given = rows[among], names[among], trained, folds, data.target
                searches = self._searches_of_fit(*given, rng)
        if searches is not None and len(gallery):
            searches = self._shifted(searches, gallery)
        self._keep(gallery, searches)

    def _extended(
        self,
        gallery: Gallery,
        rows: Any,
        codes: Any,
        names: Array,
        ids: Array,
        rng: np.random.Generator,
    ) -> Gallery:
        embeddings = codes if self._has_embedding else None
        return gallery.extended(rows, embeddings, names, self.n_references, rng, ids)

    def _class_scores(self, X: Any) -> DoubleArray:
        """Score of each class, (n, n_classes)."""
        view = snapshot_of(self)
        gallery, rows = view._enrolled(), check_rows(view, X, reset=False)
        with threads(self.n_threads):
            codes = view._scorer.codes(rows, 0)
            return gallery.class_scores(codes, *view._searched_by).astype(np.float64)
