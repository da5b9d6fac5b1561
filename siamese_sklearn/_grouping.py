"""Grouping rows by class: one sort, whatever the number of classes."""

from __future__ import annotations

import numpy as np

from siamese_sklearn._typing import IntArray

__all__ = ["group_by_class", "number_within"]


def group_by_class(
    labels: IntArray, rng: np.random.Generator | None = None
) -> tuple[IntArray, IntArray, IntArray]:
    """Put rows in order of class.

    Parameters
    ----------
    labels : array of shape (n,)
        Classes as integers from 0.
    rng : numpy.random.Generator, default=None
        Shuffles the rows of a class; without it they stay in order.

    Returns
    -------
    order : array of shape (n,)
        Row numbers, class after class.
    start : array of shape (n_classes,)
        Where each class begins in `order`.
    count : array of shape (n_classes,)
        Rows of each class; 0 for a number that no row has.

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
    """Enumerate the members of groups that lie one after another.

    Parameters
    ----------
    count : array of shape (n_groups,)
        Members of each group.

    Returns
    -------
    group : array of shape (n_members,)
        The group of each member.
    number : array of shape (n_members,)
        Its number in the group: 0, 1, ...

    Examples
    --------
    >>> number_within(np.array([2, 3]))
    (array([0, 0, 1, 1, 1]), array([0, 1, 0, 1, 2]))
    """
    group = np.repeat(np.arange(len(count)), count)
    return group, np.arange(len(group)) - (np.cumsum(count) - count)[group]
