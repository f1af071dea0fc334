"""How training goes: `partial_fit`, schedules, the history, callbacks, optimizers."""

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, roc_auc_score
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    Freezer,
    GradientNormClipping,
    LRScheduler,
    ProgressBar,
)
from skorch.dataset import ValidSplit
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR, StepLR
from torch.utils.data import DataLoader

from classifier_cases import Net, blobs, quick, weights
from skgdw import GDWClassifier
from skgdw.modules import WeightNet

DATA = blobs()
X, Y, X_META, Y_META = DATA
META = {"X_meta": X_META, "y_meta": Y_META}
NAMED = DATA.labelled(["ox", "cat", "dog"])


class Rates(Callback):
    """Writes down the learning rate of every batch."""

    def on_train_begin(self, net, **kwargs):
        self.seen = []

    def on_batch_begin(self, net, training, **kwargs):
        if training:
            self.seen.append(net.optimizer_.param_groups[0]["lr"])


def rates(net, epochs=None):
    """Return the learning rate of each epoch of the last call."""
    seen = dict(net.callbacks_)["rates"].seen
    return seen[:: len(seen) // (epochs or net.max_epochs)]


def watched(**params):
    return quick(**{"max_epochs": 4, "lr": 0.2, "callbacks": [("rates", Rates())], **params})


# --- partial_fit and the schedule -----------------------------------------------------------------


def test_the_rate_falls_as_a_cosine():
    net = watched().fit(*DATA)
    expected = 0.1 * (1 + np.cos(np.pi * np.arange(4) / 4))
    assert np.allclose(rates(net), expected)


@pytest.mark.parametrize("epochs", [1, 3])
def test_partial_fit_keeps_the_base_rate(epochs):
    net = watched(max_epochs=epochs)
    for call in range(3):
        net.partial_fit(X, Y, **META)
        assert np.allclose(rates(net), 0.2)
        assert len(net.history) == epochs * (call + 1)


def test_partial_fit_after_fit_goes_back_to_the_base_rate():
    net = watched().fit(*DATA)
    assert rates(net)[-1] < 0.1
    before = weights(net)
    net.partial_fit(X, Y, **META)
    assert np.allclose(rates(net), 0.2)
    assert len(net.history) == 8
    assert not np.array_equal(weights(net), before)


def test_fit_after_partial_fit_starts_the_schedule_and_the_weights_anew():
    net = watched().partial_fit(X, Y, **META).fit(*DATA)
    assert np.array_equal(weights(net), weights(watched().fit(*DATA)))
    assert len(net.history) == 4


def test_warm_fit_goes_on_with_the_weights_and_starts_the_schedule_anew():
    net = watched(warm_start=True).fit(*DATA)
    first = weights(net)
    assert np.array_equal(first, weights(watched().fit(*DATA)))
    net.set_params(max_epochs=2).fit(*DATA)
    assert np.allclose(rates(net), [0.2, 0.1])
    assert len(net.history) == 6
    still = quick(warm_start=True, max_epochs=0).fit(*DATA)
    start = weights(still)
    assert np.array_equal(weights(still.fit(*DATA)), start)


def test_several_groups_keep_their_own_rates():
    net = watched(optimizer__param_groups=[("layers.0.*", {"lr": 0.02})])
    net.fit(*DATA).partial_fit(X, Y, **META)
    groups = net.optimizer_.param_groups
    assert sorted(group["lr"] for group in groups) == [0.02, 0.2]


def test_warm_fit_of_more_epochs_falls_to_zero_once():
    net = watched(warm_start=True, max_epochs=2).fit(*DATA)
    net.set_params(max_epochs=4).fit(*DATA)
    assert np.allclose(rates(net), 0.1 * (1 + np.cos(np.pi * np.arange(4) / 4)))


def test_schedule_can_be_left_out_or_replaced():
    assert np.allclose(rates(watched(callbacks__lr_schedule=None).fit(*DATA)), 0.2)
    halving = LRScheduler(StepLR, step_size=1, gamma=0.5)
    net = watched(callbacks__lr_schedule=halving).fit(*DATA)
    assert np.allclose(rates(net), 0.2 * 0.5 ** np.arange(4))


def test_schedule_by_batch():
    rise = LRScheduler(OneCycleLR, max_lr=0.3, total_steps=13, step_every="batch")
    net = watched(callbacks__lr_schedule=rise, batch_size=16).fit(*DATA)
    seen = dict(net.callbacks_)["rates"].seen
    assert len(set(seen)) == 12
    assert max(seen) > 0.25


@pytest.mark.filterwarnings("ignore::skgdw.exceptions.MetaClassWarning")
def test_partial_fit_learns_the_classes_from_the_first_call():
    net = quick(module__n_classes=4)
    net.partial_fit(X[Y < 2], Y[Y < 2], classes=[0, 1, 2, 5], **META)
    assert net.classes_.tolist() == [0, 1, 2, 5]
    net.partial_fit(X, Y, classes=[5, 0, 1, 2], **META)
    with pytest.raises(ValueError, match=r"those of the first call, \[0, 1, 2, 5\]; got \[7, 8\]"):
        net.partial_fit(X, Y, classes=[7, 8], **META)
    assert net.classes_.tolist() == [0, 1, 2, 5]
    assert net.predict_proba(X).shape == (48, 4)


def test_partial_fit_takes_the_meta_rows_of_each_call():
    net = quick().partial_fit(X, Y, meta_mask=np.arange(48) < 12)
    assert np.isnan(net.row_weights_).sum() == 12
    net.partial_fit(X[:24], Y[:24], X_meta=(X_META,), y_meta=(Y_META,))
    assert net.row_weights_.shape == (24,)
    assert not np.isnan(net.row_weights_).any()


def test_partial_fit_in_pieces_learns():
    net = quick(max_epochs=2, batch_size=8)
    for _ in range(5):
        for part in np.split(np.arange(48), 2):
            net.partial_fit(X[part], Y[part], **META)
    assert net.score(X, Y) > 0.9
    assert len(net.history) == 20


def test_partial_fit_goes_on_with_the_random_numbers():
    """Two calls draw different batch orders: the second does not repeat the first."""
    net = quick(lr=0.0, batch_size=8, callbacks=[("rows", BatchRows())])
    first = dict(net.partial_fit(X, Y, **META).callbacks_)["rows"].seen
    second = dict(net.partial_fit(X, Y, **META).callbacks_)["rows"].seen
    assert not np.array_equal(first, second)
    assert np.array_equal(np.sort(first), np.sort(second))


class BatchRows(Callback):
    """Writes down the rows of the training batches."""

    def on_train_begin(self, net, **kwargs):
        self.seen = np.empty(0, int)

    def on_batch_begin(self, net, batch, training, **kwargs):
        if training:
            self.seen = np.concatenate([self.seen, batch.rows.numpy()])


def test_batches_are_shuffled_anew_in_every_epoch():
    net = quick(max_epochs=2, batch_size=8, callbacks=[("rows", BatchRows())]).fit(*DATA)
    first, second = dict(net.callbacks_)["rows"].seen.reshape(2, 48)
    assert sorted(first) == sorted(second) == [*range(48)]
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, np.arange(48))


# --- the history ----------------------------------------------------------------------------------


def test_history_of_every_epoch():
    net = quick(max_epochs=2, batch_size=16).fit(*DATA)
    assert len(net.history_) == 2
    for column in ("train_loss", "meta_loss", "weight_given", "weight_other"):
        per_epoch = net.history[:, column]
        per_batch = np.array(net.history[:, "batches", :, column])
        assert per_batch.shape == (2, 3)
        assert np.isfinite(per_batch).all()
        assert np.allclose(per_epoch, per_batch.mean(axis=1))
        assert {type(value) for value in net.history[-1, "batches", :, column]} == {float}
    assert np.all(np.array(net.history[:, ("weight_given", "weight_other")]) > 0)
    assert net.history[-1, "train_batch_count"] == 3


def test_train_loss_counts_rows_not_batches():
    net = quick(batch_size=32, lr=1e-30).fit(*DATA)
    losses, sizes = np.transpose(net.history[-1, "batches", :, ("train_loss", "train_batch_size")])
    assert list(sizes) == [32, 16]
    assert np.isclose(net.history[-1, "train_loss"], (losses * sizes).sum() / 48)


def test_weights_of_the_history_are_those_of_the_rows():
    net = quick(max_epochs=1, batch_size=16).fit(*DATA)
    assert np.isclose(net.history[-1, "weight_given"], net.row_weights_.mean(), rtol=1e-5)


@pytest.mark.parametrize("meta_every", [1, 2, 3, 100])
def test_meta_losses_come_every_so_many_steps(meta_every):
    net = quick(max_epochs=2, batch_size=8, meta_every=meta_every).fit(*DATA)
    has = ["meta_loss" in batch for epoch in net.history for batch in epoch["batches"]]
    assert has == [step % meta_every == 0 for step in range(12)]


def test_epoch_without_a_meta_step():
    """With meta_every beyond an epoch some epochs have no meta loss; the log takes it."""
    net = quick(max_epochs=3, batch_size=48, meta_every=2, verbose=1).fit(*DATA)
    assert np.isnan(net.history[:, "meta_loss"]).tolist() == [False, True, False]


# --- callbacks ------------------------------------------------------------------------------------


def test_scores_on_a_held_out_part_know_the_labels():
    scoring = [
        ("f1", EpochScoring("f1_macro", name="f1", lower_is_better=False)),
        ("auc", EpochScoring("roc_auc_ovr", name="auc", lower_is_better=False)),
        ("loss", EpochScoring("neg_log_loss", name="nll", lower_is_better=False)),
        ("train", EpochScoring("accuracy", name="train_acc", on_train=True)),
    ]
    split = ValidSplit(3, stratified=True)
    net = quick(max_epochs=3, batch_size=16, train_split=split, callbacks=scoring).fit(*NAMED)
    last, held_out = net.history[-1], valid_rows(split)
    y, probability = NAMED.y[held_out], net.predict_proba(X[held_out])
    predicted = net.predict(X[held_out])
    assert last["valid_acc"] == (predicted == y).mean() > 0.5
    assert np.isclose(last["f1"], f1_score(y, predicted, average="macro"))
    assert np.isclose(last["auc"], roc_auc_score(y, probability, multi_class="ovr"))
    assert last["nll"] < 0
    assert last["train_acc"] > 0.5
    assert np.isfinite(last["valid_loss"])
    assert np.isnan(net.row_weights_).sum() == 16


@pytest.mark.parametrize("on_train", [True, False])
def test_scores_without_skorchs_cache(on_train):
    options = {"lower_is_better": False, "on_train": on_train}
    scoring = [
        ("cached", EpochScoring("accuracy", name="cached", **options)),
        ("anew", EpochScoring("accuracy", name="anew", use_caching=False, **options)),
    ]
    net = quick(train_split=ValidSplit(3), callbacks=scoring).fit(*NAMED)
    assert 0 <= net.history[-1, "anew"] <= 1
    if not on_train:
        assert net.history[-1, "anew"] == net.history[-1, "cached"]


def valid_rows(split):
    """Return the rows that the split holds out of the class codes."""
    codes = np.searchsorted(np.unique(NAMED.y), NAMED.y)
    _, valid = split(torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(codes)), codes)
    return np.asarray(valid.indices)


def test_predict_within_a_callback_of_ones_own_gives_labels():
    class Peek(Callback):
        def on_epoch_end(self, net, **kwargs):
            self.labels = net.predict(X)
            self.classes = net.classes_

    net = quick(callbacks=[("peek", Peek())]).fit(*NAMED)
    peek = dict(net.callbacks_)["peek"]
    assert set(peek.labels) <= {"ox", "cat", "dog"}
    assert peek.classes.tolist() == ["cat", "dog", "ox"]


def test_checkpoint_restores_the_best_weights(tmp_path):
    checkpoint = Checkpoint(monitor="train_loss_best", dirname=tmp_path, load_best=True)
    net = quick(max_epochs=3, callbacks=[checkpoint]).fit(*DATA)
    saved = torch.load(tmp_path / "params.pt", weights_only=True)
    for name, value in net.module_.state_dict().items():
        assert torch.equal(value, saved[name])


def test_parameters_are_saved_and_loaded(tmp_path):
    net = quick(max_epochs=2).fit(*DATA)
    files = {
        "f_params": tmp_path / "module.pt",
        "f_weight_net": tmp_path / "weight_net.pt",
        "f_optimizer": tmp_path / "optimizer.pt",
        "f_weight_net_optimizer": tmp_path / "weight_net_optimizer.pt",
    }
    net.save_params(**files)
    other = quick(random_state=1).fit(*DATA)
    other.load_params(**files)
    assert np.array_equal(weights(other), weights(net))
    assert np.array_equal(other.predict_proba(X), net.predict_proba(X))


def test_early_stopping():
    stop = EarlyStopping("train_loss", patience=2, threshold=1e9, threshold_mode="abs")
    net = quick(max_epochs=10, callbacks=[stop]).fit(*DATA)
    assert len(net.history) == 3
    assert net.predict(X).shape == (48,)


def test_gradient_clipping_holds_the_step_back():
    clip = GradientNormClipping(1e-6)
    start = weights(quick(max_epochs=0).fit(*DATA))
    module = Net()
    n = sum(p.numel() for p in module.parameters())
    options = {"optimizer__weight_decay": 0.0, "optimizer__momentum": 0.0}
    free = weights(quick(**options).fit(*DATA))[:n]
    clipped = weights(quick(callbacks=[clip], **options).fit(*DATA))[:n]
    assert np.abs(free - start[:n]).max() > 1e-3
    assert 0 < np.abs(clipped - start[:n]).max() < 1e-5


def test_freezer():
    net = quick(callbacks=[Freezer("layers.0.*")])
    net.fit(*DATA)
    start = quick(max_epochs=0).fit(*DATA).module_.state_dict()
    after = net.module_.state_dict()
    assert torch.equal(after["layers.0.weight"], start["layers.0.weight"])
    assert not torch.equal(after["layers.2.weight"], start["layers.2.weight"])


def test_progress_bar(capsys):
    quick(batch_size=16, callbacks=[ProgressBar(detect_notebook=False)]).fit(*DATA)
    assert "/3 [" in capsys.readouterr().err  # of three batches


def test_callbacks_see_every_event():
    class Events(Callback):
        def __init__(self):
            self.seen = []

        def on_batch_begin(self, net, batch, training, **kwargs):
            rows, codes = batch
            assert rows.shape[1:] == (4,)
            assert codes.dtype is torch.int64

        def on_grad_computed(self, net, named_parameters, **kwargs):
            named = dict(named_parameters)
            assert all(p.grad is not None for p in named.values())
            self.seen.append(sorted(named))

        def on_batch_end(self, net, batch, training, loss, y_pred, **kwargs):
            self.seen.append((float(loss), tuple(y_pred.shape)))

    net = quick(batch_size=24, callbacks=[("events", Events())]).fit(*DATA)
    names, (loss, shape) = dict(net.callbacks_)["events"].seen[:2]
    assert names == ["layers.0.bias", "layers.0.weight", "layers.2.bias", "layers.2.weight"]
    assert shape == (24, 3)
    assert loss > 0


def test_verbose_prints_a_table(capsys):
    quick(verbose=1, max_epochs=2).fit(*DATA)
    header, rule, *rows = capsys.readouterr().out.splitlines()
    for column in ("epoch", "train_loss", "meta_loss", "weight_given", "weight_other", "dur"):
        assert column in header
    assert set(rule) <= {"-", " "}
    assert len(rows) == 2


def test_silence(capsys):
    net = quick(verbose=0).fit(*DATA)
    net.partial_fit(X, Y, **META).predict(X)
    net.set_params(module__hidden=3, lr=0.01)
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


# --- optimizers and the meta set's parameters -----------------------------------------------------


@pytest.mark.parametrize(
    "optimizer",
    [torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop, torch.optim.Adagrad],
    ids=lambda o: o.__name__,
)
def test_optimizers(optimizer):
    net = quick(optimizer=optimizer, lr=0.03, max_epochs=12, batch_size=16).fit(*DATA)
    assert type(net.optimizer_) is optimizer
    assert net.score(X, Y) > 0.9
    assert "momentum" not in net.optimizer_.param_groups[0] or optimizer is torch.optim.RMSprop


def test_defaults_of_the_optimizers():
    net = quick().fit(*DATA)
    group, teacher = net.optimizer_.param_groups[0], net.weight_net_optimizer_.param_groups[0]
    assert (group["initial_lr"], group["momentum"], group["weight_decay"]) == (0.1, 0.9, 5e-4)
    assert (teacher["lr"], teacher["weight_decay"]) == (1e-3, 1e-4)
    assert isinstance(net.weight_net_optimizer_, torch.optim.Adam)
    held = {id(p) for group in net.optimizer_.param_groups for p in group["params"]}
    assert held == {id(p) for p in net.module_.parameters()}


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ({}, (0.93, 1e-5)),
        ({"optimizer__weight_decay": 0.1}, (0.93, 0.1)),
        ({"optimizer__momentum": 0.5}, (0.5, 1e-5)),
    ],
)
def test_tables_have_a_momentum_and_a_weight_decay_of_their_own(given, used):
    group = quick("auto", **given).fit(*DATA).optimizer_.param_groups[0]
    assert (group["momentum"], group["weight_decay"]) == used


def test_parameters_with_prefixes_reach_their_parts():
    net = quick(
        weight_net__hidden=5,
        weight_net_optimizer=torch.optim.SGD,
        weight_net_optimizer__lr=0.3,
        optimizer__momentum=0.5,
        optimizer__nesterov=True,
    ).fit(*DATA)
    assert net.weight_net_.layers[0].weight.shape == (5, 1)
    assert net.weight_net_optimizer_.param_groups[0]["lr"] == 0.3
    assert net.optimizer_.param_groups[0]["momentum"] == 0.5
    assert net.optimizer_.param_groups[0]["nesterov"]


def test_weighting_net_learns_at_its_own_rate():
    start = quick(max_epochs=0).fit(*DATA)
    still = quick(weight_net_optimizer__lr=0.0, weight_net_optimizer__weight_decay=0.0).fit(*DATA)
    moved = quick().fit(*DATA)
    for name, value in start.weight_net_.state_dict().items():
        assert torch.equal(still.weight_net_.state_dict()[name], value)
    assert any(
        not torch.equal(moved.weight_net_.state_dict()[name], value)
        for name, value in start.weight_net_.state_dict().items()
    )


@pytest.mark.parametrize(
    "params",
    [
        {"meta_lr": 0.5},
        {"weight_clip": 0.01},
        {"lookahead_lr": 5.0},
        {"meta_every": 2},
        {"weighting": "instance"},
        {"weighting": "network"},
        {"weighting": "uniform"},
        {"iterator_meta__batch_size": 3},
        {"iterator_meta__shuffle": False, "iterator_meta__batch_size": 5},
        {"criterion__weight": torch.tensor([1.0, 2.0, 3.0])},
    ],
    ids=str,
)
def test_every_parameter_of_the_weighting_matters(params):
    plain = weights(quick(batch_size=16, max_epochs=2).fit(*DATA))
    assert not np.array_equal(
        weights(quick(batch_size=16, max_epochs=2, **params).fit(*DATA)), plain
    )


class MetaSizes(DataLoader):
    """Writes down the sizes of its batches."""

    sizes: list

    def __iter__(self):
        for batch in super().__iter__():
            type(self).sizes.append(len(batch[1]))
            yield batch


@pytest.mark.parametrize(
    ("params", "size"),
    [
        ({}, 12),
        ({"batch_size": 7}, 7),
        ({"batch_size": 7, "iterator_meta__batch_size": 5}, 5),
        ({"iterator_meta__batch_size": 1000}, 12),
        ({"iterator_meta__batch_size": -1}, 12),
    ],
    ids=str,
)
def test_meta_batches_are_never_short(params, size):
    MetaSizes.sizes = []
    quick(max_epochs=3, iterator_meta=MetaSizes, **params).fit(*DATA)
    assert set(MetaSizes.sizes) == {size}


def test_zero_epochs_only_build():
    net = quick(max_epochs=0).fit(*NAMED)
    assert len(net.history) == 0
    assert net.predict_proba(X).shape == (48, 3)


def test_row_weights_keep_the_last_of_each_row():
    net = GDWClassifier(Net, max_epochs=3, verbose=0, random_state=0).fit(*DATA)
    assert net.row_weights_.shape == (48,)
    assert ((net.row_weights_ > 0) & np.isfinite(net.row_weights_)).all()


def test_weighting_net_optimizer_without_weight_decay():
    net = quick(weight_net_optimizer=torch.optim.Rprop).fit(*DATA)
    assert isinstance(net.weight_net_optimizer_, torch.optim.Rprop)


def test_criterion_instance_is_copied():
    criterion = nn.CrossEntropyLoss()
    net = quick(Net(), criterion=criterion).fit(*DATA)
    assert net.criterion_ is not criterion


class EinsumWeights(torch.nn.Module):
    """A weighting net whose gradients are laid out otherwise than its parameters."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Parameter(torch.linspace(-1, 1, 15).reshape(5, 3))
        self.out = torch.nn.Parameter(torch.linspace(-1, 1, 5))

    def forward(self, losses):
        powers = losses.clamp(max=2)[:, None] ** torch.arange(3)
        hidden = torch.einsum("ni,oi->no", powers, self.first)
        return torch.sigmoid(torch.relu(hidden) @ self.out)


def test_gradients_of_any_layout_reach_the_optimizer_of_the_weighting_net():
    nets = [
        quick("auto", weight_net=EinsumWeights, weight_net_optimizer__fused=fused).fit(*DATA)
        for fused in (True, False)
    ]
    ours, theirs = (net.weight_net_.state_dict() for net in nets)
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-4, atol=1e-5)


def test_a_frozen_weighting_net_stays_as_it_is():
    frozen = WeightNet(hidden=4).requires_grad_(False)
    net = quick("auto", weight_net=frozen).fit(*DATA)
    for own, given in zip(net.weight_net_.parameters(), frozen.parameters(), strict=True):
        assert torch.equal(own, given)
