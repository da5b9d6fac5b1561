"""Devices, threads and seeds: set during one call, and restored afterwards."""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from threadpoolctl import ThreadpoolController

__all__ = ["import_for_optimizers", "resolve_device", "seeded", "threads"]

_IMPORTED_LATE = "torch._dynamo"  # takes a second or two

# torch's default generator belongs to the whole process
_PROCESS_LOCK = threading.RLock()
# and so does the number of threads of BLAS libraries
_BLAS_LOCK = threading.RLock()


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
    return torch.device("cpu") if resolved.type == "cpu" else resolved  # not "cpu:0"


def import_for_optimizers() -> None:
    """Import what torch imports when a process builds its first optimizer.

    Ctrl-C reaches the main thread only. There, it could leave modules imported in part,
    and each later fit of the process would fail.
    """
    if _IMPORTED_LATE not in sys.modules:
        thread = threading.Thread(target=importlib.import_module, args=[_IMPORTED_LATE])
        thread.start()
        thread.join()


@contextmanager
def usual_modes() -> Iterator[None]:
    """Undo in the block what the caller may have set: inference mode, default device.

    Both belong to the thread, so other threads keep theirs.
    """
    # the context intercepts every function of torch, so it is entered only if needed
    is_usual = torch.get_default_device().type == "cpu"
    on_cpu = nullcontext() if is_usual else torch.device("cpu")
    with torch.inference_mode(mode=False), torch.enable_grad(), on_cpu:
        yield


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's default generators inside the block, and restore them afterwards.

    Gradients are computed, and tensors are on the CPU unless told otherwise.

    Only the generators of the CPU and of `device` are seeded. `torch.manual_seed` would
    also seed those of other devices.
    """
    devices = [device] if device.type == "cuda" else []
    with usual_modes(), _PROCESS_LOCK, torch.random.fork_rng(devices=devices):
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
    """Limit numerical libraries to `n_threads` threads in the block, unless None.

    OpenMP counts threads per calling thread, BLAS libraries per process. Calls in
    several threads do not wait for each other: the first one sets the number for BLAS.
    """
    if n_threads is None:
        yield
        return
    # in a new thread, torch's first look at its own count would undo the limit
    torch.get_num_threads()
    lock = _BLAS_LOCK
    is_first = lock.acquire(blocking=False)
    libraries = ThreadpoolController()
    if not is_first:
        libraries = libraries.select(user_api="openmp")
    try:
        with libraries.limit(limits=n_threads):
            yield
    finally:
        if is_first:
            lock.release()


def _renew_locks() -> None:
    """Replace the locks in a forked process, which has no thread to release them."""
    global _PROCESS_LOCK, _BLAS_LOCK
    _PROCESS_LOCK, _BLAS_LOCK = threading.RLock(), threading.RLock()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_renew_locks)
