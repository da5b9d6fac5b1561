"""A call changes an estimator as a whole, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

__all__ = ["draft_of", "snapshot_of"]

Estimator = TypeVar("Estimator")


@contextmanager
def draft_of(estimator: Estimator) -> Iterator[Estimator]:
    """Yield a copy, which replaces the state of the estimator if the block succeeds.

    Until then, the estimator answers as before, also in other threads. The state is
    replaced by one assignment, so that no interrupt leaves a part of it.

    Parameters
    ----------
    estimator : object
        Its attributes are shared: the block must set them, not change them in place.

    Yields
    ------
    object
        Of the same class.
    """
    draft = object.__new__(type(estimator))
    draft.__dict__ = dict(vars(estimator))
    yield draft
    estimator.__dict__ = draft.__dict__


def snapshot_of(estimator: Estimator) -> Estimator:
    """Return the estimator as it is now, whatever another thread does to it.

    A draft replaces the state as a whole, so that the present one stays as it is. What
    is set on the snapshot is set on the estimator, unless its state was replaced.
    """
    view = object.__new__(type(estimator))
    view.__dict__ = estimator.__dict__
    return view
