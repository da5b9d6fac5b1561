"""Networks of fitted estimators for other runtimes: ONNX and PyTorch alone.

What is exported takes rows as the estimator does, of any number, and includes the
standardization of the input, the part that comes from the input, and unit norm.
"""

from __future__ import annotations

import copy
import io
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from siamese_sklearn._checks import check_option
from siamese_sklearn._estimators import SiameseEmbedder, SiamesePairClassifier
from siamese_sklearn._files import replaced
from siamese_sklearn._net import EmbeddingModule, ScoreModule, on_cpu
from siamese_sklearn._version import __version__

__all__ = ["as_module", "to_onnx", "to_torch"]

_OUTPUTS = ("embedding", "right_embedding", "score")
_ROWS = 2  # to trace with: 1 would be taken for a constant


def as_module(
    estimator: SiameseEmbedder | SiamesePairClassifier, *, output: str = "embedding"
) -> nn.Module:
    """Return what an estimator computes as a module of torch.

    Parameters
    ----------
    estimator : SiameseEmbedder or SiamesePairClassifier
        A fitted one.
    output : {"embedding", "right_embedding", "score"}, default="embedding"
        - "embedding": ``module(X)`` is ``estimator.transform(X)``, of shape
          (B, n_components).
        - "right_embedding": the same for rows of the right side, where there are two
          towers.
        - "score": ``module(left, right)`` is ``estimator.pair_score(Pairs(left,
          right))``, of shape (B,). A pair is the same where the score is at least
          ``threshold_``.

    Returns
    -------
    torch.nn.Module
        On the CPU, in evaluation mode; a copy, which later training does not change.
        Takes float32 Tensors of shape (B, ...).

    Raises
    ------
    TypeError
        If it is another estimator.
    ValueError
        If the output is unknown, or the network has no such output; or if the estimator
        subtracts ``input_offset_`` from the input in float64.
    NotFittedError
        If the estimator is not fitted.

    Examples
    --------
    >>> import torch
    >>> from sklearn.datasets import load_iris
    >>> from siamese_sklearn import SiameseEmbedder
    >>> from siamese_sklearn.export import as_module
    >>> X, y = load_iris(return_X_y=True)
    >>> embedder = SiameseEmbedder(max_epochs=1, random_state=0).fit(X, y)
    >>> as_module(embedder)(torch.tensor(X[:5]).float()).shape
    torch.Size([5, 32])
    """
    if not isinstance(estimator, SiameseEmbedder | SiamesePairClassifier):
        raise TypeError(
            "`estimator` must be a SiameseEmbedder or a SiamesePairClassifier; got "
            f"{type(estimator).__name__}. Export the last step of a pipeline."
        )
    check_is_fitted(estimator)
    check_option("output", output, _OUTPUTS)
    for side in (estimator, estimator._right):
        if side.input_offset_ is not None:
            raise ValueError(
                "The estimator was fitted on features with a large offset, which it "
                "subtracts in float64, as `input_offset_` says; an exported network "
                "takes float32, which would lose their differences. Subtract an offset "
                "of your own before `fit`, and from what the network gets."
            )
    fitted = copy.copy(estimator)
    fitted.net_ = on_cpu(estimator.net_)
    if output == "score":
        return ScoreModule(fitted._scorer)
    if not estimator._has_embedding:
        raise ValueError(
            "`output` must be 'score' for architecture=\"two_channel\", which has no "
            f"embeddings; got {output!r}."
        )
    return EmbeddingModule(fitted.net_, int(output == "right_embedding"))


def to_torch(
    estimator: SiameseEmbedder | SiamesePairClassifier,
    path: str | os.PathLike[str],
    *,
    output: str = "embedding",
) -> None:
    """Write a network for PyTorch alone, by ``torch.export``.

    ``torch.export.load(path).module()`` reads it, without this package.

    Parameters
    ----------
    estimator : SiameseEmbedder or SiamesePairClassifier
        A fitted one.
    path : str or path-like
        Usually ends in ``.pt2``.
    output : {"embedding", "right_embedding", "score"}, default="embedding"
        As in `as_module`.

    Raises
    ------
    TypeError, ValueError
        As in `as_module`, or if ``torch.export`` cannot export a tower or a head of
        your own.
    NotFittedError
        If the estimator is not fitted.

    See Also
    --------
    to_onnx : For other runtimes.
    siamese_sklearn.persistence.save : The whole estimator.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import torch
    >>> from sklearn.datasets import load_iris
    >>> from siamese_sklearn import SiameseEmbedder
    >>> from siamese_sklearn.export import to_torch
    >>> X, y = load_iris(return_X_y=True)
    >>> embedder = SiameseEmbedder(max_epochs=1, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     to_torch(embedder, Path(folder) / "embedder.pt2")
    ...     network = torch.export.load(Path(folder) / "embedder.pt2").module()
    >>> network(torch.tensor(X[:5]).float()).shape
    torch.Size([5, 32])
    """
    content = io.BytesIO()
    torch.export.save(_program(estimator, output), content)
    with replaced(Path(path)) as file:
        file.write(content.getbuffer())


def to_onnx(
    estimator: SiameseEmbedder | SiamesePairClassifier,
    path: str | os.PathLike[str],
    *,
    output: str = "embedding",
) -> None:
    """Write a network for ONNX Runtime and other runtimes.

    The input is named "X", or "left" and "right" for ``output="score"``; the output has
    the name of `output`. The metadata hold "siamese_sklearn", the version, and for a
    `SiamesePairClassifier` "threshold" and "identification_threshold".

    Requires the packages ``onnx`` and ``onnxscript``: ``pip install
    "siamese-sklearn[onnx]"``.

    Parameters
    ----------
    estimator : SiameseEmbedder or SiamesePairClassifier
        A fitted one.
    path : str or path-like
        Usually ends in ``.onnx``.
    output : {"embedding", "right_embedding", "score"}, default="embedding"
        As in `as_module`.

    Raises
    ------
    ImportError
        If ``onnx`` or ``onnxscript`` is missing.
    ValueError
        As in `to_torch`.
    NotFittedError
        If the estimator is not fitted.

    See Also
    --------
    to_torch : For PyTorch.
    """
    missing = [name for name in ("onnx", "onnxscript") if find_spec(name) is None]
    if missing:
        raise ImportError(
            f"to_onnx requires {' and '.join(missing)}: pip install "
            '"siamese-sklearn[onnx]". to_torch needs neither.'
        )
    program = _program(estimator, output)
    names = ["left", "right"] if output == "score" else ["X"]
    try:
        converted: Any = torch.onnx.export(
            program,
            dynamo=True,
            # names the axis, which both sides share
            dynamic_shapes=({0: "batch"}, {0: None})[: len(names)],
            input_names=names,
            output_names=[output],
            verbose=False,
        )
    except Exception as error:
        raise _not_exportable("ONNX", error) from error
    converted.model.metadata_props.update(_metadata(estimator))
    with replaced(Path(path)) as file:
        file.write(converted.model_proto.SerializeToString())


def _program(estimator: Any, output: str) -> ExportedProgram:
    """Trace the network, for any number of rows."""
    module = as_module(estimator, output=output)
    # torch.export.save warns of others
    module = module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    left, right = estimator, estimator._right
    sides = {
        "embedding": (left,),
        "right_embedding": (right,),
        "score": (left, right),
    }[output]
    rows: tuple[Tensor, ...] = tuple(
        torch.zeros(_ROWS, *side.input_shape_) for side in sides
    )
    batch = Dim("batch")
    try:
        with torch.no_grad():
            return torch.export.export(
                module, rows, dynamic_shapes=tuple({0: batch} for _ in rows)
            )
    except Exception as error:
        raise _not_exportable("torch.export", error) from error


def _not_exportable(what: str, error: Exception) -> ValueError:
    return ValueError(
        f"The network cannot be exported to {what}. If the `tower` or the `head` is "
        "your own, use tensor operations only, without branches on values, and "
        "x.shape[0] or x.flatten(1) for the batch size instead of len(x) or a number: "
        f"{error}"
    )


def _metadata(estimator: Any) -> dict[str, str]:
    found = {"siamese_sklearn": __version__}
    if isinstance(estimator, SiamesePairClassifier):
        found["threshold"] = repr(float(estimator.threshold_))
        found["identification_threshold"] = repr(
            float(estimator.identification_threshold_)
        )
    return found
