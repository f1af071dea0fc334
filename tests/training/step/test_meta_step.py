"""Whole steps against the oracle, a literal loop in float64, and what they leave alone."""

import copy
from dataclasses import fields
from itertools import cycle

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

import cases
from cases import CASES, N_META, N_ROWS, Case
from properties import assert_all_close, assert_close, assert_same_state, state_of, untouched
from skgdw.weighting import Weighting
from training_cases import oracle, start

WEIGHTINGS = ("class", "instance", "network")
N_STEPS = 3


def batches(case, first_seed, n_rows):
    """Yield a new batch each time, its labels in another order each time."""
    for k in range(N_STEPS):
        X, y = cases.batch(case.row_shape, first_seed + k, n_rows=n_rows)
        yield X, y.roll(k)


def run_both(case, training, trainer, tolerance, *, meta_every=1):
    """Take the same steps with both and compare everything after each."""
    train, meta = batches(case, 30, N_ROWS), batches(case, 40, N_META)
    for k, (X, y) in enumerate(train):
        with sdpa_kernel(SDPBackend.MATH):
            expected = trainer.step(X, y, *(next(meta) if k % meta_every == 0 else ()))
        result = training.take(X, y)
        assert_close(result.weight, expected.weight, tolerance, "weight")
        assert_close(result.loss, expected.losses.mean(), tolerance, "loss")
        if expected.meta_loss is None:
            assert result.meta_loss is None
        else:
            assert_close(result.meta_loss, expected.meta_loss, tolerance, "meta loss")
        state = (training.module.state_dict(), trainer.module.state_dict())
        assert_all_close(*state, tolerance)
        taught = (training.weight_net.state_dict(), trainer.weight_net.state_dict())
        assert_all_close(*taught, tolerance)
    return expected


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize(
    ("name", "method"),
    [(name, case.exact[0]) for name, case in CASES.items()]
    + [("conv_batchnorm", "unrolled"), ("dropout", "unrolled"), ("relu", "dual"), ("tied", "dual")],
)
def test_steps_equal_the_oracle(name, method, weighting):
    case = CASES[name]
    training = start(
        case, method=method, weighting=weighting, meta_batches=batches(case, 40, N_META)
    )
    trainer = oracle(training, weighting=weighting)
    before = {key: value.clone() for key, value in training.weight_net.state_dict().items()}
    last = run_both(case, training, trainer, 1e-9)
    # The comparison is of something: the weights spread and the weighting net learned.
    assert last.weight.std() > (1e-5 if weighting == "network" else 1e-2)
    assert not torch.equal(before["layers.0.weight"], training.weight_net.layers[0].weight)


@pytest.mark.parametrize("name", ["tanh", "conv_batchnorm", "dropout"])
def test_difference_steps_come_close(name):
    case = CASES[name]
    training = start(case, method="difference", meta_batches=batches(case, 40, N_META))
    run_both(case, training, oracle(training), 1e-5)


@pytest.mark.parametrize("method", ["forward", "unrolled"])
@pytest.mark.parametrize("name", ["tanh", "conv_batchnorm"])
def test_float32_steps_come_close(name, method):
    case = CASES[name]
    exact, close = (
        start(case, method=method, dtype=dtype) for dtype in (torch.float64, torch.float32)
    )
    for X, y in batches(case, 30, N_ROWS):
        exact.take(X, y)
        close.take(X.float(), y)
    assert_all_close(close.module.state_dict(), exact.module.state_dict(), 1e-5)


@pytest.mark.parametrize("meta_every", [2, 3])
@pytest.mark.parametrize("name", ["tanh", "dropout"])
def test_meta_every_counts_steps(name, meta_every):
    case = CASES[name]
    used = []
    meta = (used.append(k) or pair for k, pair in enumerate(batches(case, 40, N_META)))
    training = start(case, meta_every=meta_every, meta_batches=meta)
    run_both(case, training, oracle(training), 1e-9, meta_every=meta_every)
    assert len(used) == {2: 2, 3: 1}[meta_every]
    assert training.step.count == N_STEPS


def test_look_ahead_goes_as_far_as_asked():
    case = CASES["tanh"]
    training = start(case, lookahead_lr=1.5, meta_batches=batches(case, 40, N_META))
    run_both(case, training, oracle(training, lookahead_lr=1.5), 1e-9)


def test_look_ahead_follows_the_optimizer_groups():
    case = CASES["tanh"]
    training = start(case, meta_batches=batches(case, 40, N_META))
    group = training.optimizer.param_groups[0]
    first, *rest = group["params"]
    group["params"] = rest
    training.optimizer.add_param_group({"params": [first], "lr": 0.9})
    rates = dict.fromkeys(dict(training.module.named_parameters()), 0.1) | {"0.weight": 0.9}
    trainer = oracle(training, lookahead_lr=rates)
    trainer.optimizer.param_groups[0]["params"] = list(trainer.module.parameters())[1:]
    own = {"params": [trainer.module[0].weight], "lr": 0.9, "momentum": 0.9, "weight_decay": 5e-4}
    trainer.optimizer.add_param_group(own)
    run_both(case, training, trainer, 1e-9)


def test_frozen_parameters_are_left_out():
    training = start(CASES["frozen"])
    frozen = training.module[0].weight
    before = frozen.clone()
    assert "0.weight" not in training.step.look_ahead.rates()[0]
    training.take(training.problem.X, training.problem.y)
    assert frozen.grad is None
    assert torch.equal(frozen, before)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_rows_of_the_weighted_gradient_balance(weighting):
    training = start(CASES["relu"], weighting=weighting)
    for scale in (1.0, 30.0):
        X, y = scale * training.problem.X, training.problem.y
        before = training.module(X).detach()
        weight = training.take(X, y).weight
        logit_grad = training.step.row_loss.logit_grad(before, y)
        assert (weight * logit_grad).sum(dim=1).abs().max() < 1e-12


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_no_meta_gradient_leaves_the_weights_of_the_weighting_net(weighting):
    training = start(CASES["tanh"], weighting=weighting)
    X, y = training.problem.X, training.problem.y
    # A meta batch whose loss does not change: the only class it knows is certain already.
    with torch.no_grad():
        training.module[2].bias[0] = 1e4
    y_meta = torch.zeros_like(training.problem.y_meta)
    training.step.meta_batches = cycle([(training.problem.X_meta, y_meta)])
    training.weight_net.requires_grad_(True)
    with torch.no_grad():
        first = training.weight_net(training.step.row_loss.losses(training.module(X), y))
    result = training.take(X, y)
    assert result.meta_loss == 0
    assert torch.isfinite(result.weight).all()
    off_target = result.weight.scatter(1, y.unsqueeze(1), 0.0)
    expected = first.unsqueeze(1).expand(-1, 3).scatter(1, y.unsqueeze(1), 0.0)
    # "network" asks the net after its step, which weight decay alone moves by the Adam rate.
    assert_close(off_target, expected, 5e-2 if weighting == "network" else 1e-12)


@pytest.mark.parametrize("scale", [1e4, -1e4])
def test_steps_stay_finite_on_extreme_logits(scale):
    training = start(CASES["tanh"])
    with torch.no_grad():
        training.module[2].bias.copy_(torch.tensor([scale, -scale, 0.0]))
    result = training.take(training.problem.X, training.problem.y)
    assert torch.isfinite(result.weight).all()
    values = [*training.module.parameters(), *training.weight_net.parameters()]
    assert all(bool(torch.isfinite(value).all()) for value in values)
    assert all(bool(torch.isfinite(p.grad).all()) for p in training.module.parameters())


@pytest.mark.parametrize("wrap", [lambda logits: (logits, "beside"), lambda logits: logits])
def test_module_may_return_more_beside_the_logits(wrap):
    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = cases.tanh_mlp()

        def forward(self, X):
            return wrap(self.inner(X))

    training, twin = start(cases.Case(Wrapped)), start(CASES["tanh"])
    result = training.take(training.problem.X, training.problem.y)
    expected = twin.take(twin.problem.X, twin.problem.y)
    assert torch.equal(result.weight, expected.weight)


def test_a_batch_that_keeps_too_little_is_scaled_up_as_a_whole():
    small, guarded = start(CASES["relu"]), start(CASES["relu"])
    guarded.step.min_share = 0.3
    for training in (small, guarded):
        with torch.no_grad():  # turns all weights down
            training.weight_net.layers[2].bias.fill_(-20)
    X, y = small.problem.X, small.problem.y
    results = [training.take(X, y) for training in (small, guarded)]
    # Told as they are; the step is longer, in the same direction.
    assert torch.equal(results[0].weight, results[1].weight)
    pulls = [
        torch.cat([p.grad.ravel() for p in training.module.parameters()])
        for training in (small, guarded)
    ]
    logit_grad = small.step.row_loss.logit_grad(results[0].evidence.logits, y)
    kept = (results[0].weight * logit_grad).abs().sum() / logit_grad.abs().sum()
    assert kept < 0.2
    assert_close(pulls[1], pulls[0] * (0.3 / kept), 1e-9)


@pytest.mark.parametrize("method", ["forward", "difference"])
def test_a_batch_that_keeps_enough_is_left_to_the_last_bit(method):
    plain, guarded = (start(CASES["relu"], method=method) for _ in range(2))
    guarded.step.min_share = 0.1
    for training in (plain, guarded):
        training.take(training.problem.X, training.problem.y)
    for one, other in zip(plain.module.parameters(), guarded.module.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)


# What a step leaves alone, and what it changes just once.


STATEFUL = ("conv_batchnorm", "running_mean", "dropout", "spectral_norm", "tied")


class RecordedDropout(nn.Module):
    """Dropout that remembers its masks."""

    def __init__(self):
        super().__init__()
        self.masks = []

    def forward(self, X):
        mask = torch.rand(X.shape) < 0.5
        self.masks.append(mask)
        return X * mask.to(X.dtype) * 2


class MaskedNet(nn.Module):
    def __init__(self, function=torch.tanh):
        super().__init__()
        self.first, self.drop, self.out = nn.Linear(4, 40), RecordedDropout(), nn.Linear(40, 3)
        self.function = function

    def forward(self, X):
        return self.out(self.drop(self.function(self.first(X))))


def ways(name):
    exact = CASES[name].exact
    return [*exact, "difference", *(["dual"] if "forward" in exact else [])]


class Watched:
    """A look-ahead that fails where it changes the module or its gradients."""

    def __init__(self, look_ahead, module):
        self.look_ahead, self.module, self.seen = look_ahead, module, []
        self.jvp, self.rates = look_ahead.jvp, look_ahead.rates

    def __call__(self, *args):
        for parameter in self.module.parameters():
            parameter.grad = torch.full_like(parameter, 3.0)
        before = state_of(self.module)
        found = self.look_ahead(*args)
        assert_same_state(self.module, before)
        for parameter in self.module.parameters():
            parameter.grad = None
        self.seen.append(found)
        return found


@pytest.mark.parametrize(("name", "method"), [(n, m) for n in STATEFUL for m in ways(n)])
def test_look_ahead_leaves_the_module_alone(name, method):
    training, twin = (start(CASES[name], method=method) for _ in range(2))
    watched = Watched(training.step.look_ahead, training.module)
    training.step.look_ahead = watched
    result = training.take(training.problem.X, training.problem.y)
    assert len(watched.seen) == 1
    assert torch.equal(result.weight, twin.take(twin.problem.X, twin.problem.y).weight)


@pytest.mark.parametrize(("name", "method"), [(n, m) for n in STATEFUL for m in ways(n)])
def test_step_leaves_the_global_random_state_alone(name, method):
    training = start(CASES[name], method=method)
    with untouched():
        training.take(training.problem.X, training.problem.y)


@pytest.mark.parametrize("name", ["conv_batchnorm", "running_mean", "spectral_norm"])
@pytest.mark.parametrize("meta_every", [1, 2])
def test_a_step_moves_the_buffers_as_one_forward_does(name, meta_every):
    training = start(CASES[name], meta_every=meta_every)
    plain = copy.deepcopy(training.module)
    for k in range(2):
        plain.load_state_dict({**plain.state_dict(), **dict(training.module.named_parameters())})
        plain(training.problem.X)
        training.take(training.problem.X, training.problem.y)
        for key, buffer in training.module.named_buffers():
            assert torch.equal(buffer, plain.get_buffer(key)), key
        if name == "conv_batchnorm":
            assert int(training.module[1].num_batches_tracked) == k + 1


# Passes over the training rows: forward mode makes one more where it does not know a function.
@pytest.mark.parametrize(
    ("method", "function", "n_passes"),
    [
        ("forward", torch.tanh, 1),
        ("forward", torch.cos, 2),
        ("dual", torch.tanh, 2),
        ("unrolled", torch.tanh, 1),
        ("difference", torch.tanh, 3),
    ],
)
def test_all_passes_over_the_training_rows_share_one_mask(method, function, n_passes):
    training = start(Case(lambda: MaskedNet(function)), method=method)
    n, masks = len(training.problem.y), training.module.drop.masks
    of_steps = []
    for _ in range(2):
        masks.clear()
        training.take(training.problem.X, training.problem.y)
        train = [mask for mask in masks if len(mask) == n]
        meta = [mask for mask in masks if len(mask) != n]
        assert len(train) == n_passes
        assert all(torch.equal(mask, train[0]) for mask in train)
        assert len(meta) == 1
        assert not torch.equal(meta[0], train[0][: len(meta[0])])
        of_steps.append(train[0])
    assert not torch.equal(*of_steps)


def test_step_keeps_no_graph():
    training = start(CASES["conv_batchnorm"])
    result = training.take(training.problem.X, training.problem.y)
    found = [getattr(result.evidence, field.name) for field in fields(result.evidence)]
    found += [result.loss, result.weight, result.meta_loss, result.evidence.losses]
    tensors = [value for value in found if isinstance(value, torch.Tensor)]
    assert len(tensors) == 6
    assert not any(value.requires_grad for value in tensors)


# The real step beside the weights.


def added_by_hand(training, trial_pull, meta_weight):
    """Return the gradient of the real step: weighted, plus so much of the meta gradient.

    Both are written out: the look-ahead is taken on a copy, whose gradient at the meta batch is g.
    """
    X, y, X_meta, y_meta = training.problem[1:]
    module = training.module
    ahead = copy.deepcopy(module)
    ahead.zero_grad()
    ahead(X).backward(trial_pull / len(y))
    with torch.no_grad():
        for parameter in ahead.parameters():
            parameter -= 0.1 * parameter.grad
    ahead.zero_grad()
    nn.functional.cross_entropy(ahead(X_meta), y_meta).backward()
    return {name: meta_weight * p.grad for name, p in ahead.named_parameters()}


@pytest.mark.parametrize("name", ["tanh", "relu", "tied"])
@pytest.mark.parametrize("method", ["forward", "unrolled", "difference"])
def test_the_meta_gradient_is_added_to_the_real_one(name, method):
    plain = start(CASES[name], method=method)
    mixed = start(CASES[name], method=method, meta_weight=0.3)
    X, y = plain.problem.X, plain.problem.y
    with torch.no_grad():
        logits = plain.module(X)
        first = plain.weight_net(plain.step.row_loss.losses(logits, y)).unsqueeze(1)
    trial_pull = first * plain.step.row_loss.logit_grad(logits, y)
    share = added_by_hand(plain, trial_pull, 0.3)
    weight = plain.take(X, y).weight
    assert torch.equal(mixed.take(X, y).weight, weight)
    grads = [{k: p.grad for k, p in t.module.named_parameters()} for t in (plain, mixed)]
    assert max(float(value.abs().max()) for value in share.values()) > 1e-3
    expected = {key: grad + share[key] for key, grad in grads[0].items()}
    assert_all_close(grads[1], expected, 1e-12)


def test_frozen_parameters_get_no_meta_gradient():
    training = start(CASES["frozen"], meta_weight=0.3)
    training.take(training.problem.X, training.problem.y)
    assert training.module[0].weight.grad is None
    assert training.module[0].bias.grad is not None


def test_steps_without_a_meta_batch_add_nothing():
    plain, mixed = (start(CASES["tanh"], meta_every=2, meta_weight=w) for w in (0.0, 0.3))
    X, y = plain.problem.X, plain.problem.y
    plain.take(X, y), mixed.take(X, y)
    mixed.module.load_state_dict(plain.module.state_dict())
    plain.step(X, y), mixed.step(X, y)
    plain.optimizer.zero_grad(), mixed.optimizer.zero_grad()
    plain.step.count = mixed.step.count = 1
    plain.step(X, y), mixed.step(X, y)
    for one, other in zip(plain.module.parameters(), mixed.module.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)


def test_parameters_that_only_the_meta_rows_reach_get_their_share():
    class Gated(nn.Module):
        """A bias that acts on large batches alone: the meta batch, padded, is one."""

        def __init__(self):
            super().__init__()
            self.inner, self.bias = cases.tanh_mlp(), nn.Parameter(torch.zeros(3))

        def forward(self, X):
            logits = self.inner(X)
            return logits + self.bias if len(X) == N_META else logits

    training = start(Case(Gated), method="unrolled", meta_weight=0.5)
    training.take(training.problem.X, training.problem.y)
    grad = training.module.bias.grad
    assert grad is not None
    assert grad.abs().max() > 1e-3


class Listening(Weighting):
    """Counts every row once, and writes down what it is told."""

    def __init__(self):
        super().__init__()
        self.heard = []

    def forward(self, evidence):
        self.heard.append(("forward", evidence.rows))
        return torch.ones_like(evidence.losses).unsqueeze(1)

    def remember(self, evidence, pull):
        self.heard.append(("remember", evidence.rows, pull))


def test_a_weighting_hears_rows_and_what_was_sent_back():
    weighting = Listening()
    training = start(CASES["tanh"], weighting=weighting)
    assert training.step.weighting_optimizer is None  # it learns nothing
    X, y = training.problem.X, training.problem.y
    rows = torch.arange(len(y)) * 7
    result = training.take(X, y, rows)
    # Asked before and after the look-ahead, told at the end.
    assert [name for name, *_ in weighting.heard] == ["forward", "forward", "remember"]
    assert all(heard[1] is rows for heard in weighting.heard)
    pull = weighting.heard[-1][2]
    assert torch.equal(pull.weight, result.weight)
    logit_grad = training.step.row_loss.logit_grad(result.evidence.logits, y)
    assert_close(pull.grad, logit_grad, 1e-12)
