"""Devices, threads and seeds: set for the length of one call, then back as they were."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits

__all__ = ["resolve_device", "seeded", "threads"]

_PROCESS_LOCK = (
    threading.RLock()
)  # torch's default generator and the thread counts are the whole process's


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
    """Seed torch's default generators inside the block; outside they go on as if nothing had happened.

    Those of other devices are left alone, so `torch.manual_seed`, which seeds all of them, will not do.
    """
    devices = [device] if device.type == "cuda" else []
    with _PROCESS_LOCK, torch.random.fork_rng(devices=devices):
        mps_state = (
            torch.mps.get_rng_state() if device.type == "mps" else None
        )  # fork_rng passes over it
        try:
            torch.default_generator.manual_seed(seed)
            if device.type == "cuda":
                with torch.cuda.device(device):
                    torch.cuda.manual_seed(seed)
            elif device.type == "mps":
                torch.mps.manual_seed(seed)
            yield
        finally:
            if mps_state is not None:
                torch.mps.set_rng_state(mps_state)


@contextmanager
def threads(n_threads: int | None) -> Iterator[None]:
    """Let numerical libraries use `n_threads` threads inside the block; None leaves them alone."""
    if n_threads is None:
        yield
        return
    with _PROCESS_LOCK, threadpool_limits(limits=n_threads):
        yield
