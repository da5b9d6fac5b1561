"""Grouping rows by class, with one sort for any number of classes."""

from __future__ import annotations

import numpy as np

from siamese_sklearn._typing import IntArray

__all__ = ["group_by_class", "number_within"]


def group_by_class(
    labels: IntArray, rng: np.random.Generator | None = None
) -> tuple[IntArray, IntArray, IntArray]:
    """Sort rows by class.

    Parameters
    ----------
    labels : array of shape (n,)
        Classes as integers from 0.
    rng : numpy.random.Generator, default=None
        Shuffles the rows within each class; None keeps their order.

    Returns
    -------
    order : array of shape (n,)
        Row numbers, class by class.
    start : array of shape (n_classes,)
        Where each class starts in `order`.
    count : array of shape (n_classes,)
        Number of rows of each class; 0 for an integer that does not occur.

    Examples
    --------
    >>> group_by_class(np.array([2, 0, 2]))
    (array([1, 0, 2]), array([0, 1, 1]), array([1, 0, 2]))
    """
    if rng is None:
        order = np.argsort(labels, kind="stable")
    else:
        order = rng.permutation(len(labels))
        order = order[np.argsort(labels[order], kind="stable")]
    count = np.bincount(labels)
    return order, np.cumsum(count) - count, count


def number_within(count: IntArray) -> tuple[IntArray, IntArray]:
    """Enumerate the members of consecutive groups.

    Parameters
    ----------
    count : array of shape (n_groups,)
        Number of members of each group.

    Returns
    -------
    group : array of shape (n_members,)
        Group of each member.
    number : array of shape (n_members,)
        Number of each member within its group: 0, 1, ...

    Examples
    --------
    >>> number_within(np.array([2, 3]))
    (array([0, 0, 1, 1, 1]), array([0, 1, 0, 1, 2]))
    """
    group = np.repeat(np.arange(len(count)), count)
    return group, np.arange(len(group)) - (np.cumsum(count) - count)[group]
