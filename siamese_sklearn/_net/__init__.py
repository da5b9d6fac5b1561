"""The only importer of skorch: nets, batches, callbacks, devices, seeds and scores."""

from siamese_sklearn._net._attribution import integrated_gradients
from siamese_sklearn._net._build import (
    build_net,
    check_callbacks_of,
    check_net_params,
    train_briefly,
    training,
    without_callbacks,
)
from siamese_sklearn._net._continuing import net_to_continue
from siamese_sklearn._net._device import (
    import_for_optimizers,
    resolve_device,
    seeded,
    threads,
)
from siamese_sklearn._net._modules import (
    EmbeddingModule,
    ScoreModule,
    on_cpu,
    uncompiled,
)
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
    "EmbeddingModule",
    "Rows",
    "ScoreModule",
    "Scorer",
    "TrainingRun",
    "Watch",
    "build_net",
    "check_callbacks_of",
    "check_net_params",
    "embed",
    "embedding_distance",
    "import_for_optimizers",
    "integrated_gradients",
    "make_scorer",
    "net_to_continue",
    "on_cpu",
    "resolve_device",
    "resolve_schedule",
    "seeded",
    "threads",
    "train_briefly",
    "training",
    "uncompiled",
    "usual_epochs",
    "without_callbacks",
]
