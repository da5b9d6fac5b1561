"""The only importer of skorch: nets, batches, callbacks, devices, seeds and scores."""

from siamese_sklearn._net._attribution import integrated_gradients
from siamese_sklearn._net._build import (
    build_net,
    check_net_params,
    conclude,
    kept_on_error,
    set_learning_rate,
    train_briefly,
    without_callbacks,
)
from siamese_sklearn._net._device import resolve_device, seeded, threads
from siamese_sklearn._net._rows import Rows
from siamese_sklearn._net._run import TrainingRun, Watch
from siamese_sklearn._net._schedule import SCHEDULES, resolve_schedule, usual_epochs
from siamese_sklearn._net._scorer import (
    DistanceScorer,
    Scorer,
    embed,
    embedding_distance,
    make_scorer,
)

__all__ = [
    "SCHEDULES",
    "DistanceScorer",
    "Rows",
    "Scorer",
    "TrainingRun",
    "Watch",
    "build_net",
    "check_net_params",
    "conclude",
    "embed",
    "embedding_distance",
    "integrated_gradients",
    "kept_on_error",
    "make_scorer",
    "resolve_device",
    "resolve_schedule",
    "seeded",
    "set_learning_rate",
    "threads",
    "train_briefly",
    "usual_epochs",
    "without_callbacks",
]
