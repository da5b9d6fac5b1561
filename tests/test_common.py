"""scikit-learn's conformity suite, over several configurations, with no failure
expected.
"""

from unittest import SkipTest

import pytest
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from models import quick, quick_classifier
from siamese_sklearn import ContrastiveLoss, MLPTower, PairTransformer, TripletLoss

EMBEDDERS = [
    quick(),
    quick(
        loss=ContrastiveLoss(margin=1.0, distance="cosine"),
        tower=MLPTower(hidden_layer_sizes=(16,)),
    ),
    quick(
        loss="exponential",
        distance="manhattan",
        n_components=8,
        normalize=False,
        n_threads=1,
    ),
    quick(
        loss=TripletLoss(mining="semihard"),
        optimizer="sgd",
        net_params={"optimizer__momentum": 0.9},
    ),
    quick(
        loss="triplet",
        margin="soft",
        mining="hard",
        early_stopping=True,
        n_iter_no_change=2,
    ),
    quick(max_epochs=2).set_output(transform="pandas"),
]
CLASSIFIERS = [
    quick_classifier(),
    quick_classifier(loss="binary_cross_entropy", head="difference", n_components=8),
    quick_classifier(
        architecture="pseudo_siamese", loss="hinge", head="product", n_references=1
    ),
    quick_classifier(
        architecture="two_channel", loss="binary_cross_entropy", lr=0.01, max_epochs=6
    ),
    quick_classifier(
        loss=TripletLoss(),
        tower=MLPTower(hidden_layer_sizes=(16,)),
        early_stopping=True,
    ),
    quick_classifier(
        loss="exponential", distance="manhattan", normalize=False, n_references=None
    ),
]
QUICK = [EMBEDDERS[0], PairTransformer(StandardScaler())]
OTHERS = [*EMBEDDERS[1:], *CLASSIFIERS]
# PyTorch arrays as X; needs an environment variable
LEFT_OUT_BY_SCIKIT_LEARN = "SCIPY_ARRAY_API is not set"


def conform(estimator, check):
    try:
        check(estimator)
    except SkipTest as skip:
        if LEFT_OUT_BY_SCIKIT_LEARN not in str(skip):
            pytest.fail(f"A check was skipped: {skip}")
        raise


@parametrize_with_checks(QUICK)
def test_conforms_to_scikit_learn(estimator, check):
    conform(estimator, check)


@pytest.mark.slow
@parametrize_with_checks(OTHERS)
def test_conforms_to_scikit_learn_in_every_configuration(estimator, check):
    conform(estimator, check)


NOT_GENERATED = [
    "check_dataframe_column_names_consistency",
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    "check_set_output_transform_polars",
    "check_global_output_transform_pandas",
    "check_global_set_output_transform_polars",
]


CHECKED = {
    **{f"embedder{i}": estimator for i, estimator in enumerate(EMBEDDERS[:5])},
    **{f"classifier{i}": estimator for i, estimator in enumerate(CLASSIFIERS[:3])},
}


@pytest.mark.slow
@pytest.mark.parametrize("check", NOT_GENERATED)
@pytest.mark.parametrize("name", CHECKED)
# the checks mix both kinds
@pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names")
def test_conforms_to_the_checks_that_scikit_learn_does_not_generate(name, check):
    estimator = CHECKED[name]
    getattr(estimator_checks, check)(type(estimator).__name__, estimator)
