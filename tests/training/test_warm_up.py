"""The steps before the first weighted one: copies of the network that miss other rows."""

import copy
import logging

import pytest
import torch
from skorch.callbacks import Callback, GradientNormClipping, LRScheduler
from skorch.dataset import Dataset as PlainDataset
from torch import nn
from torch.optim.lr_scheduler import LinearLR

from classifier_cases import DropoutNet, blobs, quick
from skgdw.weighting import ClassPairWeighting

DATA = blobs()
N_ROWS = len(DATA[0])


class Hears(ClassPairWeighting):
    """Keeps what the networks are at the end of the warm-up; the one that stays misses `fold`."""

    def __init__(self, weight_net, n_classes=0, meta_lr=0.1, fold=0, n_networks=None):
        super().__init__(weight_net, n_classes, meta_lr, warm_up=0.5)
        self.fold, self.n_networks, self.seen = fold, n_networks, None

    def n_folds(self, n_rows):
        assert n_rows == N_ROWS
        return super().n_folds(n_rows) if self.n_networks is None else self.n_networks

    def warm_up_pull(self, evidence, fold=0):
        sent = super().warm_up_pull(evidence, fold)  # which counts the labels, but for copies
        return super().warm_up_pull(evidence, self.fold) if self.fold and not fold else sent

    def on_warm_up_end(self, survey):
        modules = [each.stateless.module for each in (survey, *survey.copies)]
        self.seen = [copy.deepcopy(module.state_dict()) for module in modules]
        super().on_warm_up_end(survey)


class Normed(nn.Module):
    """Draws random numbers and keeps averages."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3)
        )

    def forward(self, X):
        return self.layers(X)


def fitted(**params):
    schedule = LRScheduler(LinearLR, step_every="batch", start_factor=0.1, total_iters=8)
    module = params.pop("module", Normed)
    made = {"callbacks__lr_schedule": schedule, "max_epochs": 4, "batch_size": 16, **params}
    made = {"weighting": Hears, **made}
    return quick(module=module, optimizer__momentum=0.9, **made).fit(*DATA)


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_copies_are_what_the_network_would_be_with_other_rows_held_out():
    networks = fitted().weighting_.seen
    assert len(networks) == 4
    for fold, network in enumerate(networks):
        alone = fitted(weighting__n_networks=1, weighting__fold=fold).weighting_.seen
        assert len(alone) == 1
        assert equal(network, alone[0])
    assert not equal(networks[1], networks[2])


def test_the_network_is_as_without_copies():
    assert equal(fitted().weighting_.seen[0], fitted(weighting__n_networks=1).weighting_.seen[0])


def test_what_a_weighting_asks_for_is_made():
    assert len(fitted(weighting__n_networks=3).weighting_.seen) == 3


def test_where_rows_have_no_numbers_there_are_no_copies():
    class Rows(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(
                zip(torch.as_tensor(DATA[0]).float(), torch.as_tensor(DATA[1]), strict=True)
            )

        def __len__(self):
            return N_ROWS

    class Known(Hears):
        def n_folds(self, n_rows):
            return 4

    X_meta, y_meta = DATA[2:]
    net = quick(weighting=Known, classes=[0, 1, 2], batch_size=16, iterator_train__shuffle=False)
    net.fit(Rows(), None, PlainDataset(X_meta.astype("float32"), y_meta), None)
    assert len(net.weighting_.seen) == 1


class NoCopy(DropoutNet):
    def __deepcopy__(self, memo):
        raise TypeError("no copies")


def test_a_module_that_cannot_be_copied_is_measured_on_one_fold(caplog):
    with caplog.at_level(logging.INFO, logger="skgdw"):
        net = fitted(module=NoCopy)
    assert len(net.weighting_.seen) == 1
    assert "Noise is measured on one fold: the module cannot be copied (no copies)" in caplog.text


class Counting(torch.optim.SGD):
    """Has something of its own, which torch does not copy."""

    def __init__(self, params, lr):
        super().__init__(params, lr)
        self._share, self.seen = 0.5, []

    def step(self, closure=None):
        self.seen.append(self._share)
        return super().step(closure)


def test_what_an_optimizer_has_of_its_own_is_copied_too():
    net = quick(weighting=Hears, optimizer=Counting, batch_size=16).fit(*DATA)
    assert len(net.weighting_.seen) == 4
    assert len(net.optimizer_.seen) == len(net.history[0, "batches"])


def test_fine_tuning_copies_it_as_well():
    net = quick(weighting="uniform", optimizer=Counting, fine_tune=True).fit(*DATA)
    assert net.predict(DATA[0]).shape == (N_ROWS,)


class Clips(GradientNormClipping):
    pass


class Plain(Hears):
    def warm_up_pull(self, evidence):
        return super().warm_up_pull(evidence)


def with_a_hook():
    net = Normed()
    net.layers[0].weight.register_hook(lambda grad: None)
    return net


def with_a_late_hook():
    net = Normed()
    net.layers[0].weight.register_post_accumulate_grad_hook(lambda p: None)
    return net


class Stepping(Callback):
    def on_train_begin(self, net, **kwargs):
        net.optimizer_.register_step_pre_hook(lambda *args: None)


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"callbacks": [("clips", Clips(0.1))]}, "callbacks change gradients: ['clips']"),
        ({"module": with_a_hook}, "parameters have hooks"),
        ({"module": with_a_late_hook}, "parameters have hooks"),
        ({"callbacks": [("steps", Stepping())]}, "the optimizer has hooks"),
        ({"weighting": Plain}, "Plain.warm_up_pull takes no `fold`"),
    ],
    ids=["clipping", "hook", "late hook", "step hook", "no fold"],
)
def test_where_copies_would_be_trained_in_another_way_there_are_none(params, why, caplog):
    with caplog.at_level(logging.INFO, logger="skgdw"):
        net = fitted(**params)
    assert len(net.weighting_.seen) == 1
    assert why in caplog.text


class Adds(Callback):
    """Lets a layer learn in the midst of the warm-up."""

    def on_train_begin(self, net, **kwargs):
        net.module_.layers[0].weight.requires_grad_(False)

    def on_batch_begin(self, net, training=False, **kwargs):
        if len(net.history[-1, "batches"]) == 2:
            net.module_.layers[0].weight.requires_grad_(True)


class Grows(Callback):
    """Gives the optimizer a group in the midst of the warm-up."""

    def on_batch_begin(self, net, training=False, **kwargs):
        if len(net.history) == 1 and len(net.history[-1, "batches"]) == 2:
            net.optimizer_.add_param_group({"params": [nn.Parameter(torch.zeros(1))]})


class Layers(Callback):
    """Puts a layer into the network in the midst of the warm-up."""

    def on_batch_begin(self, net, training=False, **kwargs):
        if len(net.history) == 1 and len(net.history[-1, "batches"]) == 2:
            net.module_.layers.append(nn.Identity())


@pytest.mark.parametrize("callback", [Adds, Grows, Layers])
def test_a_network_that_changes_is_left_to_itself(callback):
    params = {"callbacks": [("changes", callback())], "callbacks__lr_schedule": None}
    assert len(fitted(**params).weighting_.seen) == 1


class Freezes(Callback):
    def on_batch_begin(self, net, training=False, **kwargs):
        net.module_.layers[1].eval()


def test_layers_of_the_copies_are_in_the_modes_of_the_network():
    for network in fitted(callbacks=[("freezes", Freezes())]).weighting_.seen:
        assert not network["layers.1.running_mean"].any()


def test_parameters_that_stay_as_they_are_are_shared():
    shared = []

    class Looks(Hears):
        def on_warm_up_end(self, survey):
            parts = [each.stateless.module.layers[0].weight for each in (survey, *survey.copies)]
            shared.append(len({id(part) for part in parts}))
            super().on_warm_up_end(survey)

    class Frozen(Normed):
        def __init__(self):
            super().__init__()
            self.layers[0].requires_grad_(False)

    fitted(module=Frozen, weighting=Looks)
    fitted(weighting=Looks)
    assert shared == [1, 4]


def test_memory_that_runs_out_is_told():
    class Huge(DropoutNet):
        def __deepcopy__(self, memo):
            raise MemoryError

    with pytest.raises(MemoryError):
        fitted(module=Huge)
