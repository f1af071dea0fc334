"""Whole steps against the oracle: a literal loop with double backward in float64."""

from itertools import cycle

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

import cases
from cases import CASES, N_META, N_ROWS
from properties import assert_all_close, assert_close, untouched
from skgdw._training._random import RandomStream
from skgdw._training.step._step import PlainStep

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
    + [("conv_batchnorm", "unrolled"), ("dropout", "unrolled")],
)
def test_steps_equal_the_oracle(start, oracle, name, method, weighting):
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
def test_difference_steps_come_close(start, oracle, name):
    case = CASES[name]
    training = start(case, method="difference", meta_batches=batches(case, 40, N_META))
    run_both(case, training, oracle(training), 1e-5)


@pytest.mark.parametrize("method", ["forward", "unrolled"])
@pytest.mark.parametrize("name", ["tanh", "conv_batchnorm"])
def test_float32_steps_come_close(start, name, method):
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
def test_meta_every_counts_steps(start, oracle, name, meta_every):
    case = CASES[name]
    used = []
    meta = (used.append(k) or pair for k, pair in enumerate(batches(case, 40, N_META)))
    training = start(case, meta_every=meta_every, meta_batches=meta)
    run_both(case, training, oracle(training), 1e-9, meta_every=meta_every)
    assert len(used) == {2: 2, 3: 1}[meta_every]
    assert training.step.count == N_STEPS


def test_look_ahead_goes_as_far_as_asked(start, oracle):
    case = CASES["tanh"]
    training = start(case, lookahead_lr=1.5, meta_batches=batches(case, 40, N_META))
    run_both(case, training, oracle(training, lookahead_lr=1.5), 1e-9)


def test_look_ahead_follows_the_optimizer_groups(start, oracle):
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


def test_frozen_parameters_are_left_out(start):
    training = start(CASES["frozen"])
    frozen = training.module[0].weight
    before = frozen.clone()
    assert "0.weight" not in training.step.rates()[0]
    training.take(training.problem.X, training.problem.y)
    assert frozen.grad is None
    assert torch.equal(frozen, before)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_rows_of_the_weighted_gradient_balance(start, weighting):
    training = start(CASES["relu"], weighting=weighting)
    for scale in (1.0, 30.0):
        X, y = scale * training.problem.X, training.problem.y
        before = training.module(X).detach()
        weight = training.take(X, y).weight
        logit_grad = training.step.row_loss.logit_grad(before, y)
        assert (weight * logit_grad).sum(dim=1).abs().max() < 1e-12


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_no_meta_gradient_leaves_the_weights_of_the_weighting_net(start, weighting):
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
def test_steps_stay_finite_on_extreme_logits(start, scale):
    training = start(CASES["tanh"])
    with torch.no_grad():
        training.module[2].bias.copy_(torch.tensor([scale, -scale, 0.0]))
    result = training.take(training.problem.X, training.problem.y)
    assert torch.isfinite(result.weight).all()
    values = [*training.module.parameters(), *training.weight_net.parameters()]
    assert all(bool(torch.isfinite(value).all()) for value in values)
    assert all(bool(torch.isfinite(p.grad).all()) for p in training.module.parameters())


@pytest.mark.parametrize("name", ["conv_batchnorm", "dropout", "lstm"])
def test_plain_step_is_backward_of_the_criterion(name):
    problem, twin = (cases.problem(CASES[name]) for _ in range(2))
    stream = RandomStream(4, torch.device("cpu"))
    step = PlainStep(problem.module, lambda z, y, X: nn.functional.cross_entropy(z, y), stream)
    with untouched():
        result = step(problem.X, problem.y)
    torch.manual_seed(4)
    logits = twin.module(problem.X)
    loss = nn.functional.cross_entropy(logits, problem.y)
    loss.backward()
    assert torch.equal(result.loss, loss)
    assert torch.equal(result.logits, logits)
    assert result.weight is None
    assert result.meta_loss is None
    for own, other in zip(problem.module.parameters(), twin.module.parameters(), strict=True):
        assert torch.equal(own.grad, other.grad)


@pytest.mark.parametrize("wrap", [lambda logits: (logits, "beside"), lambda logits: logits])
def test_module_may_return_more_beside_the_logits(start, wrap):
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


def test_a_batch_that_keeps_too_little_is_scaled_up_as_a_whole(start):
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
    logit_grad = small.step.row_loss.logit_grad(results[0].logits, y)
    kept = (results[0].weight * logit_grad).abs().sum() / logit_grad.abs().sum()
    assert kept < 0.2
    assert_close(pulls[1], pulls[0] * (0.3 / kept), 1e-9)


@pytest.mark.parametrize("method", ["forward", "difference"])
def test_a_batch_that_keeps_enough_is_left_to_the_last_bit(start, method):
    plain, guarded = (start(CASES["relu"], method=method) for _ in range(2))
    guarded.step.min_share = 0.1
    for training in (plain, guarded):
        training.take(training.problem.X, training.problem.y)
    for one, other in zip(plain.module.parameters(), guarded.module.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)
