"""Devices, threads and seeds: set during one call, and restored afterwards."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits

__all__ = ["resolve_device", "seeded", "threads"]

# torch's default generator and the thread counts belong to the whole process
_PROCESS_LOCK = threading.RLock()


def resolve_device(device: str | torch.device) -> torch.device:
    """Return the device that `device` names; raise a ValueError if it is not available.

    Parameters
    ----------
    device : "auto", "cpu", "cuda", "cuda:1", "mps" or torch.device
        "auto" uses a GPU if one is available.

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
            f"`device` is {device!r}, but PyTorch sees {available} such device(s). Use "
            'device="auto", which uses a GPU if one is available, or device="cpu".'
        )
    return resolved


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's default generators inside the block, and restore them afterwards.

    Only the generators of the CPU and of `device` are seeded. `torch.manual_seed` would
    also seed those of other devices.
    """
    devices = [device] if device.type == "cuda" else []
    with _PROCESS_LOCK, torch.random.fork_rng(devices=devices):
        # fork_rng does not cover mps
        mps_state = torch.mps.get_rng_state() if device.type == "mps" else None
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
    """Limit numerical libraries to `n_threads` threads in the block, unless None."""
    if n_threads is None:
        yield
        return
    with _PROCESS_LOCK, threadpool_limits(limits=n_threads):
        yield
