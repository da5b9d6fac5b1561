"""What a search does."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from siamese_sklearn._typing import Array, FloatArray, IntArray

__all__ = ["Search"]


@runtime_checkable
class Search(Protocol):
    """Nearest neighbors by Euclidean distance, among rows that are added and removed.

    Rows have numbers: those of `fit` count from 0, and each later row gets the next
    number. A number is not used again when its row is removed.

    Write a class with these four methods to use a library of your own, and pass an
    instance as ``search=``. It is deep-copied before it is fitted.
    """

    def fit(self, X: FloatArray) -> Any:
        """Replace all rows.

        Parameters
        ----------
        X : array of shape (n, d)
            Numbered from 0.
        """

    def add(self, X: FloatArray) -> Any:
        """Add rows.

        Parameters
        ----------
        X : array of shape (n, d)
            They get the next numbers.
        """

    def remove(self, numbers: IntArray) -> Any:
        """Remove rows.

        Parameters
        ----------
        numbers : array of shape (n,)
            Of rows that are there, each once.
        """

    def kneighbors(self, X: FloatArray, n_neighbors: int) -> tuple[Array, IntArray]:
        """Find the nearest rows of each query.

        Parameters
        ----------
        X : array of shape (n, d)
        n_neighbors : int
            At most the number of rows.

        Returns
        -------
        distances : array of shape (n, n_neighbors)
            Euclidean distances, in ascending order.
        numbers : array of shape (n, n_neighbors)
        """
