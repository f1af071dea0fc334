"""What a classifier builds: its parts, their seeds, default callbacks and optimizers."""

import numpy as np
import pytest
import torch
from skorch.callbacks import EpochTimer, LRScheduler, PassthroughScoring, ProgressBar
from skorch.callbacks.scoring import EpochScoring
from torch import nn
from torch.optim import SGD, Adam, AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR, StepLR

from classifier_cases import Net, blobs, quick
from properties import untouched
from skgdw._training._progress import FitLog, Progress
from skgdw._training._schedule import FitSchedule
from skgdw.modules import MLP, ResNet32, SmallResNet, WeightNet
from skgdw.weighting import ClassWeighting, InstanceWeighting, UniformWeighting, Weighting

DATA = blobs()


def images(side):
    rng = np.random.default_rng(0)
    return rng.normal(size=(12, 1, side, side)).astype(np.float32), np.arange(12) % 3


class Focus(Weighting):
    """A weighting of a user's own: two parameters in groups of their own."""

    def __init__(self, start=0.5):
        super().__init__()
        self.start_value = start
        self.exponent = nn.Parameter(torch.tensor(start))
        self.gate = nn.Parameter(torch.tensor(0.0))

    def forward(self, evidence):
        return (evidence.given_probability**self.exponent + self.gate).unsqueeze(1)

    def parameter_groups(self):
        return [{"params": [self.exponent], "lr": 0.2}, {"params": []}, {"params": [self.gate]}]


class Given(Weighting):
    """Has nothing to learn."""

    def forward(self, evidence):
        return evidence.given_probability.unsqueeze(1)


def initialized(module=Net, **params):
    return quick(module, **params).initialize()


def params_of(optimizer):
    return [p for group in optimizer.param_groups for p in group["params"]]


# --- parts --------------------------------------------------------------------------------------


def test_parts_are_built_with_their_arguments():
    net = initialized(
        module__hidden=5,
        weight_net__hidden=7,
        criterion__weight=torch.arange(1.0, 4.0),
        weighting="instance",
        meta_lr=0.3,
        weight_clip=0.1,
    )
    assert net.module_.layers[0].out_features == 5
    assert isinstance(net.weight_net_, WeightNet)
    assert sum(p.shape == (7, 1) for p in net.weight_net_.parameters()) == 1
    assert torch.equal(net.criterion_.weight, torch.arange(1.0, 4.0))
    assert type(net.weighting_) is InstanceWeighting
    assert (net.weighting_.meta_lr, net.weighting_.weight_clip) == (0.3, 0.1)
    assert net.weighting_.weight_net is net.weight_net_


@pytest.mark.parametrize(
    ("data", "kind"),
    [(DATA[:2], MLP), (images(8), SmallResNet), (images(28), ResNet32)],
    ids=["table", "small images", "images"],
)
def test_auto_takes_a_network_by_the_rows(data, kind):
    net = quick("auto", weighting="uniform").fit(*data)
    assert type(net.module_) is kind


def test_auto_wants_rows():
    with pytest.raises(ValueError, match="sized by the data"):
        quick("auto").initialize()


@pytest.mark.parametrize("weighting", [Focus, Focus(start=2.0)])
def test_weightings_of_a_users_own(weighting):
    net = initialized(weighting=weighting)
    assert type(net.weighting_) is Focus
    assert net.weighting_ is not weighting
    assert net.weighting_.start_value == (0.5 if weighting is Focus else 2.0)
    assert initialized(weighting=weighting, weighting__start=3.0).weighting_.start_value == 3.0


def test_instances_are_copied():
    module, criterion, weighting = Net(), nn.CrossEntropyLoss(), Focus()
    weight_net = WeightNet(5)
    given = {"criterion": criterion, "weighting": weighting, "weight_net": weight_net}
    before = [p.clone() for part in (module, weighting, weight_net) for p in part.parameters()]
    net = quick(module, **given, lr=1.0).fit(*DATA)
    built = (net.module_, net.criterion_, net.weighting_, net.weight_net_)
    for part, own in zip((module, criterion, weighting, weight_net), built, strict=True):
        assert part is not own
        assert type(part) is type(own)
    after = [p for part in (module, weighting, weight_net) for p in part.parameters()]
    assert all(map(torch.equal, before, after))
    # So a refit starts afresh.
    first = [p.detach().clone() for p in net.module_.parameters()]
    assert all(map(torch.equal, first, net.fit(*DATA).module_.parameters()))
    assert not torch.equal(first[0], before[0])


def test_the_weighting_has_the_dtype_of_the_module():
    net = initialized(Net().double(), weighting="class")
    own = initialized(Net().double(), weighting=Focus)
    for part in (net.weight_net_, net.weighting_, own.weighting_):
        assert {p.dtype for p in part.parameters()} == {torch.float64}


# --- seeds --------------------------------------------------------------------------------------


def flat(net):
    parts = (net.module_, net.weight_net_)
    return torch.cat([p.detach().flatten() for part in parts for p in part.parameters()])


def test_initial_weights_hang_on_the_seed_alone():
    first = flat(initialized(random_state=1))
    torch.rand(5)
    np.random.rand(5)  # noqa: NPY002 (which is to have no influence)
    assert torch.equal(flat(initialized(random_state=1)), first)
    assert not torch.equal(flat(initialized(random_state=2)), first)
    assert not torch.equal(
        flat(initialized(random_state=None)), flat(initialized(random_state=None))
    )


def test_building_leaves_global_random_states_alone():
    with untouched():
        initialized()


def test_a_weighting_of_another_kind_leaves_the_module_as_it_was():
    """Comparisons of weightings start from the same network."""
    modules = [
        initialized(weighting=weighting).module_ for weighting in ("class", "uniform", Focus, Given)
    ]
    for other in modules[1:]:
        assert all(map(torch.equal, other.parameters(), modules[0].parameters()))


# --- callbacks ----------------------------------------------------------------------------------


def test_default_callbacks():
    net = initialized()
    assert [(name, type(part)) for name, part in net.callbacks_] == [
        ("epoch_timer", EpochTimer),
        ("train_loss", PassthroughScoring),
        ("valid_loss", PassthroughScoring),
        ("valid_acc", EpochScoring),
        ("lr_schedule", FitSchedule),
        ("progress", Progress),
        ("print_log", FitLog),
    ]
    assert dict(net.callbacks_)["lr_schedule"].policy is CosineAnnealingLR


class Own(LRScheduler):
    """A schedule of a user's own."""


@pytest.mark.parametrize(
    "given",
    [LRScheduler(StepLR, step_size=1), ("own", LRScheduler(StepLR, step_size=1)), LRScheduler, Own],
    ids=["instance", "named", "class", "subclass"],
)
def test_a_schedule_of_a_users_own_takes_the_place_of_ours(given):
    schedules = [
        part
        for _, part in initialized(callbacks=[given]).callbacks_
        if isinstance(part, LRScheduler)
    ]
    assert [type(part) for part in schedules] == [Own if given is Own else LRScheduler]


@pytest.mark.parametrize("given", [ProgressBar(), ("own", ProgressBar()), ProgressBar])
def test_a_bar_of_a_users_own_takes_the_place_of_ours(given):
    bars = [
        part
        for _, part in initialized(callbacks=[given]).callbacks_
        if isinstance(part, ProgressBar | Progress)
    ]
    assert [type(part) for part in bars] == [ProgressBar]


@pytest.mark.parametrize(("fine_tune", "shown"), [(False, False), (True, True)])
def test_stages_are_printed_where_there_are_two(fine_tune, shown, capsys):
    quick(fine_tune=fine_tune, weighting="uniform", verbose=1).fit(*DATA)
    assert ("plain" in capsys.readouterr().out) is shown


# --- optimizers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "momentum", "weight_decay"),
    [(MLP(4, 3), 0.93, 1e-5), (Net(), 0.9, 5e-4), (ResNet32(3), 0.9, 5e-4)],
    ids=["MLP", "own", "ResNet32"],
)
def test_settings_of_sgd_by_the_kind_of_network(module, momentum, weight_decay):
    (group,) = initialized(module).optimizer_.param_groups
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.1, momentum, weight_decay)
    net = initialized(module, lr=0.3, optimizer__momentum=0.5, optimizer__weight_decay=0.0)
    (group,) = net.optimizer_.param_groups
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.3, 0.5, 0.0)


def test_other_optimizers_keep_their_own_settings():
    (group,) = initialized(optimizer=AdamW, lr=0.01).optimizer_.param_groups
    plain = AdamW([nn.Parameter(torch.ones(1))], lr=0.01).param_groups[0]
    assert {k: v for k, v in group.items() if k != "params"} == {
        k: v for k, v in plain.items() if k != "params"
    }


class Derived(SGD):
    """Not SGD itself: whoever derived from it knows what it is to do."""


def test_a_subclass_of_sgd_is_another_optimizer():
    (group,) = initialized(optimizer=Derived).optimizer_.param_groups
    assert (group["momentum"], group["weight_decay"]) == (0, 0)


def test_the_weighting_net_has_adam():
    net = initialized(lr=0.7)
    assert type(net.weight_net_optimizer_) is Adam
    (group,) = net.weight_net_optimizer_.param_groups
    assert (group["lr"], group["weight_decay"]) == (1e-3, 1e-4)  # not the classifier's rate
    net = initialized(weight_net_optimizer__lr=0.5, weight_net_optimizer__weight_decay=0.0)
    (group,) = net.weight_net_optimizer_.param_groups
    assert (group["lr"], group["weight_decay"]) == (0.5, 0.0)
    (group,) = initialized(weight_net_optimizer=SGD).weight_net_optimizer_.param_groups
    assert (group["lr"], group["weight_decay"], group["momentum"]) == (1e-3, 0, 0)


@pytest.mark.parametrize("weighting", ["class", "network", Focus, Given, "uniform"])
def test_each_parameter_is_trained_by_one_optimizer(weighting):
    net = initialized(weighting=weighting)
    first, second = (
        {*map(id, params_of(each))} for each in (net.optimizer_, net.weight_net_optimizer_)
    )
    assert first == {*map(id, net.module_.parameters())}
    own = [*net.weighting_.parameters()] or [*net.weight_net_.parameters()]
    assert second == {*map(id, own)}


def test_groups_of_a_weighting_have_settings_of_their_own():
    net = initialized(weighting=Focus, weight_net_optimizer__lr=0.05)
    first, second = net.weight_net_optimizer_.param_groups  # none without parameters
    assert first["params"][0] is net.weighting_.exponent
    assert second["params"][0] is net.weighting_.gate
    assert (first["lr"], second["lr"]) == (0.2, 0.05)


def test_a_criterion_with_parameters_is_trained_with_the_module():
    class Scaled(nn.CrossEntropyLoss):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, logits, y):
            return super().forward(logits, y) * self.scale

    net = initialized(criterion=Scaled, weighting="uniform")
    assert any(p is net.criterion_.scale for p in params_of(net.optimizer_))


@pytest.mark.parametrize(
    ("params", "is_fused"),
    [
        ({}, True),
        ({"weighting": Focus}, True),
        ({"weighting": "uniform"}, False),  # to the last bit as skorch's
        ({"optimizer__foreach": True}, False),
        ({"optimizer__fused": False}, False),
        ({"optimizer": AdamW}, False),
    ],
    ids=str,
)
def test_which_steps_are_one_kernel(params, is_fused, monkeypatch):
    assert bool(initialized(**params).optimizer_.param_groups[0].get("fused")) is is_fused
    monkeypatch.setenv("SKGDW_SPEED", "0")
    assert not initialized(**params).optimizer_.param_groups[0].get("fused")


def test_kinds_of_weightings_by_name():
    kinds = {"class": ClassWeighting, "uniform": UniformWeighting}
    assert {name: type(initialized(weighting=name).weighting_) for name in kinds} == kinds


@pytest.mark.parametrize("name", ["lr_schedule", "mine"])
def test_a_schedule_of_the_users_takes_the_place_whatever_its_name(name):
    schedule = LRScheduler(StepLR, step_size=1, gamma=0.5)
    net = quick(callbacks=[(name, schedule)], max_epochs=2).fit(*blobs())
    assert dict(net.callbacks_)[name].policy is StepLR
    assert net.optimizer_.param_groups[0]["lr"] == pytest.approx(net.lr / 4)


@pytest.mark.parametrize("weighting", ["class_pair", "class"])
def test_what_a_weighting_has_found_out_is_read_into_a_net_that_was_only_built(weighting, tmp_path):
    fitted = quick(weighting=weighting).fit(*blobs())
    files = {f"f_{name}": tmp_path / name for name in ("params", "weighting")}
    fitted.save_params(**files)
    built = quick(weighting=weighting, classes=[0, 1, 2]).initialize()
    built.load_params(**files)
    X = blobs().X
    assert np.array_equal(built.predict_proba(X), fitted.predict_proba(X))
    assert built.noise_rate_ == fitted.noise_rate_
