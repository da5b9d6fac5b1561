"""All calls that take labels answer alike for every kind of label."""

import numpy as np
import pandas as pd
import pytest

from models import quick, quick_classifier
from siamese_sklearn import make_pairs, make_triplets
from siamese_sklearn.metrics import (
    cmc_curve,
    fpir,
    map_at_r,
    map_at_r_scorer,
    pair_scores,
    rank_1_identification_scorer,
    recall_at_k,
)

BIG = 2**60
CLASSES = {
    "int8": (np.int8([3, 4, 5]), "i"),
    "int64 beyond 2**53": (np.arange(3) + BIG, "i"),
    "uint64 beyond 2**63": (np.arange(3, dtype=np.uint64) + np.uint64(2**63), "u"),
    "beyond 64 bits": (np.array([2**70, 2**70 + 1, 2**70 + 2], dtype=object), "O"),
    "Int64": (pd.array([BIG, BIG + 1, BIG + 2], dtype="Int64"), "i"),
    "strings": (np.array(["ann", "bob", "eve"]), "U"),
    "strings as objects": (np.array(["ann", "bob", "eve"], dtype=object), "O"),
    "string": (pd.array(["ann", "bob", "eve"], dtype="string"), "O"),
    "category": (pd.Categorical(["ann", "bob", "eve"]), "O"),
}


def check_alike(calls, y, names):
    """What each call returns for labels is what it returns for 0, 1 and 2."""
    for call in calls:
        np.testing.assert_array_equal(call(names[y]), call(y))


@pytest.fixture(scope="module")
def plain(halves):
    """A classifier and an embedder fitted on 0, 1 and 2."""
    X, _, y, _ = halves
    return [make(max_epochs=1).fit(X, y) for make in (quick_classifier, quick)]


@pytest.mark.parametrize(("names", "kind"), CLASSES.values(), ids=CLASSES)
class TestEveryKind:
    def test_makes_the_same_classes(self, names, kind, halves, plain):
        X_train, X_test, y_train, y_test = halves
        plain = plain[0]
        model = quick_classifier(max_epochs=1).fit(X_train, names[y_train])
        assert model.classes_.dtype.kind == kind
        assert model.classes_.tolist() == list(names)
        found, wanted = model.predict(X_test), plain.predict(X_test)
        assert found.tolist() == [names[number] for number in wanted]
        assert model.score(X_test, names[y_test]) == plain.score(X_test, y_test)
        assert rank_1_identification_scorer(
            model, X_test, names[y_test]
        ) == rank_1_identification_scorer(plain, X_test, y_test)

    def test_is_enrolled_forgotten_and_trained_on(self, names, kind, halves):
        X_train, _, y_train, _ = halves
        X, y = X_train[y_train < 2], y_train[y_train < 2]
        model = quick_classifier(max_epochs=1).fit(X, names[y])
        model.enroll(X_train[[0, -1]] + 9, names[[0, 2]])
        assert model.classes_.tolist() == list(names)
        assert model.forget(names[[1]]).classes_.tolist() == [names[0], names[2]]
        model.partial_fit(X_train, names[y_train])
        assert model.classes_.tolist() == list(names)

    def test_makes_the_same_pairs_and_metrics(self, names, kind, halves):
        X, _, y, _ = halves
        scores = -np.abs(X[:, :1] - [[1, 2, 3]])
        calls = [
            lambda y: make_pairs(X, y, random_state=0)[0].left,
            lambda y: make_triplets(X, y, random_state=0).negative,
            lambda y: map_at_r(X, y),
            lambda y: recall_at_k(X, y, gallery=X[:30], gallery_labels=y[:30]),
            lambda y: pair_scores(X, y)[1],
            lambda y: cmc_curve(y, scores, classes=y[[0, 25, 50]]),
            lambda y: fpir(y, scores[:, :2], -1.5, classes=y[[0, 25]]),
        ]
        check_alike(calls, y, names)

    def test_embeds_and_scores_alike(self, names, kind, halves, plain):
        X, y, plain = halves[0], halves[2], plain[1]
        model = quick(max_epochs=1).fit(X, names[y])
        np.testing.assert_array_equal(model.transform(X), plain.transform(X))
        assert model.score(X, names[y]) == plain.score(X, y)
        assert map_at_r_scorer(model, X, names[y]) == map_at_r_scorer(plain, X, y)


def test_booleans_are_classes(halves):
    X, y = halves[0][:50], halves[2][:50] == 1
    for labels in (y, pd.Series(y, dtype="boolean"), y.tolist()):
        model = quick_classifier(max_epochs=1).fit(X, labels)
        assert (model.classes_.dtype, model.classes_.tolist()) == (bool, [False, True])
        with pytest.raises(ValueError, match=r"must be of the same kind; .* booleans"):
            model.enroll(X[:1] + 9, 2)
        with pytest.raises(ValueError, match=r"not enrolled: \[1\]"):
            model.forget(1)


def test_a_person_with_a_wider_id_is_nobody_else(halves):
    X, ids = halves[0], BIG + halves[2]
    model = quick_classifier(max_epochs=1).fit(X, ids)
    model.enroll(X[:1] + 50, np.uint64(BIG + 77))
    assert model.classes_.tolist() == [BIG, BIG + 1, BIG + 2, BIG + 77]
    model.enroll(X[:1] + 99, 2**70)
    assert model.classes_.tolist()[-2:] == [BIG + 77, 2**70]


def test_an_unknown_label_rounds_no_class(halves):
    X, ids = halves[0], (BIG + halves[2]).astype(np.uint64)
    model = quick_classifier(max_epochs=1, unknown_label=-1).fit(X, ids)
    middle = float(np.median(model.decision_function(X).max(axis=1)))
    model.set_threshold(middle, task="identification")
    found = set(model.predict(X).tolist())
    assert -1 in found
    assert found <= {-1, BIG, BIG + 1, BIG + 2}


WRONG = {
    "missing": (["a", None], "NaN or None in"),
    "NA": ([pd.NA, 1], "NaN or None in"),
    "continuous": ([0.5, 1.0], "Unknown label type: continuous"),
    "mixed": ([1, "a"], "class labels of one kind"),
    "bytes": ([b"a", b"b"], "Unknown label type: bytes"),
}


@pytest.mark.parametrize(("two", "message"), WRONG.values(), ids=WRONG)
def test_all_calls_refuse_the_same_labels(two, message, models, halves):
    X = halves[0][:8]
    y = two * 4
    model = models("contrastive")
    calls = [
        lambda: quick().fit(X, y),
        lambda: quick_classifier().fit(X, y),
        lambda: model.partial_fit(X, y),
        lambda: model.enroll(X, y),
        lambda: model.score(X, y),
        lambda: model.calibrate_threshold(X, y),
        lambda: make_pairs(X, y),
        lambda: make_triplets(X, y),
        lambda: map_at_r(X, y),
        lambda: pair_scores(X, y),
        lambda: fpir([1, 2] * 4, X[:, :2], 0.5, classes=two),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize("unknown", [None, "unknown"])
def test_dates_are_classes_in_every_unit(halves, unknown):
    X, _, y, _ = halves
    days = pd.to_datetime(["2020-01-01", "2021-01-01", "2022-01-01"])
    model = quick_classifier(max_epochs=1, unknown_label=unknown).fit(X, days[y])
    model.set_threshold(-1e9, task="identification")
    accuracy = np.mean(model.predict(X) == days[y].to_numpy())
    for unit in ("D", "s", "ns"):
        true = days[y].to_numpy().astype(f"datetime64[{unit}]")
        assert model.score(X, true) == accuracy > 0.5
        assert model.score(X, pd.Series(true)) == accuracy
    with pytest.raises(ValueError, match=r"not enrolled: \[.*2019.* 3 classes .*2020"):
        model.forget(np.array(["2019-05-01"], dtype="datetime64[ns]"))
    model.set_threshold(1e9, task="identification")
    model.enroll(X[:1] + 50, np.datetime64("2023-01-01", "D"))
    assert model.classes_.dtype == "datetime64[us]"
    model.forget([pd.Timestamp("2020-01-01")]).forget(np.datetime64("2021-01-01", "ns"))
    assert [day.year for day in model.classes_.tolist()] == [2022, 2023]
