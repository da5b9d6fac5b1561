"""Validation of data and parameters; alone imports scikit-learn's private helpers."""

from siamese_sklearn._validation.data import (
    RightSide,
    check_ids,
    check_labels,
    check_names,
    check_one_kind,
    check_rows,
    check_same,
    check_sides,
    in_chosen_container,
    join_classes,
    number_after,
    numbered_ids,
)
from siamese_sklearn._validation.parameters import (
    check_parameters,
    check_unchanged,
    documented,
    fixed_parameters,
    or_none,
    parameter,
)

__all__ = [
    "RightSide",
    "check_ids",
    "check_labels",
    "check_names",
    "check_one_kind",
    "check_parameters",
    "check_rows",
    "check_same",
    "check_sides",
    "check_unchanged",
    "documented",
    "fixed_parameters",
    "in_chosen_container",
    "join_classes",
    "number_after",
    "numbered_ids",
    "or_none",
    "parameter",
]
