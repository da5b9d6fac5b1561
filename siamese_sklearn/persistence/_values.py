"""Values as JSON and arrays: a closed set of types, and no class found by its name."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy import sparse

from siamese_sklearn._estimators.class_numbers import ClassNumbers
from siamese_sklearn._estimators.gallery import Gallery
from siamese_sklearn._estimators.strangers import LeftOut, StrangerSearches, Trained
from siamese_sklearn._estimators.threshold_report import ErrorRate, ThresholdReport
from siamese_sklearn._typing import Array
from siamese_sklearn._validation import RightSide
from siamese_sklearn.augmentation import ImageAugmenter
from siamese_sklearn.calibration import Threshold
from siamese_sklearn.losses import LOSSES
from siamese_sklearn.search import ApproximateSearch
from siamese_sklearn.towers import TOWERS

__all__ = ["Decoder", "Encoder", "NotStorableError"]

# The classes whose objects a file can hold, by their names in it.
_CLASSES: dict[str, type[Any]] = {
    **{cls.__name__: cls for cls in (*LOSSES.values(), *TOWERS.values())},
    **{cls.__name__: cls for cls in (ImageAugmenter, ClassNumbers, Gallery)},
    "LeftOut": LeftOut,
    "Trained": Trained,
    "StrangerSearches": StrangerSearches,
    "Threshold": Threshold,
    "ThresholdReport": ThresholdReport,
    "ErrorRate": ErrorRate,
    "RightSide": RightSide,
    "ApproximateSearch": ApproximateSearch,
}
_NAMES = {cls: name for name, cls in _CLASSES.items()}

_OPTIMIZERS = {
    name: cls
    for name, cls in vars(torch.optim).items()
    if isinstance(cls, type) and issubclass(cls, torch.optim.Optimizer)
}
_SPARSE = {"csr_matrix": sparse.csr_matrix, "csr_array": sparse.csr_array}

_TAG = "$"  # key of a JSON object that stands for something else than a dict
_NUMERIC = "biufcUSmM"  # kinds of arrays that NumPy stores without pickle


class NotStorableError(TypeError):
    """A value is of a type that a file cannot hold."""


class Encoder:
    """Turns values into JSON; their arrays are collected in `arrays`."""

    def __init__(self) -> None:
        self.arrays: dict[str, Array] = {}
        self._stored: dict[int, tuple[object, str]] = {}  # keeps the object alive

    def encode(self, value: Any, name: str) -> Any:
        """Return what stands for `value` in JSON.

        Parameters
        ----------
        value : object
        name : str
            From which the names of arrays are made.

        Raises
        ------
        NotStorableError
            If the value, or something in it, is of another type.
        """
        if value is None or type(value) in (bool, int, str):
            return value
        if type(value) is float:
            return value if math.isfinite(value) else _tagged("float", str(value))
        if type(value) is list:
            return self._items(value, name)
        if type(value) is tuple:
            return _tagged("tuple", self._items(value, name))
        if type(value) is dict:
            return self._dict(value, name)
        if isinstance(value, np.generic):
            return self._scalar(value, name)
        if isinstance(value, np.ndarray):
            return self._array(np.asarray(value), name)
        if isinstance(value, torch.Tensor):
            return self._tensor(value, name)
        return self._object(value, name)

    def _items(self, values: Any, name: str) -> list[Any]:
        return [self.encode(value, f"{name}.{i}") for i, value in enumerate(values)]

    def _dict(self, value: dict[Any, Any], name: str) -> dict[str, Any]:
        if all(type(key) is str for key in value) and _TAG not in value:
            return {
                key: self.encode(item, f"{name}.{key}") for key, item in value.items()
            }
        pairs = [list(pair) for pair in value.items()]
        return _tagged("dict", self._items(pairs, name))

    def _scalar(self, value: np.generic, name: str) -> dict[str, Any]:
        if value.dtype.kind in "biuU" or value.dtype.char in "efd":  # as in the history
            plain = self.encode(value.item(), name)
            return _tagged("scalar", plain, dtype=value.dtype.str)
        return _tagged("element", self._array(np.asarray(value), name))

    def _array(self, array: Array, name: str) -> dict[str, Any]:
        if array.dtype == object:
            items = self._items(array.ravel().tolist(), name)
            return _tagged("objects", items, shape=list(array.shape))
        if array.dtype.kind not in _NUMERIC:
            raise NotStorableError(f"an array of dtype {array.dtype}")
        return _tagged("array", self._stored_as(array, name))

    def _tensor(self, tensor: torch.Tensor, name: str) -> dict[str, Any]:
        host = tensor.detach().cpu()
        is_bfloat16 = host.dtype == torch.bfloat16  # which NumPy does not have
        array = (host.view(torch.int16) if is_bfloat16 else host).numpy()
        return _tagged("tensor", self._stored_as(array, name), bfloat16=is_bfloat16)

    def _stored_as(self, array: Array, name: str) -> str:
        """Keep an array once, and return its name."""
        if id(array) in self._stored:
            return self._stored[id(array)][1]
        name = re.sub(r"[^\w.-]", "_", name)
        while name in self.arrays:
            name += "_"
        self.arrays[name] = array
        self._stored[id(array)] = array, name
        return name

    def _object(self, value: Any, name: str) -> dict[str, Any]:
        kind = type(value)
        if kind in _SPARSE.values():
            parts = [value.data, value.indices, value.indptr]
            shape = list(value.shape)
            return _tagged(kind.__name__, self._items(parts, name), shape=shape)
        if kind is np.random.RandomState:
            state = value.get_state(legacy=False)
            return _tagged("RandomState", self.encode(state, name))
        if kind is type and value in _OPTIMIZERS.values():
            return _tagged("optimizer", value.__name__)
        if kind is torch.device:
            return _tagged("device", str(value))
        if kind not in _NAMES:
            raise NotStorableError(_described(value))
        return _tagged("object", self._dict(_state(value), name), of=_NAMES[kind])


class Decoder:
    """Turns JSON and arrays back into values.

    Raises many kinds of exceptions if the JSON is not what an `Encoder` wrote.
    """

    def __init__(self, arrays: dict[str, Array]) -> None:
        self._arrays = arrays

    def decode(self, stored: Any) -> Any:
        """Return the value that `stored` stands for."""
        if isinstance(stored, list):
            return [self.decode(item) for item in stored]
        if not isinstance(stored, dict):
            return stored
        if _TAG not in stored:
            return {key: self.decode(item) for key, item in stored.items()}
        return _READERS[stored[_TAG]](self, stored)

    def _float(self, stored: dict[str, Any]) -> float:
        return float(stored["value"])

    def _tuple(self, stored: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(self.decode(stored["value"]))

    def _dict(self, stored: dict[str, Any]) -> dict[Any, Any]:
        return dict(self.decode(stored["value"]))

    def _scalar(self, stored: dict[str, Any]) -> Any:
        return np.dtype(stored["dtype"]).type(self.decode(stored["value"]))

    def _element(self, stored: dict[str, Any]) -> Any:
        return self.decode(stored["value"])[()]

    def _array(self, stored: dict[str, Any]) -> Array:
        return self._arrays[stored["value"]]

    def _objects(self, stored: dict[str, Any]) -> Array:
        items = self.decode(stored["value"])
        array = np.empty(len(items), dtype=object)
        array[:] = items
        return array.reshape(stored["shape"])

    def _tensor(self, stored: dict[str, Any]) -> torch.Tensor:
        tensor = torch.from_numpy(self._arrays[stored["value"]])
        return tensor.view(torch.bfloat16) if stored["bfloat16"] else tensor

    def _csr(self, stored: dict[str, Any]) -> Any:
        parts = tuple(self.decode(stored["value"]))
        matrix = _SPARSE[stored[_TAG]](parts, shape=tuple(stored["shape"]))
        matrix.check_format(full_check=True)  # bad indices would crash the process
        return matrix

    def _random_state(self, stored: dict[str, Any]) -> np.random.RandomState:
        generator = np.random.RandomState()
        generator.set_state(self.decode(stored["value"]))
        return generator

    def _optimizer(self, stored: dict[str, Any]) -> type[torch.optim.Optimizer]:
        return _OPTIMIZERS[stored["value"]]

    def _device(self, stored: dict[str, Any]) -> torch.device:
        return torch.device(stored["value"])

    def _object(self, stored: dict[str, Any]) -> Any:
        cls, state = _CLASSES[stored["of"]], self.decode(stored["value"])
        if cls is RightSide:
            side = RightSide()
            side.__dict__.update(state)
            return side
        return cls(**state)


_READERS: dict[str, Callable[[Decoder, dict[str, Any]], Any]] = {
    "float": Decoder._float,
    "tuple": Decoder._tuple,
    "dict": Decoder._dict,
    "scalar": Decoder._scalar,
    "element": Decoder._element,
    "array": Decoder._array,
    "objects": Decoder._objects,
    "tensor": Decoder._tensor,
    "csr_matrix": Decoder._csr,
    "csr_array": Decoder._csr,
    "RandomState": Decoder._random_state,
    "optimizer": Decoder._optimizer,
    "device": Decoder._device,
    "object": Decoder._object,
}


def _tagged(kind: str, value: Any, **others: Any) -> dict[str, Any]:
    return {_TAG: kind, "value": value, **others}


def _state(value: Any) -> dict[str, Any]:
    """Return what makes an object of a known class."""
    if dataclasses.is_dataclass(value):
        return {
            each.name: getattr(value, each.name)
            for each in dataclasses.fields(value)
            # a bare object is an identity, and a copy has its own
            if each.init and type(getattr(value, each.name)) is not object
        }
    if isinstance(value, RightSide):
        return dict(vars(value))
    parameters: dict[str, Any] = value.get_params(deep=False)
    return parameters


def _described(value: Any) -> str:
    """Return the name of a function or a class, or what kind of object it is."""
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    return f"a {type(value).__module__}.{type(value).__qualname__}"
