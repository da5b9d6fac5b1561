"""What is watched in training: history, what is not finite, early stopping, the bar."""

import pickle
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback, GradientNormClipping
from torch import nn

from nets import (
    WIDTH,
    NaNAfter,
    X,
    Y,
    embeddings_of,
    make_embedder,
    make_net,
    make_run,
    same_state,
    state_of,
    train,
)
from siamese_sklearn import TripletLoss
from siamese_sklearn._net import Watch
from siamese_sklearn.losses import LOSSES


def trained(module):
    """What `embed` looks at of a net: the network, and a loss."""
    return SimpleNamespace(module_=module, criterion_=TripletLoss().build(2, WIDTH))


def naive_active_triplets(z, labels, margin):
    """Triplets of a batch that the margin does not yet solve, by loops, in squared
    Euclidean distance.
    """
    distance = ((z[:, None] - z[None]) ** 2).sum(-1)
    n = range(len(z))
    return sum(
        distance[a, p] - distance[a, q] + margin > 0
        for a in n
        for p in n
        for q in n
        if a != p and labels[a] == labels[p] != labels[q]
    )


class TestHistory:
    def test_active_triplets_and_spread_by_hand(self):
        batches = []

        class Record(Callback):
            def on_epoch_begin(self, net, **kwargs):
                batches.clear()

            def on_batch_end(self, net, batch, y_pred, **kwargs):
                batches.append(
                    (y_pred.detach().double().numpy().copy(), batch[1].numpy().copy())
                )

            def on_epoch_end(self, net, **kwargs):
                active = [
                    naive_active_triplets(*batch, margin=0.2) for batch in batches
                ]
                net.history.record("by_hand", np.mean(active))
                z, _ = batches[-1]
                net.history.record(
                    "spread_by_hand", 1 - (z.mean(0) ** 2).sum() / (z**2).sum(1).mean()
                )

        net = make_net(callbacks=[Record()])
        train(net, make_run(4))
        assert len(net.history) == 4
        assert net.history[:, "n_active"] == net.history[:, "by_hand"]
        assert max(net.history[:, "n_active"]) > 0
        np.testing.assert_allclose(
            net.history[:, "spread"], net.history[:, "spread_by_hand"], rtol=1e-6
        )

    @pytest.mark.slow
    @pytest.mark.parametrize("name", LOSSES)
    def test_every_loss_tells_how_many_were_active(self, name):
        embedder = make_embedder(loss=name).fit(X, Y)
        assert len(embedder.history_[:, "n_active"]) == 3

    def test_a_module_as_loss_need_not_tell(self):
        class Own(nn.Module):
            def forward(self, embeddings, labels):
                return embeddings.square().mean()

        embedder = make_embedder(loss=Own(), normalize=False).fit(X, Y)
        assert "n_active" not in embedder.history_[0]
        assert len(embedder.history_[:, "train_loss"]) == 3

    def test_loss_is_the_mean_over_batches_weighted_by_their_rows(self):
        net = make_net()
        train(net, make_run(1))
        (epoch,) = net.history
        loss = [batch["train_loss"] for batch in epoch["batches"]]
        size = [batch["train_batch_size"] for batch in epoch["batches"]]
        assert len(loss) == 3
        assert epoch["train_loss"] == pytest.approx(np.average(loss, weights=size))
        assert sum(size) == 48


class TestMonitor:
    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    @pytest.mark.parametrize("n_good", [3, 5])  # batches; an epoch has three
    def test_loss_that_is_not_finite(self, n_good, value):
        after_epoch = []

        class Record(Callback):
            def on_epoch_end(self, net, **kwargs):
                after_epoch.append(state_of(net))

        net = make_net(NaNAfter(n_good, value), callbacks=[Record()])
        with pytest.warns(
            ConvergenceWarning, match="The loss became NaN or infinite; .* Lower `lr`"
        ):
            train(net, make_run(4))
        assert len(net.history) == len(after_epoch) == 1
        assert same_state(state_of(net), after_epoch[0])

    def test_training_goes_on_from_there(self):
        net = make_net(NaNAfter(4))
        with pytest.warns(ConvergenceWarning, match="The loss became NaN"):
            train(net, make_run(4))
        before = state_of(net)
        net.criterion_.loss.n_left = 100
        train(net, make_run(2))
        assert len(net.history) == 3
        assert np.isfinite(embeddings_of(net)).all()
        assert not same_state(state_of(net), before)

    def test_loss_that_never_was_finite_leaves_the_first_weights(self):
        net = make_net(NaNAfter(0))
        before = state_of(net)
        with pytest.warns(ConvergenceWarning, match="The loss became NaN"):
            train(net, make_run(4))
        assert len(net.history) == 0
        assert same_state(state_of(net), before)

    @pytest.mark.parametrize("early_stopping", [True, False])
    def test_last_step_that_spoils_the_weights(self, early_stopping):
        # One batch: its loss is finite, and nothing but the embeddings tells of the
        # step after it.
        embedder = make_embedder(
            lr=1e38,
            optimizer="sgd",
            max_epochs=1,
            batch_size=48,
            early_stopping=early_stopping,
        )
        with pytest.warns(
            ConvergenceWarning, match="The embeddings became NaN or infinite"
        ):
            embedder.fit(X, Y)
        assert np.isfinite(embedder.transform(X)).all()
        assert embedder.n_iter_ == len(embedder.history_) == 0

    def test_warning_points_at_the_call_of_fit(self):
        with pytest.warns(ConvergenceWarning, match="The loss became NaN") as caught:
            make_embedder(loss=NaNAfter(0)).fit(X, Y)
        assert caught[0].filename == __file__

    def test_collapse(self):
        class Constant(nn.Module):
            def __init__(self):
                super().__init__()
                self.scale = nn.Parameter(torch.tensor(1e-4))

            def forward(self, x):
                return 1 + self.scale * x[:, :WIDTH]

        net = make_net(tower=Constant(), lr=1e-9)
        remedy = re.escape(
            'Use mining="all" (or loss="triplet" with mining="semihard"), '
            "a lower `lr`, or a larger `batch_size`."
        )
        with pytest.warns(
            ConvergenceWarning, match=f"collapsed to nearly a single point .*{remedy}"
        ):
            train(net, make_run(2))
        assert len(net.history) == 2
        assert net.history[-1]["spread"] < 1e-6

    @pytest.mark.parametrize(
        "remedy", [{"mining": "all"}, {"loss": "triplet", "mining": "semihard"}]
    )
    def test_remedies_against_collapse_can_be_taken(self, remedy):
        assert make_embedder(**remedy).fit(X, Y).n_iter_ == 3

    @pytest.mark.parametrize("normalize", [True, False])
    def test_spread_is_1_all_around_and_0_at_one_point(self, normalize):
        class Own(nn.Module):
            """Opposite points for the rows of each batch, or the same point; trained by
            nothing.
            """

            def __init__(self, opposite):
                super().__init__()
                self.opposite = opposite
                self.weight = nn.Parameter(torch.zeros(1))

            def forward(self, x):
                sign = torch.ones(len(x), 1)
                if self.opposite:
                    sign[::2] = -1
                return 5 * sign * torch.ones(WIDTH) + self.weight

        net = make_net(tower=Own(True), normalize=normalize, lr=1e-12, weight_decay=0.0)
        train(net, make_run(1))
        assert net.history[-1]["spread"] == pytest.approx(1)
        net = make_net(tower=Own(False), normalize=normalize, lr=1e-12)
        with pytest.warns(ConvergenceWarning, match="collapsed"):
            train(net, make_run(1))
        assert net.history[-1]["spread"] == pytest.approx(0, abs=1e-9)

    @pytest.mark.slow
    @pytest.mark.parametrize(("n_epochs", "flushed"), [(100, True), (99, False)])
    def test_denormal_state_of_the_optimizer_is_zeroed_every_100_steps(
        self, n_epochs, flushed
    ):
        class Decayed(Callback):
            def on_batch_begin(self, net, **kwargs):
                for state in net.optimizer_.state.values():
                    state["exp_avg_sq"].fill_(1e-35)

        x = X.copy()
        x[:, 0] = 0  # no gradient reaches the weights of this column
        net = make_net(callbacks=[Decayed()], lr=1e-6)
        train(net, make_run(n_epochs, batch_size=48, x=x))
        weight = next(net.module_.parameters())
        state = net.optimizer_.state[weight]["exp_avg_sq"]
        assert weight.shape == (8, 4)
        assert (state[:, 0] == 0).all() == flushed
        assert (state[:, 1:] > 1e-30).any()


class TestRetrievalStopping:
    def scripted(self, scores, states):
        remaining = iter(scores)

        def measure(net):
            states.append(state_of(net))
            return next(remaining)

        return measure

    @pytest.mark.parametrize(
        ("scores", "patience", "n_epochs", "best"),
        [
            ([0.1, 0.5, 0.3, 0.2, 0.9], 2, 4, 1),
            ([0.1, 0.5, 0.3, 0.2, 0.9], 3, 5, 4),
            ([0.5, 0.5, 0.5, 0.5, 0.5], 2, 3, 0),  # equal is no rise
            ([0.1, 0.2, 0.3, 0.4, 0.5], 1, 5, 4),
            ([0.1, 0.0, 0.3, 0.4, 0.5], 1, 2, 0),
        ],
    )
    def test_stops_and_restores(self, scores, patience, n_epochs, best):
        states = []
        net = make_net()
        train(net, make_run(5, watch=Watch(self.scripted(scores, states), patience)))
        assert len(net.history) == len(states) == n_epochs
        assert same_state(state_of(net), states[best])
        assert net.history[:, "valid_score"] == scores[:n_epochs]
        assert all(
            not same_state(states[i], states[i + 1]) for i in range(n_epochs - 1)
        )
        assert [i for i, row in enumerate(net.history) if row["valid_score_best"]][
            -1
        ] == best

    @pytest.mark.parametrize(("loss_rises", "n_epochs"), [(True, 6), (False, 3)])
    def test_training_loss_does_not_matter(self, loss_rises, n_epochs):
        class Scripted(nn.Module):
            """Its value goes its way whatever the embeddings."""

            def __init__(self):
                super().__init__()
                self.step = 0

            def forward(self, embeddings, labels):
                self.step += 1 if loss_rises else -1
                return embeddings.sum() * 1e-6 + self.step

        # the measure rises with the loss, or falls with it
        scores = np.arange(6) if loss_rises else -np.arange(6)
        net = make_net(Scripted())
        train(
            net,
            make_run(6, watch=Watch(self.scripted(scores.tolist(), []), patience=2)),
        )
        losses = net.history[:, "train_loss"]
        assert len(losses) == n_epochs
        assert (np.diff(losses) > 0).all() == loss_rises

    def test_patience_starts_anew_with_each_call(self):
        net = make_net()
        for _ in range(2):
            train(
                net,
                make_run(
                    9, watch=Watch(self.scripted([0.5, 0.1, 0.1, 0.1], []), patience=3)
                ),
            )
        # the second call measures once before its first epoch
        assert len(net.history) == 4 + 3

    @pytest.mark.parametrize(
        ("scores", "n_epochs", "best"),
        [
            ([0.5, 0.4, 0.3], 2, 0),  # only worse: the weights of before
            ([0.5, 0.5, 0.5], 2, 0),
            ([0.5, 0.4, 0.6, 0.1, 0.1], 4, 2),
        ],
    )
    def test_a_later_call_has_to_beat_the_weights_it_starts_from(
        self, scores, n_epochs, best
    ):
        states = []
        net = make_net()
        train(net, make_run(2))
        before = state_of(net)
        train(net, make_run(9, watch=Watch(self.scripted(scores, states), patience=2)))
        assert same_state(states[0], before)
        assert same_state(state_of(net), states[best])
        assert net.history[2:, "valid_score"] == scores[1:]
        assert len(net.history) == 2 + n_epochs
        found = [
            i for i, row in enumerate(net.history[2:], 1) if row["valid_score_best"]
        ]
        assert found == [best] * (best > 0)

    def test_without_a_watch_nothing_is_measured(self):
        net = make_net()
        train(net, make_run(2))
        assert "valid_score" not in net.history[-1]


class TestProgress:
    def test_bar(self, capsys):
        make_embedder(verbose=1, early_stopping=True).fit(X, Y)
        out, err = capsys.readouterr()
        assert out == ""
        assert "epoch 3/3: 100%" in err
        assert "train_loss=" in err
        assert "valid_score=" in err
        assert "batch/s" in err

    def test_figures_are_those_of_the_history(self, capsys):
        embedder = make_embedder(verbose=1).fit(X, Y)
        assert (
            f"train_loss={embedder.history_[-1]['train_loss']:.4g}"
            in capsys.readouterr().err
        )

    def test_loss_of_the_batch_is_shown_every_20_batches(self):
        shown, losses = [], []

        class Record(Callback):
            def on_batch_end(self, net, **kwargs):
                shown.append(dict(net.callbacks_)["progress"].bar_.postfix)
                losses.append(
                    f"train_loss={net.history[-1]['batches'][-1]['train_loss']:.4g}"
                )

        net = make_net(callbacks=[Record()])
        x, y = np.tile(X, (7, 1)), np.tile(Y, 7)
        train(net, make_run(2, x=x, y=y, watch=Watch(lambda net: 0.25, 5), verbose=1))
        assert len(losses) == 2 * 21
        assert not any(shown[:19])
        assert shown[19] == shown[20] == losses[19]
        assert set(shown[21:40]) == {
            f"train_loss={net.history[0]['train_loss']:.4g}, valid_score=0.25"
        }
        assert shown[40] == shown[41] == f"{losses[40]}, valid_score=0.25"

    def test_silent(self, capsys):
        make_embedder(verbose=0, early_stopping=True).fit(X, Y).partial_fit(
            X, Y
        ).transform(X)
        assert capsys.readouterr() == ("", "")

    def test_bar_of_a_later_call_counts_its_own_epochs(self, capsys):
        embedder = make_embedder(verbose=1).fit(X, Y)
        capsys.readouterr()
        embedder.partial_fit(X, Y)
        assert "epoch 1/1: 100%" in capsys.readouterr().err

    @pytest.mark.parametrize("failing", [True, False])
    def test_bar_is_closed_in_the_end(self, failing, capsys):
        def augment(batch):
            if failing:
                raise RuntimeError("boom")
            return batch

        net = make_net()
        try:
            train(net, make_run(2, augment=augment, verbose=1))
        except RuntimeError:
            assert failing
        assert dict(net.callbacks_)["progress"].bar_ is None
        assert pickle.loads(pickle.dumps(net)).module_ is not None
        assert "epoch" in capsys.readouterr().err


class TestCallbacks:
    def test_max_epochs_can_be_read(self):
        seen = []

        class Record(Callback):
            def on_train_begin(self, net, **kwargs):
                seen.append(net.max_epochs)

        make_embedder(max_epochs=2, callbacks=[Record()]).fit(X, Y)
        assert seen == [2]

    def test_given_ones_are_copied(self):
        class Count(Callback):
            n_batches = 0

            def on_batch_end(self, net, **kwargs):
                self.n_batches += 1

        given = Count()
        embedder = make_embedder(callbacks=[given, ("named", Count())]).fit(X, Y)
        assert given.n_batches == 0
        trained = dict(embedder.net_.callbacks_)
        assert trained["Count"].n_batches == trained["named"].n_batches == 9

    def test_callbacks_of_skorch_do_their_work(self):
        norms = []

        class Record(Callback):
            def on_grad_computed(self, net, **kwargs):
                norms[-1].append(
                    sum(p.grad.square().sum() for p in net.module_.parameters())
                    .sqrt()
                    .item()
                )

        for clipping in ([], [GradientNormClipping(1e-3)]):
            norms.append([])
            train(make_net(callbacks=[*clipping, Record()]), make_run(1))
        free, clipped = norms
        assert len(free) == len(clipped) == 3
        assert min(free) > 2e-3
        assert max(clipped) < 1.001e-3

    def test_name_that_is_taken(self):
        with pytest.raises(
            ValueError,
            match=r"check `net_params`, `callbacks` and `optimizer`: .*monitor",
        ):
            make_net(callbacks=[("monitor", Callback())])
