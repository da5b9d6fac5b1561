"""Validation of data and of parameters. The only importer of scikit-learn's private helpers."""

from siamese_sklearn._validation.data import (
    RightSide,
    check_labels,
    check_names,
    check_rows,
    check_same,
    check_sides,
    in_chosen_container,
    join_classes,
    keep_fitted_state,
)
from siamese_sklearn._validation.parameters import SPLITS, check_parameters, check_unchanged, fixed_parameters

__all__ = [
    "SPLITS",
    "RightSide",
    "check_labels",
    "check_names",
    "check_parameters",
    "check_rows",
    "check_same",
    "check_sides",
    "check_unchanged",
    "fixed_parameters",
    "in_chosen_container",
    "join_classes",
    "keep_fitted_state",
]
