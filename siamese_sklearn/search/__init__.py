"""Nearest neighbors among rows that come and go, behind four verbs.

A `Search` finds rows by the Euclidean distance: `fit` takes all rows, `add` and
`remove` change them, and `kneighbors` searches. `ExactSearch` compares a query with all
rows, `ApproximateSearch` with a few of them.
"""

from siamese_sklearn.search._approximate import ApproximateSearch
from siamese_sklearn.search._exact import ExactSearch
from siamese_sklearn.search._protocol import Search

__all__ = ["ApproximateSearch", "ExactSearch", "Search"]
