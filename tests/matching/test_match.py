"""Matches against plain loops over all pairs."""

import numpy as np
import pandas as pd
import pytest
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models import CONFIGURATIONS, quick, quick_classifier
from siamese_sklearn import Pairs, PairTransformer
from siamese_sklearn.matching import _tables, deduplicate, match


@pytest.fixture(scope="module")
def model(halves):
    """A classifier whose scores are negative distances."""
    X, _, y, _ = halves
    options = {"loss": "contrastive", "purpose": "known_classes", "max_epochs": 20}
    return quick_classifier(**options).fit(X, y)


@pytest.fixture(scope="module")
def embedder(halves):
    X, _, y, _ = halves
    return quick(loss="contrastive", n_components=4).fit(X, y)


def all_scores(model, A, B):
    """`pair_score` of each row of A with each row of B, (n, m)."""
    pairs = Pairs(np.repeat(A, len(B), axis=0), np.tile(B, (len(A), 1)))
    return model.pair_score(pairs).reshape(len(A), len(B)).astype(float)


def as_dict(matches):
    return {
        (left, right): score
        for left, right, score in zip(
            matches["left"], matches["right"], matches["score"], strict=True
        )
    }


def best_of_each(score, k, threshold):
    return {
        (i, j): score[i, j]
        for i in range(len(score))
        for j in np.argsort(-score[i], kind="stable")[:k]
        if score[i, j] >= threshold
    }


@pytest.mark.parametrize(
    "name",
    ["contrastive", "manhattan", "difference head", "two towers", "two channels"],
)
def test_match_keeps_the_best_candidates_that_reach_the_threshold(name, halves):
    X, X_test, y, _ = halves
    model = quick_classifier(max_epochs=1, **CONFIGURATIONS[name]).fit(X, y)
    A, B = X_test[:6], X_test[6:18]
    score = all_scores(model, A, B)
    at = float(np.median(score))
    found = as_dict(match(model, A, B, k=4, threshold=at))
    expected = best_of_each(score, 4, at)
    assert found.keys() == expected.keys()
    assert [found[pair] for pair in expected] == pytest.approx(
        list(expected.values()), rel=1e-5, abs=1e-5
    )


def test_the_threshold_is_the_models(model, halves):
    A, B = halves[1][:10], halves[1][10:40]
    found = match(model, A, B)
    assert found.equals(match(model, A, B, threshold=model.threshold_))
    assert 0 < len(found) < 200
    assert found["score"].min() >= model.threshold_
    assert found["score"].is_monotonic_decreasing
    assert list(found) == ["left", "right", "score", "probability"]


def test_the_probability_is_that_of_predict_proba(model, halves):
    A, B = halves[1][:10], halves[1][10:40]
    found = match(model, A, B, threshold=-100.0)
    pairs = Pairs(A[found["left"]], B[found["right"]])
    np.testing.assert_allclose(
        found["probability"], model.predict_proba(pairs)[:, 1], rtol=1e-6
    )


def test_a_prior_multiplies_the_odds(model, halves):
    """A classifier of rows has seen one half of same pairs: the odds of the prior are
    the factor.
    """
    A, B = halves[1][:10], halves[1][10:40]
    before, after = (
        match(model, A, B, threshold=-100.0, prior=prior)["probability"]
        for prior in (None, 0.2)
    )
    odds = after / (1 - after)
    np.testing.assert_allclose(odds, before / (1 - before) * 0.25, rtol=1e-6)
    same = match(model, A, B, threshold=-100.0, prior=0.5)["probability"]
    np.testing.assert_allclose(same, before, rtol=1e-12)


def test_a_prior_starts_from_the_share_of_the_pairs_of_training(halves):
    X, X_test = halves[:2]
    pairs = Pairs(X[:70], X[5:75])
    same = (np.arange(70) % 10 < 2).astype(int)
    model = quick_classifier(max_epochs=1, loss="contrastive").fit(pairs, same)
    share = model._threshold.prior
    assert 0 < share < 0.5
    plain, given = (
        match(model, X_test[:5], X_test[5:], threshold=-100.0, prior=prior)
        for prior in (None, share)
    )
    np.testing.assert_allclose(plain["probability"], given["probability"], rtol=1e-9)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_precision_keeps_as_many_as_the_mean_probability_allows(model, halves, share):
    A, B = halves[1][:15], halves[1][10:40]
    every = match(model, A, B, threshold=-100.0)["probability"].to_numpy()
    means = np.array([every[:n].mean() for n in range(1, len(every) + 1)])
    precision = (1 - share) * means[0] + share * means[-1]
    n_kept = int(np.flatnonzero(means >= precision).max()) + 1
    assert 0 < n_kept < len(every)
    found = match(model, A, B, precision=precision)
    assert len(found) == n_kept


def test_equal_scores_are_kept_together(model, halves):
    A = halves[1][:4]
    B = np.repeat(halves[1][4:10], 3, axis=0)
    for precision in (0.5, 0.7, 0.9, 0.95):
        found = match(model, A, B, precision=precision)
        assert len(found) % 3 == 0
        assert found["probability"].mean() >= precision or found.empty


def test_a_precision_that_no_candidate_has_keeps_none(model, halves):
    found = match(model, halves[1][:3], halves[1][3:9], precision=0.9999, prior=1e-9)
    assert found.empty
    assert list(found) == ["left", "right", "score", "probability"]


def test_one_to_one(model, halves):
    A, B = halves[1][:20], halves[1][15:45]
    every = match(model, A, B, k=30)
    found = match(model, A, B, k=30, one_to_one=True)
    assert found["left"].is_unique
    assert found["right"].is_unique
    assert as_dict(found).items() <= as_dict(every).items()
    for i in range(15, 20):  # the same rows are in both
        assert (i, i - 15) in as_dict(found)
    # no pair can be added
    is_free = ~every["left"].isin(found["left"]) & ~every["right"].isin(found["right"])
    assert not is_free.any()


def test_ids_are_the_index_of_a_frame(halves):
    X, X_test, y, _ = halves
    columns = ["a", "b", "c", "d"]
    model = make_pipeline(
        PairTransformer(StandardScaler()), quick_classifier(max_epochs=1)
    ).fit(pd.DataFrame(X, columns=columns), y)
    A = pd.DataFrame(X_test[:5], columns=columns, index=list("vwxyz"))
    B = pd.DataFrame(X_test[5:12], columns=columns, index=np.arange(7) * 10)
    found = match(model, A, B, threshold=-100.0, k=2)
    plain = match(
        model,
        A.reset_index(drop=True),
        B.reset_index(drop=True),
        threshold=-100.0,
        k=2,
    )
    assert found["left"].tolist() == ["vwxyz"[i] for i in plain["left"]]
    assert found["right"].tolist() == (plain["right"] * 10).tolist()
    assert found["score"].tolist() == plain["score"].tolist()


@pytest.mark.parametrize("name", ["cosine", "difference head", "two channels"])
@pytest.mark.parametrize("search", ["approximate", NearestNeighbors()])
def test_searches_find_the_same(name, search, halves):
    X, X_test, y, _ = halves
    options = {"max_epochs": 1, "purpose": "known_classes"}
    model = quick_classifier(**options, **CONFIGURATIONS[name]).fit(X, y)
    A, B = X_test[:6], X_test[6:40]
    expected, found = (
        as_dict(match(model, A, B, k=3, threshold=-100.0, search=each))
        for each in ("exact", search)
    )
    assert len(expected) == 18
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", ["cosine", "two channels"])
def test_candidates_come_in_parts(name, halves, monkeypatch):
    X, X_test, y, _ = halves
    options = {"max_epochs": 1, "purpose": "known_classes"}
    model = quick_classifier(**options, **CONFIGURATIONS[name]).fit(X, y)
    A, B = X_test[:11], X_test[5:19]
    whole = match(model, A, B, k=3), deduplicate(model, A, k=3, threshold=-100.0)
    monkeypatch.setattr(_tables, "_CANDIDATES_AT_ONCE", 8)
    parts = match(model, A, B, k=3), deduplicate(model, A, k=3, threshold=-100.0)
    for one, other in zip(whole, parts, strict=True):
        pd.testing.assert_frame_equal(one, other)


def test_more_candidates_than_rows_are_all_rows(model, halves):
    found = match(model, halves[1][:3], halves[1][3:7], k=100, threshold=-100.0)
    assert len(found) == 12


class TestDeduplicate:
    def test_it_finds_each_pair_once(self, model, halves):
        X = halves[1][:25]
        score = all_scores(model, X, X)
        at = float(np.quantile(score, 0.6))
        found = deduplicate(model, X, k=24, threshold=at)
        expected = {
            (i, j): score[i, j]
            for i in range(25)
            for j in range(i + 1, 25)
            if score[i, j] >= at
        }
        assert as_dict(found) == pytest.approx(expected, rel=1e-5)
        assert (found["left"] < found["right"]).all()

    def test_candidates_of_either_row_count(self, model, halves):
        X = halves[1][:12]
        score = all_scores(model, X, X) - 1e9 * np.eye(12)
        pairs = {
            (min(i, j), max(i, j))
            for i in range(12)
            for j in np.argsort(-score[i])[:2].tolist()
        }
        found = deduplicate(model, X, k=2, threshold=-100.0)
        assert as_dict(found).keys() == pairs

    def test_equal_rows_are_candidates_of_each_other(self, model):
        X = np.ones((6, 4), dtype=np.float32)
        found = deduplicate(model, X, k=5, threshold=-100.0)
        assert len(found) == 15
        # six equal rows have two others among the first, or the second two
        few = deduplicate(model, X, k=2, threshold=-100.0)
        assert set(few["left"]) | set(few["right"]) == set(range(6))

    def test_left_is_the_row_that_comes_first(self, model, halves):
        frame = pd.DataFrame(halves[1][:5], index=[9, 3, 7, 1, 5])
        found = deduplicate(model, frame, threshold=-100.0)
        place = {name: i for i, name in enumerate(frame.index)}
        assert len(found) == 10
        assert all(
            place[a] < place[b]
            for a, b in zip(found["left"], found["right"], strict=True)
        )

    def test_one_row_has_no_duplicates(self, model, halves):
        assert deduplicate(model, halves[1][:1], threshold=-100.0).empty


class TestEmbedder:
    def test_scores_are_negative_distances(self, embedder, halves):
        A, B = halves[1][:5], halves[1][5:15]
        found = match(embedder, A, B, k=3, threshold=-0.5)
        expected = best_of_each(all_scores(embedder, A, B), 3, -0.5)
        assert as_dict(found) == pytest.approx(expected, abs=1e-5)
        assert found["probability"].isna().all()

    @pytest.mark.parametrize(
        ("options", "text"),
        [
            ({}, "`threshold` must be given for a SiameseEmbedder"),
            ({"threshold": -1.0, "prior": 0.1}, "`prior` must be None for a SiameseE"),
            ({"precision": 0.9}, "`precision` must be None for a SiameseEmbedder"),
        ],
    )
    def test_what_needs_a_classifier(self, embedder, halves, options, text):
        with pytest.raises(ValueError, match=text):
            match(embedder, halves[1], halves[1], **options)


class TestErrors:
    @pytest.mark.parametrize(
        ("options", "error", "text"),
        [
            ({"k": 0}, ValueError, "`k` must be an integer of at least 1"),
            ({"k": 2.5}, TypeError, "`k` must be an integer"),
            ({"threshold": "a"}, TypeError, "`threshold` must be a finite number"),
            ({"precision": 1.5}, ValueError, "`precision` must be a finite number"),
            ({"prior": 0}, ValueError, "`prior` must be a finite number above 0"),
            ({"search": "fast"}, ValueError, "`search` must be one of 'exact'"),
            ({"one_to_one": "yes"}, TypeError, "`one_to_one` must be True or False"),
            (
                {"threshold": 0.0, "precision": 0.5},
                ValueError,
                "give one of them. Got 0.0 and 0.5",
            ),
        ],
    )
    def test_parameters(self, model, halves, options, error, text):
        with pytest.raises(error, match=text):
            match(model, halves[1], halves[1], **options)

    def test_widths(self, model, halves):
        with pytest.raises(ValueError, match=r"`B`: .*features"):
            match(model, halves[1], halves[1][:, :3])
        with pytest.raises(ValueError, match=r"`A`: .*0 sample"):
            match(model, halves[1][:0], halves[1])

    def test_an_index_with_duplicates(self, model, halves):
        frame = pd.DataFrame(halves[1][:4], index=["a", "b", "a", "c"])
        with pytest.raises(ValueError, match=r"index of `A` .* \['a'\] occur"):
            match(model, frame, halves[1])

    def test_no_table(self, model, halves):
        X = halves[1]
        with pytest.raises(TypeError, match="`B` must be a table of rows; got Pairs"):
            match(model, X, Pairs(X, X))

    def test_no_model(self, halves):
        with pytest.raises(TypeError, match=r"`model` must be .* got StandardScaler"):
            match(StandardScaler(), halves[1], halves[1])

    def test_sides_that_differ_cannot_be_deduplicated(self, halves):
        X = halves[0]
        model = quick_classifier(
            architecture="pseudo_siamese", loss="contrastive", max_epochs=1
        ).fit(Pairs(X[:40], X[:40, :2]), np.arange(40) % 2)
        assert len(match(model, X[:5], X[:5, :2], threshold=-100.0)) == 25
        with pytest.raises(ValueError, match="fitted on different features"):
            deduplicate(model, X)
