"""The estimator's own training steps, in float32, against references in float64."""

import copy

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback, LRScheduler
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR

import cases
import oracles
from properties import assert_all_close, assert_close
from skgdw import GDWClassifier
from skgdw.exceptions import MetaClassWarning
from skgdw.modules import WeightNet

METHODS = ("auto", "forward", "difference", "unrolled")
N_CLASSES = cases.N_CLASSES


class ReferenceNet(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 4))


class StartFrom(Callback):
    """Sets the initial parameters of module and weighting net."""

    def __init__(self, module=(), weight_net=()):
        self.module, self.weight_net = module, weight_net

    def on_train_begin(self, net, **kwargs):
        for part, values in ((net.module_, self.module), (net.weight_net_, self.weight_net)):
            if len(values):
                with torch.no_grad():
                    for parameter, value in zip(part.parameters(), values, strict=True):
                        parameter.copy_(torch.as_tensor(value))


def classifier(module, **kwargs):
    """Make a classifier that takes the rows in order, at a constant rate, for one epoch."""
    settings = {
        "weighting": "class",
        "batch_size": 12,
        "iterator_meta__batch_size": 8,
        "iterator_train__shuffle": False,
        "iterator_meta__shuffle": False,
        "callbacks__lr_schedule": None,
        "max_epochs": 1,
        "lr": 0.1,
        "meta_lr": 0.3,
        "weight_net__hidden": 16,
        "verbose": 0,
        "random_state": 0,
    }
    return GDWClassifier(module, **{**settings, **kwargs})


def rows(row_shape, n, seed, n_classes=N_CLASSES):
    X, y = cases.batch(row_shape, seed, n_rows=n, n_classes=n_classes)
    return X.float().numpy(), y.numpy()


def data(row_shape=(4,), n=36, n_meta=24):
    return (*rows(row_shape, n, 1), *rows(row_shape, n_meta, 2))


def module_of(make, seed=0):
    return cases.seeded(make, seed)


def state(clf):
    weight_net = {f"weight_net.{k}": v for k, v in clf.weight_net_.state_dict().items()}
    return clf.module_.state_dict() | weight_net


# References.


@pytest.mark.parametrize("meta_gradient", METHODS)
def test_estimator_retraces_the_reference_steps(meta_gradient):
    arrays = oracles.reference()
    X, y, X_meta, y_meta = (
        np.concatenate([arrays[f"step{k}_{name}"] for k in range(oracles.REFERENCE_STEPS)])
        for name in ("X", "y", "X_meta", "y_meta")
    )
    start = StartFrom(
        [arrays[f"init_param_{k}"] for k in range(4)],
        [arrays[f"init_weightnet_{k}"] for k in range(4)],
    )
    clf = classifier(
        ReferenceNet, meta_lr=100 / 48, meta_gradient=meta_gradient, callbacks=[("start", start)]
    )
    clf.fit(X, y, X_meta, y_meta)
    assert clf.meta_gradient_ == {"auto": "forward"}.get(meta_gradient, meta_gradient)
    last = oracles.REFERENCE_STEPS - 1
    atol = 1e-5
    for part, name in ((clf.module_, "param"), (clf.weight_net_, "weightnet")):
        for k, parameter in enumerate(part.parameters()):
            assert parameter.dtype is torch.float32
            expected = torch.from_numpy(arrays[f"step{last}_{name}_{k}"])
            torch.testing.assert_close(parameter.detach().double(), expected, rtol=0, atol=atol)
    # What the history says of each step; the parameters hang less on a weight's last digits.
    tolerance = 1e-4
    batches = clf.history[-1, "batches"]
    for k in range(oracles.REFERENCE_STEPS):
        losses = arrays[f"step{k}_loss"]
        weight, y_step = arrays[f"step{k}_class_weight"], arrays[f"step{k}_y"]
        given = weight[np.arange(12), y_step]
        assert batches[k]["train_loss"] == pytest.approx(losses.mean(), abs=atol)
        assert batches[k]["meta_loss"] == pytest.approx(arrays[f"step{k}_meta_loss"], abs=atol)
        assert batches[k]["weight_given"] == pytest.approx(given.mean(), abs=tolerance)
        other = (weight.sum() - given.sum()) / (12 * 3)
        assert batches[k]["weight_other"] == pytest.approx(other, abs=tolerance)
        np.testing.assert_allclose(clf.row_weights_[12 * k : 12 * k + 12], given, atol=tolerance)


@pytest.mark.parametrize("weighting", ["class", "instance", "network"])
@pytest.mark.parametrize("meta_gradient", ["forward", "unrolled", "difference"])
def test_conv_net_with_batchnorm_retraces_the_oracle(meta_gradient, weighting):
    X, y, X_meta, y_meta = data((1, 6, 6))
    module, weight_net = module_of(cases.conv_net), module_of(lambda: WeightNet(hidden=16))
    trainer = oracles.Trainer(module, weight_net, meta_lr=0.3, weighting=weighting)
    start = StartFrom(weight_net=list(weight_net.parameters()))
    clf = classifier(
        module, meta_gradient=meta_gradient, weighting=weighting, callbacks=[("start", start)]
    )
    clf.fit(X, y, X_meta, y_meta)
    tensors = [torch.from_numpy(array) for array in (X, y, X_meta, y_meta)]
    for k in range(3):
        train, meta = slice(12 * k, 12 * k + 12), slice(8 * k, 8 * k + 8)
        parts = (train, train, meta, meta)
        trainer.step(*(tensor[part] for tensor, part in zip(tensors, parts, strict=True)))
    assert_all_close(clf.module_.state_dict(), trainer.module.state_dict(), 1e-5)
    assert_all_close(clf.weight_net_.state_dict(), trainer.weight_net.state_dict(), 1e-5)


@pytest.mark.parametrize("n", [40, 43])
@pytest.mark.parametrize(
    "make", [cases.relu_mlp, cases.conv_net], ids=["relu", "conv with batchnorm"]
)
def test_uniform_equals_skorch_step_for_step(make, n):
    X, y = rows((1, 6, 6) if make is cases.conv_net else (4,), n, 1)
    module, epochs = module_of(make), 4
    own = classifier(module, weighting="uniform", batch_size=8, max_epochs=epochs)
    own.set_params(callbacks__lr_schedule=LRScheduler(CosineAnnealingLR, T_max=epochs))
    skorch = NeuralNetClassifier(
        copy.deepcopy(module),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.SGD,
        optimizer__momentum=0.9,
        optimizer__weight_decay=5e-4,
        lr=0.1,
        batch_size=8,
        max_epochs=epochs,
        train_split=None,
        callbacks=[LRScheduler(CosineAnnealingLR, T_max=epochs)],
        verbose=0,
    )
    own.fit(X, y)
    skorch.fit(X, y)
    assert_all_close(own.module_.state_dict(), skorch.module_.state_dict(), 1e-7)
    losses = [net.history[:, "batches", :, "train_loss"] for net in (own, skorch)]
    np.testing.assert_allclose(*losses, rtol=1e-6)
    assert len(losses[0][0]) == -(-n // 8)


def test_weightings_differ():
    ends = []
    for weighting in ("class", "instance", "network", "uniform"):
        clf = classifier(module_of(cases.relu_mlp), weighting=weighting).fit(*data())
        ends.append(clf.module_.state_dict()["0.weight"])
    for k, one in enumerate(ends):
        for other in ends[k + 1 :]:
            assert (one - other).abs().max() > 1e-4


# Symmetries.


@pytest.mark.parametrize("weighting", ["class", "instance", "network"])
def test_order_of_the_rows_within_a_batch_does_not_matter(weighting):
    X, y, X_meta, y_meta = data()
    order = np.concatenate([12 * k + np.random.RandomState(k).permutation(12) for k in range(3)])
    meta_order = np.concatenate([8 * k + np.random.RandomState(k).permutation(8) for k in range(3)])
    module = module_of(cases.tanh_mlp)
    one = classifier(module, weighting=weighting).fit(X, y, X_meta, y_meta)
    other = classifier(module, weighting=weighting).fit(
        X[order], y[order], X_meta[meta_order], y_meta[meta_order]
    )
    assert_all_close(state(other), state(one), 1e-6)
    np.testing.assert_allclose(other.row_weights_, one.row_weights_[order], atol=1e-4)


@pytest.mark.parametrize("weighting", ["class", "instance", "network"])
def test_names_of_the_classes_do_not_matter(weighting):
    X, y, X_meta, y_meta = data()
    code = np.array([2, 0, 1])  # class k is called code[k]
    module, renamed = (module_of(cases.tanh_mlp) for _ in range(2))
    at = torch.from_numpy(np.argsort(code))
    with torch.no_grad():
        for parameter in renamed[2].parameters():
            parameter.copy_(parameter[at])
    one = classifier(module, weighting=weighting).fit(X, y, X_meta, y_meta)
    other = classifier(renamed, weighting=weighting).fit(X, code[y], X_meta, code[y_meta])
    expected = state(one)
    for name in ("2.weight", "2.bias"):
        expected[name] = expected[name][at]
    assert_all_close(state(other), expected, 1e-6)
    np.testing.assert_allclose(other.row_weights_, one.row_weights_, atol=1e-4)
    assert (other.predict(X) == code[one.predict(X)]).all()


# Edges.


def test_no_meta_gradient_leaves_the_weights_of_the_weighting_net():
    module = module_of(cases.tanh_mlp)
    with torch.no_grad():
        module[2].bias[0] = 1e4  # class 0 is certain, and the meta rows all belong to it
    X, y, X_meta, _ = data(n=12, n_meta=8)
    clf = classifier(module, weight_net_optimizer__lr=0.0, weight_net_optimizer__weight_decay=0)
    with pytest.warns(MetaClassWarning):
        clf.fit(X, y, X_meta, np.zeros(8, dtype=int))
    with torch.no_grad():
        logits = module(torch.from_numpy(X))
        losses = nn.functional.cross_entropy(logits, torch.from_numpy(y), reduction="none")
        first = clf.weight_net_(losses)
    assert clf.history[-1, "meta_loss"] == 0
    assert clf.history[-1, "weight_other"] == pytest.approx(float(first.mean()), rel=1e-6)
    assert float(first.std()) > 1e-3


class Certain(nn.Module):
    """Logits of +-1e4: every probability is zero or one."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, N_CLASSES)

    def forward(self, X):
        return 1e4 * torch.tanh(1e2 * self.linear(X))


@pytest.mark.parametrize("weighting", ["class", "instance", "network"])
@pytest.mark.parametrize("meta_gradient", ["forward", "unrolled", "difference"])
def test_stays_finite_where_every_row_is_certain(weighting, meta_gradient):
    clf = classifier(
        module_of(Certain), weighting=weighting, meta_gradient=meta_gradient, max_epochs=2, lr=1e-6
    )
    clf.fit(*data())
    assert all(bool(torch.isfinite(value).all()) for value in state(clf).values())
    assert np.isfinite(clf.row_weights_).all()
    assert np.isfinite(clf.predict_proba(data()[0])).all()


@pytest.mark.parametrize("weighting", ["class", "instance", "network", "uniform"])
def test_batches_of_one_row(weighting):
    X, y, X_meta, y_meta = data(n=6)
    clf = classifier(module_of(cases.tanh_mlp), weighting=weighting, batch_size=1)
    clf.fit(X, y, X_meta, y_meta)
    assert clf.history[-1, "batches", :, "train_batch_size"] == [1] * 6
    assert all(bool(torch.isfinite(value).all()) for value in state(clf).values())


@pytest.mark.parametrize(
    ("n", "lengths"), [(12, [4, 4, 4]), (14, [4, 4, 4, 2]), (13, [4, 4, 5]), (3, [3]), (5, [5])]
)
def test_short_batches_and_trailing_rows(n, lengths):
    X, y, X_meta, y_meta = data((1, 6, 6), n=n, n_meta=8)
    clf = classifier(module_of(cases.conv_net), batch_size=4, iterator_meta__batch_size=5)
    clf.fit(X, y, X_meta, y_meta)
    assert clf.history[-1, "batches", :, "train_batch_size"] == lengths
    assert np.isfinite(clf.row_weights_).all()
    tracked = clf.module_[1].num_batches_tracked
    assert int(tracked) == len(lengths)


def test_short_last_batch_retraces_the_oracle():
    X, y, X_meta, y_meta = data((1, 6, 6), n=17, n_meta=8)
    module, weight_net = module_of(cases.conv_net), module_of(lambda: WeightNet(hidden=16))
    trainer = oracles.Trainer(module, weight_net, meta_lr=0.3)
    start = StartFrom(weight_net=list(weight_net.parameters()))
    clf = classifier(module, callbacks=[("start", start)]).fit(X, y, X_meta, y_meta)
    for part in (slice(0, 12), slice(12, 17)):
        trainer.step(
            *(torch.from_numpy(array[part]) for array in (X, y)),
            *(torch.from_numpy(array) for array in (X_meta, y_meta)),
        )
    assert_all_close(clf.module_.state_dict(), trainer.module.state_dict(), 1e-5)


def test_meta_batches_go_round_without_a_short_one():
    """Twenty meta rows in batches of eight: the third batch takes four rows of the next round."""
    X, y, X_meta, y_meta = data(n_meta=20)
    module = module_of(cases.tanh_mlp)
    one = classifier(module).fit(X, y, X_meta, y_meta)
    again = np.arange(24) % 20
    other = classifier(module).fit(X, y, X_meta[again], y_meta[again])
    assert_all_close(state(one), state(other), 0.0)


@pytest.mark.parametrize("meta_every", [1, 2, 5])
def test_meta_every_counts_over_the_whole_fit(meta_every):
    clf = classifier(module_of(cases.tanh_mlp), meta_every=meta_every, max_epochs=2).fit(*data())
    batches = [batch for epoch in range(2) for batch in clf.history[epoch, "batches"]]
    taught = [k for k, batch in enumerate(batches) if "meta_loss" in batch]
    assert taught == list(range(0, 6, meta_every))


def test_double_precision_modules_are_trained_in_double_precision():
    module = module_of(cases.conv_net).double()
    X, y, X_meta, y_meta = data((1, 6, 6))
    weight_net = module_of(lambda: WeightNet(hidden=16)).double()
    trainer = oracles.Trainer(module, weight_net, meta_lr=0.3)
    start = StartFrom(weight_net=list(weight_net.parameters()))
    clf = classifier(module, callbacks=[("start", start)])
    clf.fit(X.astype(np.float64), y, X_meta.astype(np.float64), y_meta)
    for k in range(3):
        train, meta = slice(12 * k, 12 * k + 12), slice(8 * k, 8 * k + 8)
        trainer.step(
            *(torch.from_numpy(array[train]) for array in (X, y)),
            *(torch.from_numpy(array[meta]) for array in (X_meta, y_meta)),
        )
    assert_all_close(clf.module_.state_dict(), trainer.module.state_dict(), 1e-9)


def test_an_optimizer_that_is_not_sgd_looks_ahead_by_a_plain_step():
    module = module_of(cases.tanh_mlp)
    ends = [
        classifier(module, optimizer=torch.optim.Adam, lr=1e-3, lookahead_lr=rate).fit(*data())
        for rate in (None, 0.05, 0.5)
    ]
    assert_all_close(state(ends[0]), state(ends[1]), 0.0)
    with pytest.raises(AssertionError):
        assert_all_close(state(ends[0]), state(ends[2]), 0.0)


def test_users_loader_options_reach_training():
    X, y, X_meta, y_meta = data(n=30)
    before = torch.get_rng_state()
    clf = classifier(
        module_of(cases.tanh_mlp), iterator_train__drop_last=True, iterator_train__shuffle=True
    )
    clf.fit(X, y, X_meta, y_meta)
    assert clf.history[-1, "batches", :, "train_batch_size"] == [12, 12]
    assert torch.equal(torch.get_rng_state(), before)


def test_class_weights_of_the_criterion_scale_rows_and_nothing_else():
    """Doubling all class weights changes the losses that the weighting net sees, no gradient."""
    weight = torch.tensor([1.0, 2.0, 0.5])
    ends = [
        classifier(
            module_of(cases.tanh_mlp), criterion__weight=factor * weight, weight_net=Half
        ).fit(*data())
        for factor in (1.0, 2.0)
    ]
    assert_all_close(ends[1].module_.state_dict(), ends[0].module_.state_dict(), 1e-6)
    assert_close(ends[1].history[-1, "train_loss"], ends[0].history[-1, "train_loss"], 1e-6)


class Half(nn.Module):
    """A weighting net that does not look at the losses."""

    def __init__(self, hidden=16):
        super().__init__()
        self.level = nn.Parameter(torch.zeros(()))

    def forward(self, losses):
        return torch.sigmoid(self.level).expand_as(losses)
