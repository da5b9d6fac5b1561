"""The net as it is built: parameters of skorch, optimizers, learning rates."""

import copy
import pickle

import pytest
import torch
from skorch.callbacks import LRScheduler
from torch import nn

from nets import (
    WIDTH,
    DropoutHead,
    X,
    Y,
    make_embedder,
    make_net,
    make_run,
    same_state,
    state_of,
    train,
)
from siamese_sklearn import ContrastiveLoss
from siamese_sklearn._net import check_net_params
from siamese_sklearn._net._build import OPTIMIZERS, check_optimizer
from siamese_sklearn._net._continuing import set_learning_rate
from siamese_sklearn.heads import HEADS
from siamese_sklearn.losses import LOSSES, BinaryCrossEntropyLoss, HingeLoss


class TestNetParams:
    def test_pass_through(self):
        net = make_net(
            net_params={
                "optimizer__betas": (0.5, 0.6),
                "callbacks__train_loss__name": "x",
            }
        )
        assert net.optimizer_.param_groups[0]["betas"] == (0.5, 0.6)
        assert dict(net.callbacks_)["train_loss"].name == "x"

    def test_ours_can_be_overruled_where_that_makes_sense(self):
        assert (
            make_net(net_params={"optimizer__fused": False}).optimizer_.param_groups[0][
                "fused"
            ]
            is False
        )

    @pytest.mark.parametrize(
        "net_params",
        [
            {"no_such_thing": 1},
            {"optimizer__no_such_thing": 1},
            {"callbacks__no_such__thing": 1},
            {"iterator": 3},
        ],
    )
    def test_unknown_keys(self, net_params):
        with pytest.raises(
            (ValueError, TypeError), match=r"`net_params`.*(no_such|iterator)"
        ):
            make_net(net_params=net_params)

    @pytest.mark.parametrize(
        ("key", "ours"),
        [
            *[
                ("module", "tower"),
                ("criterion", "loss"),
                ("train_split", "early_stopping"),
                ("device", "device"),
            ],
            *[
                ("lr", "lr"),
                ("max_epochs", "max_epochs"),
                ("batch_size", "batch_size"),
                ("verbose", "verbose"),
            ],
            *[
                ("callbacks", "callbacks"),
                ("optimizer", "optimizer"),
                ("warm_start", "warm_start"),
            ],
        ],
    )
    def test_keys_that_are_parameters_of_the_estimator(self, key, ours):
        with pytest.raises(
            ValueError, match=f"`net_params` must not set '{key}'; set `{ours}`"
        ):
            make_net(net_params={key: 1})

    @pytest.mark.parametrize(
        ("key", "ours"),
        [
            ("module__n_components", "tower"),
            ("criterion__loss", "loss"),
            ("dataset__length", "X"),
            ("iterator_train__shuffle", "batch_size"),
            ("iterator_valid", "early_stopping"),
            ("iterator_valid__batch_size", "early_stopping"),
            ("train_split__cv", "early_stopping"),
            ("optimizer__lr", "lr"),
            ("optimizer__weight_decay", "weight_decay"),
        ],
    )
    def test_keys_with_a_prefix_that_set_what_is_ours(self, key, ours):
        with pytest.raises(
            ValueError, match=f"`net_params` must not set '{key}'; set `{ours}`"
        ):
            check_net_params({"optimizer__eps": 1e-6, key: 1})

    def test_none_is_empty(self):
        assert check_net_params(None) == {}

    def test_key_that_is_no_string(self):
        with pytest.raises(TypeError, match="check `net_params`"):
            make_net(net_params={1: 2})

    def test_foreach_takes_the_place_of_fused(self):
        net = make_net(net_params={"optimizer__foreach": True})
        (group,) = net.optimizer_.param_groups
        assert group["foreach"] is True
        assert not group["fused"]
        train(net, make_run(1))
        assert len(net.history) == 1

    def test_what_torch_refuses_when_it_runs(self):
        with pytest.raises(
            ValueError, match=r"check `net_params`.*fused.*foreach"
        ) as caught:
            make_net(net_params={"optimizer__foreach": True, "optimizer__fused": True})
        assert isinstance(caught.value.__cause__, RuntimeError)

    @pytest.mark.parametrize("net_params", [3, [("lr", 1)], "lr"])
    def test_no_dict(self, net_params):
        with pytest.raises(TypeError, match=r"`net_params` must be a dict .* got "):
            make_net(net_params=net_params)

    def test_given_dict_stays_as_it_is(self):
        net_params = {"optimizer__betas": (0.5, 0.6)}
        make_embedder(net_params=net_params).fit(X, Y)
        assert net_params == {"optimizer__betas": (0.5, 0.6)}


class TestOptimizer:
    @pytest.mark.parametrize("name", OPTIMIZERS)
    def test_by_name(self, name):
        net = make_net(optimizer=name, lr=0.02, weight_decay=0.03)
        assert type(net.optimizer_) is OPTIMIZERS[name]
        (group,) = net.optimizer_.param_groups
        assert (group["lr"], group["weight_decay"], group["fused"]) == (
            0.02,
            0.03,
            True,
        )

    @pytest.mark.parametrize(
        "kind", [torch.optim.Adam, torch.optim.RMSprop, torch.optim.NAdam]
    )
    def test_by_class(self, kind):
        net = make_net(optimizer=kind, lr=0.02, weight_decay=0.03)
        assert type(net.optimizer_) is kind
        assert net.optimizer_.param_groups[0]["weight_decay"] == 0.03

    def test_class_without_weight_decay(self):
        net = make_net(optimizer=torch.optim.LBFGS, weight_decay=0.03)
        before = state_of(net)
        train(net, make_run(1))
        assert not same_state(state_of(net), before)

    @pytest.mark.slow
    @pytest.mark.parametrize("name", OPTIMIZERS)
    def test_all_lower_the_loss(self, name):
        loss = ContrastiveLoss().build(3, WIDTH)
        net = make_net(loss, optimizer=name, lr=0.1 if name == "sgd" else 0.01)
        train(net, make_run(10))
        assert net.history[-1]["train_loss"] < 0.8 * net.history[0]["train_loss"]

    @pytest.mark.parametrize(
        ("optimizer", "error", "text"),
        [
            (
                "adamv",
                ValueError,
                r"`optimizer` must be one of 'adamw', 'adam', 'sgd'; got 'adamv'. Did "
                r"you mean 'adam",
            ),
            (
                "Adam",
                ValueError,
                r"`optimizer` must be .* got 'Adam'. Did you mean 'adam'\?",
            ),
            (
                nn.Linear,
                TypeError,
                "`optimizer` must be .* or a subclass of torch.optim.Optimizer; got "
                "<class",
            ),
            (None, TypeError, "`optimizer` must be .* got None"),
        ],
    )
    def test_unknown(self, optimizer, error, text):
        for check in (check_optimizer, lambda optimizer: make_net(optimizer=optimizer)):
            with pytest.raises(error, match=text):
                check(optimizer)

    @pytest.mark.parametrize("optimizer", ["sgd", torch.optim.SGD])
    def test_known(self, optimizer):
        assert check_optimizer(optimizer) is torch.optim.SGD

    def test_loss_with_weights_of_its_own_is_trained(self):
        class Proxies(nn.Module):
            def __init__(self):
                super().__init__()
                self.proxies = nn.Parameter(torch.eye(3))

            def forward(self, embeddings, labels):
                return nn.functional.cross_entropy(embeddings @ self.proxies.T, labels)

        loss = Proxies()
        train(make_net(loss), make_run(1))
        assert not torch.equal(loss.proxies, torch.eye(3))


class TestSetLearningRate:
    def figures(self, net, *names):
        return [
            tuple(group.get(name) for name in names)
            for group in net.optimizer_.param_groups
        ]

    def by_group(self):
        groups = [("*bias", {"weight_decay": 0.0, "lr": 0.5})]
        return make_net(
            lr=0.02, weight_decay=0.03, net_params={"optimizer__param_groups": groups}
        )

    @pytest.mark.parametrize("loaded", [True, False])
    def test_changed_values_reach_all_groups(self, loaded):
        net = self.by_group()
        net = pickle.loads(pickle.dumps(net)) if loaded else net
        set_learning_rate(net, 0.2, 0.3)
        assert net.lr == 0.2
        assert self.figures(net, "lr", "weight_decay") == [(0.2, 0.3)] * 2

    @pytest.mark.parametrize("loaded", [True, False])
    def test_values_as_before_change_nothing(self, loaded):
        net = self.by_group()
        net = pickle.loads(pickle.dumps(net)) if loaded else net
        before = copy.deepcopy(net.optimizer_.state_dict())
        set_learning_rate(net, 0.02, 0.03)
        assert net.optimizer_.state_dict() == before
        assert self.figures(net, "lr", "weight_decay") == [(0.5, 0.0), (0.02, 0.03)]

    def test_one_changes_without_the_other(self):
        net = self.by_group()
        set_learning_rate(net, 0.02, 0.3)
        assert self.figures(net, "lr", "weight_decay") == [(0.5, 0.3), (0.02, 0.3)]
        set_learning_rate(net, 0.2, 0.3)
        assert self.figures(net, "lr", "weight_decay") == [(0.2, 0.3)] * 2
        set_learning_rate(net, 0.2, 0.03)
        assert self.figures(net, "lr", "weight_decay") == [(0.2, 0.03)] * 2

    def test_optimizer_without_weight_decay(self):
        net = make_net(optimizer=torch.optim.LBFGS, lr=0.02, weight_decay=0.03)
        set_learning_rate(net, 0.2, 0.3)
        assert self.figures(net, "lr", "weight_decay") == [(0.2, None)]

    def test_scheduler_goes_on_from_the_changed_rate(self):
        halved = LRScheduler(
            torch.optim.lr_scheduler.LambdaLR, lr_lambda=lambda epoch: 0.5**epoch
        )
        net = make_net(callbacks=[halved], lr=0.08)
        train(net, make_run(2))
        assert self.figures(net, "lr") == [(0.02,)]
        set_learning_rate(net, 0.08, 0.0)
        assert self.figures(net, "lr") == [(0.02,)]
        set_learning_rate(net, 0.8, 0.0)
        train(net, make_run(1))
        assert self.figures(net, "lr") == [(0.8 * 0.5**3,)]


WITH_WEIGHTS = [
    name for name in LOSSES if list(LOSSES[name]().build(3, WIDTH).parameters())
]


class TestLossOfItsOwnRate:
    """The weights of a loss have a parameter group: a learning rate of their own, and
    no decay.
    """

    def groups(self, net):
        """Learning rate, decay and numbers of parameters: those of the loss, and the
        others.
        """
        own = {id(parameter) for parameter in net.criterion_.parameters()}
        found = {True: [], False: []}
        for group in net.optimizer_.param_groups:
            kinds = {id(parameter) in own for parameter in group["params"]}
            assert len(kinds) == 1
            found[kinds.pop()].append(
                (group["lr"], group["weight_decay"], len(group["params"]))
            )
        return found[True], found[False]

    def net(self, name, **changes):
        return make_net(
            LOSSES[name]().build(3, WIDTH), lr=0.02, weight_decay=0.03, **changes
        )

    def test_some_losses_have_weights_and_some_have_none(self):
        assert {"binary_cross_entropy", "hinge"} < set(WITH_WEIGHTS) < set(LOSSES)

    @pytest.mark.parametrize("name", LOSSES)
    def test_groups(self, name):
        net = self.net(name)
        loss = net.criterion_
        n_tower, n_own = (
            len(list(net.module_.parameters())),
            len(list(loss.parameters())),
        )
        own = [(loss.lr, 0.0, n_own)] if name in WITH_WEIGHTS else []
        assert self.groups(net) == (own, [(0.02, 0.03, n_tower)])
        assert (loss.lr is not None) == (name in WITH_WEIGHTS)

    @pytest.mark.parametrize("head", HEADS)
    def test_rate_of_the_spec(self, head):
        net = make_net(
            BinaryCrossEntropyLoss(head, weights_lr=0.7).build(3, WIDTH), lr=0.02
        )
        ((rate, decay, _),), _ = self.groups(net)
        assert (rate, decay) == (0.7, 0.0)

    @pytest.mark.slow
    @pytest.mark.parametrize("name", WITH_WEIGHTS)
    @pytest.mark.parametrize("loaded", [False, True])
    def test_changed_values_leave_it_alone(self, name, loaded):
        net = self.net(name)
        train(net, make_run(1))
        net = pickle.loads(pickle.dumps(net)) if loaded else net
        own, others = self.groups(net)
        set_learning_rate(net, 0.2, 0.3)
        assert self.groups(net) == (
            own,
            [(0.2, 0.3, number) for _, _, number in others],
        )
        train(net, make_run(1))
        assert self.groups(net)[0] == own

    def test_beside_groups_of_the_user(self):
        params = {"optimizer__param_groups": [("tower.*bias", {"lr": 0.5})]}
        net = self.net("hinge", net_params=params)
        own, others = self.groups(net)
        assert own == [(net.criterion_.lr, 0.0, 2)]
        assert sorted(rate for rate, _, _ in others) == [0.02, 0.5]
        assert len(params["optimizer__param_groups"]) == 1

    def test_head_without_weights(self):
        net = make_net(BinaryCrossEntropyLoss(DropoutHead()).build(3, WIDTH))
        train(net, make_run(1))
        set_learning_rate(net, 0.5, 0.0)
        assert len(net.history) == 1

    def test_one_step_of_sgd_by_hand(self):
        """The head moves by its own rate times the gradient, without decay; the tower
        by the other rate.
        """
        loss = HingeLoss(weights_lr=0.125).build(3, WIDTH)
        net = make_net(loss, optimizer="sgd", lr=1e-6, weight_decay=0.5)
        before, tower = copy.deepcopy(loss), state_of(net)
        run = make_run(1, batch_size=48)
        x, y = next(copy.deepcopy(run).epoch())
        z = net.module_.train()(x)
        before(z.detach(), y).backward()
        train(net, run)
        for old, new in zip(before.parameters(), loss.parameters(), strict=True):
            assert old.grad.abs() > 0
            torch.testing.assert_close(new, old - 0.125 * old.grad)
        assert all(
            torch.allclose(value, tower[name], atol=1e-3)
            for name, value in state_of(net).items()
        )

    def test_scheduler_works_on_it_too(self):
        halved = LRScheduler(
            torch.optim.lr_scheduler.LambdaLR, lr_lambda=lambda epoch: 0.5**epoch
        )
        net = make_net(
            HingeLoss(weights_lr=0.8).build(3, WIDTH), callbacks=[halved], lr=0.08
        )
        train(net, make_run(2))
        set_learning_rate(net, 0.4, 0.0)
        train(net, make_run(1))
        own, others = self.groups(net)
        assert own[0][0] == pytest.approx(0.8 * 0.5**3)
        assert others[0][0] == pytest.approx(0.4 * 0.5**3)
