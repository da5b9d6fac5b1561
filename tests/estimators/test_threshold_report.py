"""What a threshold has reached, and thresholds whose rate is kept with confidence."""

import copy

import numpy as np
import pytest

from models import quick_classifier
from siamese_sklearn import make_pairs
from siamese_sklearn.calibration import allowed_rate, confident_threshold
from siamese_sklearn.metrics._intervals import effective_number, upper_bound


def people(classes, n_each, seed):
    """Rows of some of 200 people, each around its own center."""
    centers = np.random.default_rng(0).normal(scale=1.5, size=(200, 4))
    y = np.repeat(classes, n_each)
    noise = np.random.default_rng(seed).normal(scale=0.5, size=(len(y), 4))
    return (centers[y] + noise).astype(np.float32), y


@pytest.fixture(scope="module")
def fitted():
    return quick_classifier(max_epochs=3, unknown_label=-1).fit(
        *people(range(30), 8, seed=1)
    )


@pytest.fixture
def model(fitted):
    return copy.deepcopy(fitted)


class TestReport:
    def test_rates_of_pairs_are_counted(self, model):
        pairs, same = make_pairs(*people(range(30), 8, seed=2), random_state=0)
        model.calibrate_threshold(pairs, same, strategy="far", target=0.05)
        score = model.pair_score(pairs)
        accepted = score >= model.threshold_
        report = model.threshold_report_
        far, frr = report.rates
        assert (far.name, frr.name) == ("FAR", "FRR")
        assert far.n_errors == np.sum(accepted & (same == 0))
        assert frr.n_errors == np.sum(~accepted & (same == 1))
        assert (far.n, frr.n) == (np.sum(same == 0), np.sum(same == 1))
        assert far.n_classes is frr.n_classes is None
        # independent pairs: the exact interval of a binomial proportion
        assert far.high == pytest.approx(upper_bound(far.rate, far.n, 0.975))
        assert report.threshold == model.threshold_
        assert (report.strategy, report.target) == ("far", 0.05)

    def test_pairs_of_few_people_tell_less(self, model):
        """The same number of pairs: the intervals of 5 people are the wider ones."""
        few, many = (
            model.calibrate_threshold(*data, strategy="eer").threshold_report_.rates[0]
            for data in (people(range(5), 24, seed=2), people(range(30), 4, seed=2))
        )
        assert few.n_classes == 5
        assert many.n_classes == 30
        assert few.high - few.low > 2 * (many.high - many.low)

    def test_rates_of_searches_are_counted(self, model):
        X, y = people(range(30), 8, seed=2)
        model.calibrate_threshold(X, y, strategy="fpir", target=0.1)
        report = model.threshold_report_
        fpir, fnir = report.rates
        answer = model.predict(X)
        assert fnir.n_errors == np.sum(answer != y)
        assert fnir.n == fpir.n == 240
        assert fnir.n_classes == fpir.n_classes == 30
        best = model._strangers.best_scores(model._gallery, *model._searched_by)
        assert fpir.n_errors == np.sum(best >= model.identification_threshold_)
        assert fpir.rate <= 0.1
        for each in report.rates:
            assert each.low <= each.rate <= each.high

    def test_strangers_of_unknown_classes(self, model):
        strangers, _ = people(range(50, 60), 8, seed=2)
        model.calibrate_threshold(
            [], [], strategy="fpir", target=0.1, strangers=strangers
        )
        (fpir,) = model.threshold_report_.rates
        assert (fpir.name, fpir.n, fpir.n_classes) == ("FPIR", 80, None)

    def test_what_it_says(self, model):
        X, y = people(range(30), 8, seed=2)
        model.calibrate_threshold(X, y, strategy="fpir", target=0.2, confidence=0.9)
        report = model.threshold_report_
        text = repr(report)
        assert text.startswith("Threshold ")
        assert "(fpir, target 0.2, confidence 0.9)" in text
        assert "FPIR" in text
        assert "of 240 of 30 classes" in text
        table = report.table
        assert table.index.tolist() == ["FPIR", "FNIR"]
        assert table.loc["FPIR", "errors"] == report.rates[0].n_errors
        assert table.loc["FNIR", "trials"] == 240

    def test_fit_reports_its_own_and_a_threshold_that_is_set_has_none(self, model):
        assert model.threshold_report_.strategy == "accuracy"
        assert model.threshold_report_.threshold == model.threshold_
        model.set_threshold(0.0)
        with pytest.raises(AttributeError, match="set by hand; call calibrate_thr"):
            model.threshold_report_  # noqa: B018
        assert not hasattr(model, "threshold_report_")


class TestConfidence:
    def test_the_bound_is_below_the_target_and_one_error_more_is_not(self):
        draw = np.random.default_rng(0)
        score, classes = draw.random(2000), np.arange(2000) % 100
        rate = allowed_rate(score, classes, 0.05, 0.95, "pairs")
        effective = effective_number(score, classes, 0.05)
        assert upper_bound(rate, effective, 0.95) <= 0.05
        assert upper_bound(rate + 1 / 2000, effective, 0.95) > 0.05

    @pytest.mark.parametrize("strategy", ["far", "frr", "fpir"])
    def test_it_is_stricter_than_without(self, model, strategy):
        X, y = people(range(30), 8, seed=2)
        name = "identification_threshold_" if strategy == "fpir" else "threshold_"
        found = []
        for confidence in (None, 0.6, 0.95):
            model.calibrate_threshold(
                X, y, strategy=strategy, target=0.2, confidence=confidence
            )
            found.append(getattr(model, name))
        assert found == sorted(found, reverse=strategy == "frr")
        assert found[0] != found[2]

    def test_beyond_the_data(self, model):
        X, y = people(range(30), 8, seed=2)
        before = model.threshold_, model.identification_threshold_
        for strategy, what in (("far", "different pairs"), ("fpir", "searches")):
            with pytest.raises(ValueError, match=rf"beyond these data: \d+ {what}"):
                model.calibrate_threshold(
                    X, y, strategy=strategy, target=1e-6, confidence=0.95
                )
        assert (model.threshold_, model.identification_threshold_) == before

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"strategy": "eer"}, "`strategy` must be one of"),
            ({"confidence": 1.0}, "`confidence` must be"),
            ({"confidence": 95}, "`confidence` must be"),
            ({"target": None}, "`target` must be given"),
        ],
    )
    def test_errors(self, model, changes, message):
        given = {"strategy": "far", "target": 0.1, "confidence": 0.9} | changes
        with pytest.raises(ValueError, match=message):
            model.calibrate_threshold(*people(range(30), 8, seed=2), **given)

    @pytest.mark.slow
    def test_the_true_rate_is_kept(self):
        """40 of 600 people, three rows each, are calibrated on, 200 times: at 95 %
        confidence, at least 93 % of the true rates are below the target (four standard
        errors below 0.99, which the jackknife reaches here), and without, about half.
        """
        draw = np.random.default_rng(0)
        centers = draw.normal(size=(600, 4))
        rows = np.repeat(centers, 3, axis=0) + 0.35 * draw.normal(size=(1800, 4))
        person = np.repeat(np.arange(600), 3)
        i, j = np.triu_indices(len(rows), 1)
        other = person[i] != person[j]
        everybody = np.sort(-np.linalg.norm(rows[i[other]] - rows[j[other]], axis=1))
        kept, plain = [], []
        for _ in range(200):
            at = np.flatnonzero(np.isin(person, draw.choice(600, 40, replace=False)))
            i, j = np.triu_indices(len(at), 1)
            pairs = np.stack([at[i], at[j]], axis=1)
            score = -np.linalg.norm(rows[pairs[:, 0]] - rows[pairs[:, 1]], axis=1)
            classes = person[pairs]
            same = (classes[:, 0] == classes[:, 1]).astype(int)
            limit = confident_threshold(same, score, classes, "far", 0.02, 0.95)
            usual = np.quantile(score[same == 0], 0.98)
            for found, rates in ((limit, kept), (usual, plain)):
                rates.append(1 - np.searchsorted(everybody, found) / len(everybody))
        assert np.mean(np.array(kept) <= 0.02) >= 0.93
        assert np.mean(np.array(plain) <= 0.02) < 0.65
