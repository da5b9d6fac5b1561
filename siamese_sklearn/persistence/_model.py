"""Save and load fitted estimators."""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sklearn.utils.validation import check_is_fitted

from siamese_sklearn._checks import warn
from siamese_sklearn._estimators import SiameseEmbedder, SiamesePairClassifier
from siamese_sklearn._validation import check_unchanged, fixed_parameters
from siamese_sklearn._version import __version__
from siamese_sklearn.persistence._archive import read_archive, write_archive
from siamese_sklearn.persistence._network import OWN, build_again, described, or_own
from siamese_sklearn.persistence._values import Decoder, Encoder, NotStorableError

__all__ = ["load", "save"]

_ESTIMATORS = {cls.__name__: cls for cls in (SiameseEmbedder, SiamesePairClassifier)}

# What no prediction needs, and its name in the warning: a file leaves it out if it
# cannot hold it.
_LEFT_OUT = {
    **{
        name: f"`{name}`"
        for name in (
            "augment",
            "callbacks",
            "lr_schedule",
            "net_params",
            "optimizer",
            "sampler",
            "search",
        )
    },
    "_metadata_request": "the metadata requests",
}

# Built again instead of stored.
_BUILT = ("net_", "history_", "_built_with", "_searched")

_PACKAGES = ("numpy", "scikit-learn", "scipy", "skorch", "torch")


def save(
    estimator: SiameseEmbedder | SiamesePairClassifier, path: str | os.PathLike[str]
) -> None:
    """Write a fitted estimator to a file, without pickle.

    The file holds all that the estimator has learned: parameters, weights, classes,
    references, thresholds and history. What it does not hold:

    - The state of the optimizer, twice the size of the weights: a loaded model that
      trains on starts with a new one.
    - Code: a `tower`, `loss` or `head` of your own type. Their weights are in the file;
      pass them to `load` again.
    - `augment`, `callbacks`, `lr_schedule`, `net_params`, `optimizer`, `sampler` and
      `search`, where they contain functions or objects of other packages. A warning
      names what is left out; set it again by `set_params`.

    Parameters
    ----------
    estimator : SiameseEmbedder or SiamesePairClassifier
        A fitted one.
    path : str or path-like
        A file that exists is replaced, once the new one is complete.

    Raises
    ------
    TypeError
        If it is another estimator, or one of its parameters cannot be stored.
    ValueError
        If parameters that define the network have changed since the fit.
    NotFittedError
        If it is not fitted.

    Warns
    -----
    UserWarning
        If a parameter is left out.

    See Also
    --------
    load : Read the file.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_iris
    >>> from siamese_sklearn import SiameseEmbedder
    >>> from siamese_sklearn.persistence import load, save
    >>> X, y = load_iris(return_X_y=True)
    >>> embedder = SiameseEmbedder(max_epochs=1, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(embedder, Path(folder) / "embedder.npz")
    ...     loaded = load(Path(folder) / "embedder.npz")
    >>> (loaded.transform(X) == embedder.transform(X)).all()
    np.True_
    """
    if type(estimator) not in _ESTIMATORS.values():
        raise TypeError(
            "`estimator` must be a SiameseEmbedder or a SiamesePairClassifier; got "
            f"{type(estimator).__name__}. Save the steps of a pipeline one by one."
        )
    check_is_fitted(estimator)
    # the weights may be on another device than where they were trained
    check_unchanged(
        estimator, {**estimator._built_with, "device": repr(estimator.device)}
    )
    encoder, left_out = Encoder(), list[str]()
    record = {
        "written_by": {"siamese_sklearn": __version__}
        | {name: version(name) for name in _PACKAGES},
        "estimator": type(estimator).__name__,
        "parameters": _parameters(estimator, encoder, left_out),
        "state": _state(estimator, encoder, left_out),
        "network": described(estimator, encoder),
        "history": encoder.encode(estimator.history_.to_list(), "history"),
    }
    write_archive(Path(path), record, encoder.arrays)
    if left_out:
        warn(
            f"The file leaves out {', '.join(left_out)}, which contain functions or "
            "objects of other packages. Set them again before you train the loaded "
            "model."
        )


def load(
    path: str | os.PathLike[str], tower: Any = None, loss: Any = None, head: Any = None
) -> SiameseEmbedder | SiamesePairClassifier:
    """Read an estimator from a file that `save` has written.

    No code from the file is run, and no class is imported by a name in it. The model
    gives the same results as the one that was saved, to the bit on the same machine
    with the same versions. It can be trained on.

    Parameters
    ----------
    path : str or path-like
    tower, loss, head : default=None
        The parameters of the estimator that the file cannot hold because they are
        modules, functions or specs of your own. Pass them as you passed them to the
        estimator; their weights are replaced by those in the file.

    Returns
    -------
    SiameseEmbedder or SiamesePairClassifier
        Fitted. On the device that the parameter `device` names, or on the CPU if there
        is none.

    Raises
    ------
    ValueError
        If the file is of another kind, damaged, cut short, or of a newer format; if it
        holds parameters or classes that this version does not have; if it needs a
        tower, a loss or a head that is not passed, or if one is passed that it does not
        need or that its weights do not fit.
    OSError
        If there is no such file, or it cannot be read.

    Warns
    -----
    UserWarning
        If the device does not exist on this machine.

    See Also
    --------
    save : Write the file.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from torch import nn
    >>> from sklearn.datasets import load_iris
    >>> from siamese_sklearn import SiameseEmbedder
    >>> from siamese_sklearn.persistence import load, save
    >>> X, y = load_iris(return_X_y=True)
    >>> tower = nn.Linear(4, 32)
    >>> embedder = SiameseEmbedder(tower=tower, max_epochs=1).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(embedder, Path(folder) / "embedder.npz")
    ...     loaded = load(Path(folder) / "embedder.npz", tower=nn.Linear(4, 32))
    >>> (loaded.transform(X) == embedder.transform(X)).all()
    np.True_
    """
    record, arrays = read_archive(Path(path))
    given = {"tower": tower, "loss": loss, "head": head}
    for name, value in given.items():
        _check_given(name, value, _own(record, name))
    try:
        decoded = _decoded(record, Decoder(arrays), given)
    except Exception as error:  # what is unknown makes many kinds
        raise ValueError(
            f"{path} holds what this version of siamese_sklearn, {__version__}, does "
            f"not know ({type(error).__name__}: {error}). It was written by version "
            f"{record.get('written_by', {}).get('siamese_sklearn')}."
        ) from error
    estimator, network, history = decoded
    estimator.net_ = build_again(estimator, network, history)
    estimator.history_ = estimator.net_.history
    estimator._built_with = fixed_parameters(estimator)
    return estimator


def _parameters(
    estimator: Any, encoder: Encoder, left_out: list[str]
) -> dict[str, Any]:
    stored: dict[str, Any] = {}
    for name, value in estimator.get_params(deep=False).items():
        if name in OWN:
            stored[name] = or_own(encoder, value, name)
            continue
        try:
            stored[name] = {"value": encoder.encode(value, name)}
        except NotStorableError as error:
            if name not in _LEFT_OUT:
                raise TypeError(f"`{name}` cannot be stored: {error}.") from error
            left_out.append(_LEFT_OUT[name])
    return stored


def _state(estimator: Any, encoder: Encoder, left_out: list[str]) -> dict[str, Any]:
    stored: dict[str, Any] = {}
    others = {*_BUILT, *estimator.get_params(deep=False)}
    for name, value in vars(estimator).items():
        if name in others:
            continue
        try:
            stored[name] = encoder.encode(value, name)
        except NotStorableError as error:
            if name not in _LEFT_OUT:
                raise TypeError(f"`{name}` cannot be stored: {error}.") from error
            left_out.append(_LEFT_OUT[name])
    return stored


def _own(record: dict[str, Any], name: str) -> str | None:
    """Return what the parameter was, if the file cannot hold it."""
    kind: str | None = record.get("parameters", {}).get(name, {}).get("own")
    return kind


def _check_given(name: str, given: Any, own: str | None) -> None:
    if own is not None and given is None:
        raise ValueError(
            f"The model has a `{name}` of your own, {own}, which the file cannot hold. "
            f"Pass it: load(path, {name}=...)."
        )
    if own is None and given is not None:
        raise ValueError(f"`{name}` must be None, because the file holds the {name}.")


def _decoded(
    record: dict[str, Any], decoder: Decoder, given: dict[str, Any]
) -> tuple[
    SiameseEmbedder | SiamesePairClassifier, dict[str, Any], list[dict[str, Any]]
]:
    """Return the estimator without its net, and what the net is made of."""
    own = {name: value for name, value in given.items() if value is not None}
    stored = record["parameters"].items()
    parameters = {
        name: own[name] if name in own else decoder.decode(entry["value"])
        for name, entry in stored
    }
    estimator = _ESTIMATORS[record["estimator"]](**parameters)
    estimator.__dict__.update(decoder.decode(record["state"]))
    network = {
        name: own[name]
        if name in own
        else decoder.decode(value["value"] if name in OWN else value)
        for name, value in record["network"].items()
    }
    return estimator, network, decoder.decode(record["history"])
