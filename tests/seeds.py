"""Random numbers of torch that are the same every time."""

from contextlib import contextmanager

import torch


@contextmanager
def torch_seed(seed=0):
    """Seed torch's default generator within the block, and leave it as it was before.

    torch.manual_seed would also note a stack trace for every kind of device that is not
    there, which takes milliseconds.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
