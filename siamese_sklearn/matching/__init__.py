"""Match the rows of two tables, or the rows of one table with each other.

`match` and `deduplicate` search the most similar rows of each row, score these pairs
and keep those that are the same by the model. `entities` turns pairs into groups,
`join` adds rows to them, and `explain` says which columns a score comes from.
"""

from siamese_sklearn.matching._entities import entities, join
from siamese_sklearn.matching._explain import explain
from siamese_sklearn.matching._match import deduplicate, match

__all__ = ["deduplicate", "entities", "explain", "join", "match"]
