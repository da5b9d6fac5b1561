"""Devices, threads and seeds: set for the length of one call, then back as they were."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from threadpoolctl import threadpool_limits

__all__ = ["resolve_device", "seeded", "threads"]

_FORK_LOCK = threading.RLock()  # torch has one default generator per process


def resolve_device(device: str | torch.device) -> torch.device:
    """Device that the parameter `device` names, or a ValueError if there is no such device here.

    Parameters
    ----------
    device : "auto", "cpu", "cuda", "cuda:1", "mps" or torch.device
        "auto" takes a GPU where there is one.

    Returns
    -------
    torch.device
    """
    if isinstance(device, str) and device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    wanted = '"auto", "cpu", "cuda", "cuda:<number>" or "mps"'
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"`device` must be {wanted}; got {device!r}.") from error
    n_devices = {
        "cpu": 1,
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }
    if resolved.type not in n_devices:
        raise ValueError(f"`device` must be {wanted}; got {device!r}.")
    available = n_devices[resolved.type]
    if (resolved.index or 0) >= available:
        raise ValueError(
            f"`device` is {device!r}, but PyTorch sees {available} such device(s) here. "
            'Use device="auto", which takes a GPU where there is one, or device="cpu".'
        )
    return resolved


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's default generators inside the block; outside they go on as if nothing had happened."""
    devices = [device] if device.type == "cuda" else []
    with _FORK_LOCK, torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def threads(n_threads: int | None) -> Any:
    """Context in which numerical libraries use `n_threads` threads; None leaves them alone."""
    return nullcontext() if n_threads is None else threadpool_limits(limits=n_threads)
