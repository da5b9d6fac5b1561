"""The only importer of skorch: building the net, its batches and callbacks; devices and seeds."""

from siamese_sklearn._net._build import (
    build_net,
    check_net_params,
    set_learning_rate,
    train,
)
from siamese_sklearn._net._device import resolve_device, seeded, threads
from siamese_sklearn._net._predict import (
    cross_scores,
    embed,
    embedding_distance,
    score_codes,
    scores_by_distance,
)
from siamese_sklearn._net._rows import Rows
from siamese_sklearn._net._run import TrainingRun, Watch

__all__ = [
    "Rows",
    "TrainingRun",
    "Watch",
    "build_net",
    "check_net_params",
    "cross_scores",
    "embed",
    "embedding_distance",
    "resolve_device",
    "score_codes",
    "scores_by_distance",
    "seeded",
    "set_learning_rate",
    "threads",
    "train",
]
