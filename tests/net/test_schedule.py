"""Learning-rate schedules: their values, what they do to the optimizer, and the budget
of steps that they are spread over.
"""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback, LRScheduler

from models import quick, quick_classifier
from nets import X, Y, make_embedder, make_net, make_run, train
from siamese_sklearn import SiameseEmbedder
from siamese_sklearn._net import SCHEDULES, resolve_schedule, usual_epochs
from siamese_sklearn.losses import ProxyAnchorLoss
from siamese_sklearn.pairs import Pairs, Triplets

N_BATCHES = 3  # per epoch, of 48 rows in batches of 16


class Rates(torch.optim.SGD):
    """An optimizer that records the learning rates of each step."""

    def __init__(self, params, **options):
        super().__init__(params, **options)
        self.rates = []

    def step(self, closure=None):
        self.rates.append([group["lr"] for group in self.param_groups])
        return super().step(closure)


class StopAfter(Callback):
    """Presses Ctrl-C after a number of steps in all."""

    def __init__(self, n_steps):
        self.n_left = n_steps

    def on_batch_end(self, net, **kwargs):
        self.n_left -= 1
        if self.n_left == 0:
            raise KeyboardInterrupt


def halving(step, n_steps):
    return 0.5**step


def recording(**changes):
    """An embedder of two epochs of three steps, whose optimizer records its rates."""
    return make_embedder(
        **{"max_epochs": 2, "optimizer": Rates, "lr": 0.1, "augment": None, **changes}
    )


def rates_of(embedder):
    """Learning rates of the first group at each step, as factors of the first rate."""
    rates = np.array(embedder.net_.optimizer_.rates)
    return rates[:, 0] / 0.1


def rates_now(embedder):
    return [group["lr"] for group in embedder.net_.optimizer_.param_groups]


class TestValues:
    @pytest.mark.parametrize("step", [0, 1, 17, 99])
    def test_constant(self, step):
        assert SCHEDULES["constant"](step, 100) == 1

    @pytest.mark.parametrize(
        ("step", "expected"),
        [
            (0, 1.0),
            (100 / 3, 0.75),  # cos 60 degrees = 1/2
            (50, 0.5),
            (200 / 3, 0.25),
            (100, 0.0),
        ],
    )
    def test_cosine(self, step, expected):
        assert SCHEDULES["cosine"](step, 100) == pytest.approx(expected, abs=1e-12)

    @pytest.mark.parametrize(
        ("step", "expected"),
        [
            (0, 0.04),
            (10, 0.04 + 0.96 * 0.25),  # a third of the rise: (1 - cos 60 degrees) / 2
            (15, 0.52),  # half of it
            (30, 1.0),
            (65, 0.5),  # half of the fall, from 30 to 100
            (100, 0.0),
        ],
    )
    def test_one_cycle(self, step, expected):
        assert SCHEDULES["one_cycle"](step, 100) == pytest.approx(expected, abs=1e-12)

    @given(n_steps=st.integers(1, 300))
    def test_cosine_falls_and_one_cycle_rises_first(self, n_steps):
        cosine, one_cycle = (
            [SCHEDULES[name](step, n_steps) for step in range(n_steps)]
            for name in ("cosine", "one_cycle")
        )
        assert (np.diff(cosine) < 0).all()
        top = 0.3 * n_steps
        steps = np.arange(n_steps)
        assert (np.diff(one_cycle)[steps[1:] <= top] > 0).all()
        assert (np.diff(one_cycle)[steps[:-1] >= top] < 0).all()
        for factors in (cosine, one_cycle):
            assert 0 < min(factors) <= max(factors) <= 1

    @pytest.mark.parametrize("name", ["cosine", "one_cycle"])
    def test_last_step_is_near_zero(self, name):
        """One step before the end of half a cosine of at least 700 steps: less than
        (pi / 700)^2 / 4.
        """
        assert 0 < SCHEDULES[name](999, 1000) < (math.pi / 700) ** 2 / 4 + 1e-12

    @pytest.mark.parametrize("name", SCHEDULES)
    def test_a_single_step(self, name):
        assert SCHEDULES[name](0, 1) == (0.04 if name == "one_cycle" else 1)


class TestResolve:
    def test_names(self):
        assert resolve_schedule("cosine", None) is SCHEDULES["cosine"]
        assert resolve_schedule("one_cycle", []) is SCHEDULES["one_cycle"]
        assert resolve_schedule("constant", None) is None
        assert resolve_schedule(halving, None) is halving

    @pytest.mark.parametrize(
        "scheduler",
        [
            LRScheduler,
            LRScheduler(),
            ("rates", LRScheduler),
            ("rates", LRScheduler()),
            type("Own", (LRScheduler,), {}),
            type("Own", (LRScheduler,), {})(),
        ],
        ids=["class", "instance", "named class", "named", "own class", "own"],
    )
    def test_a_scheduler_of_skorch_wins(self, scheduler):
        callbacks = [Callback(), ("stop", StopAfter(9)), StopAfter, scheduler]
        assert resolve_schedule("cosine", callbacks) is None
        assert resolve_schedule(halving, callbacks) is None
        assert resolve_schedule("cosine", callbacks[:3]) is SCHEDULES["cosine"]


class TestStepping:
    @pytest.mark.parametrize("name", SCHEDULES)
    def test_every_step_has_its_rate(self, name):
        embedder = recording(lr_schedule=name).fit(X, Y)
        n_steps = 2 * N_BATCHES
        expected = [SCHEDULES[name](step, n_steps) for step in range(n_steps)]
        np.testing.assert_allclose(rates_of(embedder), expected, rtol=1e-12)
        assert rates_now(embedder) == [0.1]

    def test_cosine_is_the_default(self):
        """Of two steps: 1 and (1 + cos 90 degrees) / 2."""
        assert SiameseEmbedder().lr_schedule == "cosine"
        embedder = recording(batch_size=48, max_epochs=2).fit(X, Y)
        np.testing.assert_allclose(rates_of(embedder), [1, 0.5])

    def test_a_callable_gets_the_step_and_their_number(self):
        asked = []

        def schedule(step, n_steps):
            asked.append((step, n_steps))
            return halving(step, n_steps)

        embedder = recording(lr_schedule=schedule).fit(X, Y)
        assert asked == [(step, 6) for step in range(6)]
        np.testing.assert_allclose(rates_of(embedder), 0.5 ** np.arange(6.0))
        assert rates_now(embedder) == [0.1]

    def test_a_rate_of_zero_learns_nothing(self):
        embedder = recording(
            lr_schedule=lambda step, n_steps: float(step < 3), weight_averaging=0.0
        )
        weights = []

        class Record(Callback):
            def on_epoch_end(self, net, **kwargs):
                weights.append([p.detach().clone() for p in net.module_.parameters()])

        embedder.set_params(callbacks=[Record()]).fit(X, Y)
        assert all(torch.equal(*pair) for pair in zip(*weights, strict=True))

    @pytest.mark.parametrize("data", ["pairs", "triplets"])
    def test_pairs_and_triplets(self, data):
        sides = {"pairs": Pairs(X[:40], X[8:]), "triplets": Triplets(X, X, X)}[data]
        same = np.arange(40) % 2 if data == "pairs" else None
        embedder = recording(loss="triplet" if same is None else "contrastive")
        embedder.fit(sides, same)
        n_steps = embedder.n_steps_
        expected = [SCHEDULES["cosine"](step, n_steps) for step in range(n_steps)]
        np.testing.assert_allclose(rates_of(embedder), expected)

    def test_weights_of_a_loss_follow_from_their_own_rate(self):
        embedder = recording(
            loss=ProxyAnchorLoss(weights_lr=0.7), lr_schedule=halving
        ).fit(X, Y)
        rates = np.array(embedder.net_.optimizer_.rates)
        assert sorted(rates[0]) == pytest.approx([0.1, 0.7])
        np.testing.assert_allclose(rates, rates[0] * 0.5 ** np.arange(6.0)[:, None])
        assert sorted(rates_now(embedder)) == pytest.approx([0.1, 0.7])

    def test_groups_of_the_user_follow(self):
        groups = [("tower.*bias", {"lr": 0.3})]
        embedder = recording(
            lr_schedule=halving, net_params={"optimizer__param_groups": groups}
        ).fit(X, Y)
        rates = np.array(embedder.net_.optimizer_.rates)
        assert sorted(rates[0]) == pytest.approx([0.1, 0.3])
        np.testing.assert_allclose(rates, rates[0] * 0.5 ** np.arange(6.0)[:, None])

    def test_early_stopping(self):
        """The score never improves after the first epoch, so training stops after
        three; the schedule was made for twenty.
        """
        asked = []

        def schedule(step, n_steps):
            asked.append((step, n_steps))
            return 1e-9

        embedder = recording(
            lr_schedule=schedule, early_stopping=True, n_iter_no_change=2, max_epochs=20
        ).fit(X, Y)
        assert embedder.n_iter_ == 3
        assert embedder.n_steps_ % 20 == 0
        n_batches = embedder.n_steps_ // 20
        assert asked == [(step, 20 * n_batches) for step in range(3 * n_batches)]
        assert rates_now(embedder) == [0.1]

    def test_schedules_of_skorch_win(self):
        """skorch steps them once per epoch."""
        scheduler = LRScheduler("StepLR", step_size=1, gamma=0.5)
        embedder = recording(lr_schedule="cosine", callbacks=[scheduler]).fit(X, Y)
        np.testing.assert_allclose(rates_of(embedder), [1, 1, 1, 0.5, 0.5, 0.5])
        assert rates_now(embedder) == pytest.approx([0.025])


class TestGoingOn:
    def test_partial_fit_ignores_it(self):
        embedder = recording(lr_schedule="one_cycle").partial_fit(X, Y)
        embedder.partial_fit(X, Y)
        np.testing.assert_allclose(rates_of(embedder), np.ones(6))
        assert embedder.n_steps_ == 3

    def test_fit_goes_through_it_again(self):
        embedder = recording(lr_schedule=halving, warm_start=True).fit(X, Y)
        embedder.set_params(max_epochs=1, lr=0.2).fit(X, Y)
        factors = [*0.5 ** np.arange(6.0), *(2 * 0.5 ** np.arange(3.0))]
        np.testing.assert_allclose(rates_of(embedder), factors)
        assert rates_now(embedder) == [0.2]

    def test_rates_are_back_after_an_error(self):
        class Failing:
            n_left = 6

            def __call__(self, batch):
                self.n_left -= 1
                if self.n_left == -2:
                    raise RuntimeError("boom")
                return batch

        embedder = recording(
            lr_schedule=halving, warm_start=True, augment=Failing()
        ).fit(X, Y)
        with pytest.raises(RuntimeError, match="boom"):
            embedder.fit(X, Y)
        assert rates_now(embedder) == [0.1]
        embedder.set_params(augment=None).fit(X, Y)
        assert rates_of(embedder)[-6:] == pytest.approx(0.5 ** np.arange(6.0))

    def test_an_error_of_the_schedule(self):
        def schedule(step, n_steps):
            if step == 4:
                raise RuntimeError("boom")
            return 0.5

        embedder = recording(warm_start=True).fit(X, Y)
        before = embedder.transform(X)
        with pytest.raises(RuntimeError, match="boom"):
            embedder.set_params(lr_schedule=schedule).fit(X, Y)
        assert rates_now(embedder) == [0.1]
        assert np.array_equal(embedder.transform(X), before)

    def test_rates_are_back_after_ctrl_c(self):
        embedder = recording(lr_schedule=halving, callbacks=[StopAfter(4)])
        with pytest.warns(ConvergenceWarning, match="interrupted in epoch 2"):
            embedder.fit(X, Y)
        assert rates_of(embedder) == pytest.approx(0.5 ** np.arange(4.0))
        assert rates_now(embedder) == [0.1]
        assert embedder.n_steps_ == 6

    def test_nothing_of_it_stays_with_the_model(self):
        net = make_net()
        train(net, make_run(2, schedule=lambda step, n_steps: 0.5))
        scheduling = dict(net.callbacks_)["scheduling"]
        assert (scheduling.schedule_, scheduling.rates_) == (None, [])


class TestBadValues:
    def test_an_unknown_name(self):
        with pytest.raises(
            ValueError,
            match=r"`lr_schedule` must be one of 'constant', 'cosine', 'one_cycle'; "
            r"got 'cosin'. Did you mean 'cosine'\?",
        ):
            quick(lr_schedule="cosin").fit(X, Y)

    @pytest.mark.parametrize("value", [None, 0.5, ["cosine"]])
    def test_neither_a_name_nor_a_callable(self, value):
        with pytest.raises((TypeError, ValueError), match=r"`lr_schedule` must be"):
            quick(lr_schedule=value).fit(X, Y)


class TestBudget:
    @pytest.mark.parametrize(
        ("n_batches", "expected"),
        [
            (1, 40),  # not more, though 5000 steps would be 5000 epochs
            (20, 40),
            (125, 40),  # 5000 steps
            (126, 39),
            (250, 20),
            (938, 5),  # 60,000 rows in batches of 64
            (5000, 1),
            (10_000, 1),
        ],
    )
    def test_by_hand(self, n_batches, expected):
        assert usual_epochs(n_batches) == expected

    @given(n_batches=st.integers(1, 20_000))
    def test_law(self, n_batches):
        n_epochs = usual_epochs(n_batches)
        assert 1 <= n_epochs <= 40
        assert n_epochs * n_batches <= 5000 or n_epochs == 1
        assert (n_epochs + 1) * n_batches > 5000 or n_epochs == 40

    @pytest.mark.parametrize("make", [quick, quick_classifier])
    def test_none_is_the_budget(self, make):
        """48 rows, or 43 where a tenth is held out, in batches of 16: 3 a pass."""
        model = make(
            max_epochs=None, batch_size=16, n_components=6, optimizer=Rates
        ).fit(X, Y)
        assert model.n_iter_ == 40
        assert model.n_steps_ == len(model.net_.optimizer_.rates)
        assert model.n_steps_ == 40 * len(model.history_[0]["batches"])

    def test_a_number_means_what_it_says(self):
        model = quick(max_epochs=2, batch_size=4).fit(X, Y)
        assert (model.n_iter_, model.n_steps_) == (2, 24)
