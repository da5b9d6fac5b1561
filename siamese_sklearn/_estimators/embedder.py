"""SiameseEmbedder: metric learning as a scikit-learn transformer."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import roc_auc_score
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from siamese_sklearn._estimators.base import SiameseBase
from siamese_sklearn._net import embedding_distance
from siamese_sklearn._validation import check_labels, check_rows, check_same
from siamese_sklearn.losses import LossLike
from siamese_sklearn.metrics import map_at_r
from siamese_sklearn.pairs import Pairs, Triplets
from siamese_sklearn.towers import TowerLike

__all__ = ["SiameseEmbedder"]


class SiameseEmbedder(SiameseBase):
    """Learn an embedding in which rows of one class lie close together and those of other classes far away.

    A Siamese network: one tower maps every row to a vector, and is trained so that the distances between the
    vectors tell the classes apart. `fit` makes the pairs or triplets from ordinary ``(X, y)`` inside
    class-balanced batches; `transform` gives the vectors, for neighbours, clustering, retrieval, pictures, or
    any classifier.

    Parameters
    ----------
    n_components : int, default=32
        Width of the embedding.
    tower : {"auto", "mlp", "cnn"}, MLPTower, CNNTower, torch.nn.Module or callable, default="auto"
        The network. "auto" takes an MLP for flat rows and a CNN for images. A spec
        (``MLPTower(dropout=0.1)``) is searched as ``tower__dropout``. A module maps (B, ...) to
        (B, n_components); it is deep-copied, never trained in place. A callable is called as
        ``tower(input_shape, n_components)`` and returns a module. The built-in towers standardise their input
        (and the MLP clips it and adds a little noise, see `MLPTower`); a module of your own sees X as it is.
    loss : str, loss spec or torch.nn.Module, default="triplet"
        A name in `siamese_sklearn.losses.LOSSES`, a spec (``TripletLoss(margin=0.2)``, searched as
        ``loss__margin``), or a module with ``forward(embeddings, labels)``, which is deep-copied.
    margin : float or "soft", default=None
        Margin of the loss, in place of the one that `loss` has; None leaves that. A loss without a margin
        leaves it unused.
    distance : {"euclidean", "sqeuclidean", "manhattan", "cosine"}, default=None
        Distance between embeddings that the loss shapes, in place of the one that `loss` has; None leaves
        that. A loss that knows no distance leaves it unused.
    mining : str, default=None
        Which pairs or triplets of a batch the loss takes, in place of what `loss` has; None leaves that. A
        loss without mining leaves it unused, and given `Pairs` or `Triplets` are all taken as they are.
    normalize : bool, default=True
        Scale embeddings to unit norm, so that distances lie between 0 and 2 and margins mean the same
        everywhere. A single component is left as it is.
    max_epochs : int, default=40
        Passes over the data.
    batch_size : int, default=64
        Rows (or pairs, or triplets) per step, at least 4. Rows come as groups of 4 of one class, of half a
        batch if that is less.
    lr : float, default=5e-4
        Learning rate.
    optimizer : {"adamw", "adam", "sgd"} or torch.optim.Optimizer class, default="adamw"
        Its further parameters go into `net_params`, e.g. ``{"optimizer__momentum": 0.9}``.
    weight_decay : float, default=0.01
        Left unused by an optimizer class that has none.
    weight_averaging : float, default=0.99
        The model ends with a running mean of its weights over the steps, and this is its decay per step: 0.99
        spans about the last hundred steps, or the last tenth of a training that is short. From 0, which
        keeps the weights of the last step, to below 1.
    augment : "auto", callable or None, default="auto"
        A callable takes a batch (B, ...) as a float32 tensor, and returns one of the same shape. It is called
        in training only, with torch's generator seeded by `random_state`. "auto" is an
        `siamese_sklearn.augmentation.ImageAugmenter`, which turns, scales, shears and shifts each image a
        little, where rows are images for the built-in CNN, and nothing otherwise or for given `Pairs` and
        `Triplets`.
    early_stopping : bool, default=False
        Hold out part of the data, watch retrieval on it (MAP@R; for `Pairs` the area under the ROC curve, for
        `Triplets` the share in order), stop when it no longer rises, and restore the weights of the best
        epoch.
    validation_fraction : float, default=0.1
        Share of the rows, or of the classes, held out by `early_stopping`.
    validation_split : {"rows", "classes"}, default="rows"
        Hold out rows of every class, or whole classes, for a model that has to work on classes it has not
        seen. `Pairs` and `Triplets` are always held out by rows.
    n_iter_no_change : int, default=10
        Epochs without a new best after which `early_stopping` stops.
    callbacks : list of skorch callbacks, default=None
        Deep-copied in `fit`.
    net_params : dict, default=None
        Further parameters of `skorch.NeuralNet`, handed over as they are.
    warm_start : bool, default=False
        Let `fit` go on from the last fit for another `max_epochs`, with its tower, loss and optimizer (and
        the optimizer's state). Parameters that shape these must not change in between; `callbacks` and
        `net_params` are those of the first fit.
    device : {"auto", "cpu", "cuda", "cuda:1", "mps"}, default="auto"
        "auto" takes a GPU where there is one.
    n_threads : int, default=None
        Threads that numerical libraries use during the call; None leaves them alone.
    random_state : int, RandomState instance or None, default=None
        Seeds weights, batches, dropout and augmentation. With an int, each fit on the same data is the same,
        bit for bit on the CPU.
        None draws the seed from NumPy's global generator; apart from that, no global generator is touched.
    verbose : int, default=0
        1 shows a progress bar with the loss and the time left.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes seen in fit. Absent after a fit on `Pairs` or `Triplets`.
    net_ : skorch.NeuralNet
        The fitted net; ``net_.module_`` is the torch module.
    history_ : skorch.history.History
        One row per epoch: "train_loss"; "n_active", the pairs, triplets or rows per batch in the mean of the
        loss; "spread" of the embeddings, from 0 (collapsed) to 1; "valid_score" under `early_stopping`; "dur"
        in seconds.
    n_iter_ : int
        Epochs trained.
    input_shape_ : tuple of int
        Shape of one row.
    n_features_in_ : int
        Length of the first axis of a row.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, if X was a data frame with string names.

    See Also
    --------
    sklearn.neighbors.NeighborhoodComponentsAnalysis : a linear map, for small data.

    Notes
    -----
    GridSearchCV scores with `score`, MAP@R. It stratifies folds for classifiers only: pass
    ``cv=StratifiedKFold(5)`` if y is sorted, because a fold with one class scores 1 whatever the embedding.

    `early_stopping` looks at 2,000 held-out rows at the most, and searches 5,000 training rows for them.

    A tower that is a lambda or a local class cannot be pickled; define it at the top level of a module.

    References
    ----------
    Bromley et al., "Signature Verification using a 'Siamese' Time Delay Neural Network", NeurIPS 1993.

    Hadsell, Chopra & LeCun, "Dimensionality Reduction by Learning an Invariant Mapping", CVPR 2006.

    Schroff, Kalenichenko & Philbin, "FaceNet: A Unified Embedding for Face Recognition and Clustering",
    CVPR 2015.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import train_test_split
    >>> from siamese_sklearn import SiameseEmbedder
    >>> X, y = load_iris(return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
    >>> embedder = SiameseEmbedder(n_components=2, random_state=0).fit(X_train, y_train)
    >>> embedder.transform(X_test).shape
    (38, 2)
    >>> embedder.score(X_test, y_test) > 0.9
    True
    """

    def __init__(
        self,
        n_components: int = 32,
        *,
        tower: TowerLike = "auto",
        loss: LossLike = "triplet",
        margin: float | Literal["soft"] | None = None,
        distance: str | None = None,
        mining: str | None = None,
        normalize: bool = True,
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
        self.tower = tower
        self.loss = loss
        self.margin = margin
        self.distance = distance
        self.mining = mining
        self.normalize = normalize
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

    def score(self, X: Any, y: npt.ArrayLike | None = None) -> float:
        """How well the embedding retrieves: MAP@R, each row searching all the others for rows of its class.

        Parameters
        ----------
        X : as in `transform`
        y : array-like of shape (n,)
            The class of each row. For `Pairs` 1 (same) or 0 (different); ignored for `Triplets`.

        Returns
        -------
        float
            Between 0 and 1, the higher the better. For `Pairs` the area under the ROC curve of `pair_score`;
            for `Triplets` the share whose positive is closer than their negative.

        Raises
        ------
        ValueError
            If no class of y has two rows: there is nothing to retrieve then.

        Warns
        -----
        UserWarning
            If y has one class only: the score is then 1, whatever the embedding.

        See Also
        --------
        siamese_sklearn.metrics : more measures, and scorers for ``scoring=``.
        """
        if isinstance(X, Triplets):
            near = self.pair_distance(Pairs(X.anchor, X.positive))
            return float(np.mean(near < self.pair_distance(Pairs(X.anchor, X.negative))))
        if isinstance(X, Pairs):
            return float(roc_auc_score(check_same(X, y), self.pair_score(X)))
        check_is_fitted(self)
        X = check_rows(self, X, reset=False)
        classes, labels = check_labels(self, X, y, min_classes=1)
        if len(classes) == 1:
            warnings.warn(
                f"y holds one class, {classes.tolist()[0]!r}, so every neighbour is right and MAP@R is 1. If "
                "this is a fold of a cross-validation on sorted labels, stratify it: cv=StratifiedKFold(5).",
                stacklevel=2,
            )
        return map_at_r(self._embed(X)[0], labels, distance=embedding_distance(self.net_))
