"""The ways to J g by themselves: the same derivative, for other passes."""

import logging

import pytest
import torch
from torch import nn

import cases
from cases import CASES, Case
from properties import assert_close, untouched
from skgdw._training.step._jvp import (
    Difference,
    DualNumbers,
    Recorded,
    Unrolled,
    WideDifference,
)
from skgdw._training.step._passes import TrainingPass
from skgdw.functional import meta_gradient
from skgdw.functional._recorded import RULES
from training_cases import start

EXACT = [DualNumbers(), Recorded(DualNumbers()), Unrolled(), Unrolled(is_tried=True)]
CLOSE = [Difference(), Difference(shares_pass=True), WideDifference()]


def derivative(training, jvp):
    """Return J g of a training's first batch that way, and J g by a loop over its entries."""
    step, (X, y, X_meta, y_meta) = training.step, training.problem[1:]
    with step.passes.stream.active(), jvp.attention():
        begin = step.passes.start()
        with step.passes.stream.replay(begin.rng_state):
            logits = step.passes.stateless(step.passes.stateless.copy_buffers(), X)
        batch = TrainingPass(step.passes, begin, X, logits)
        params, _ = step.look_ahead.rates()
        meta = meta_gradient(
            lambda values: batch.meta_loss(values, X_meta, y_meta),
            params,
            logits,
            step.row_loss.logit_grad(logits, y),
            lookahead_lr=0.3,
            create_graph=jvp.is_unrolled,
        )
        with untouched(training.module):
            found = jvp(batch, params, meta)
        expected = torch.zeros_like(logits)
        for i in range(logits.shape[0]):
            for j in range(logits.shape[1]):
                grads = torch.autograd.grad(
                    logits[i, j], params.values(), retain_graph=True, materialize_grads=True
                )
                expected[i, j] = sum(
                    (g * along).sum() for g, along in zip(grads, meta.grad.values(), strict=True)
                )
    return found, expected


@pytest.mark.parametrize("jvp", EXACT, ids=str)
@pytest.mark.parametrize("name", ["tanh", "conv_batchnorm", "dropout", "running_mean", "tied"])
def test_exact_ways_give_the_derivative_along_the_meta_gradient(name, jvp):
    found, expected = derivative(start(CASES[name]), jvp)
    assert expected.abs().max() > 1e-3
    assert_close(found, expected, 1e-10)


@pytest.mark.parametrize("jvp", CLOSE, ids=repr)
@pytest.mark.parametrize("name", ["tanh", "conv_batchnorm", "dropout"])
def test_differences_come_close(name, jvp):
    found, expected = derivative(start(CASES[name]), jvp)
    assert_close(found, expected, 1e-5)


def test_wide_differences_keep_the_digits_of_a_net_in_single_precision():
    training = start(CASES["tanh"], dtype=torch.float32)
    (wide, expected), (narrow, _) = (
        derivative(training, jvp) for jvp in (WideDifference(), Difference())
    )
    assert wide.dtype is torch.float32
    assert_close(wide, expected, 1e-5)
    assert (narrow - expected).abs().max() > 10 * (wide - expected).abs().max()


class Flagged(nn.Module):
    """Takes a function that no rule covers while a flag is set."""

    def __init__(self):
        super().__init__()
        self.first, self.out, self.is_odd = nn.Linear(4, 6), nn.Linear(6, 3), False

    def forward(self, X):
        return self.out((torch.cos if self.is_odd else torch.tanh)(self.first(X)))


def test_recorded_turns_itself_off_once_and_steps_stay_right(caplog):
    """The second step's graph holds what no rule covers; the third's could be walked again."""
    recorded, dual = (start(Case(Flagged), method=method) for method in ("forward", "dual"))
    jvp = recorded.step.look_ahead.jvp
    X, y = recorded.problem.X, recorded.problem.y
    with caplog.at_level(logging.INFO, logger="skgdw"):
        for is_odd, is_on in ((False, True), (True, False), (False, False), (True, False)):
            for training in (recorded, dual):
                training.module.is_odd = is_odd
            found, expected = recorded.take(X, y), dual.take(X, y)
            assert jvp.is_on is is_on
            assert_close(found.weight, expected.weight, 1e-12)
    (message,) = caplog.messages
    assert message.startswith("forward mode goes on by dual numbers: ")
    assert "CosBackward0" in message
    for one, other in zip(recorded.module.parameters(), dual.module.parameters(), strict=True):
        assert_close(one, other, 1e-12)


def test_recorded_does_not_hide_a_rule_that_fails(monkeypatch):
    training = start(CASES["tanh"])
    monkeypatch.setitem(RULES, "TanhBackward0", lambda node, tangents: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        training.take(training.problem.X, training.problem.y)
    assert training.step.look_ahead.jvp.is_on


def test_unrolled_looks_for_functions_that_cannot_be_differentiated_twice():
    training = start(Case(cases.OneWayNet, exact=()), method="difference")
    with pytest.raises(RuntimeError, match="once_differentiable"):
        derivative(training, Unrolled())


@pytest.mark.parametrize(
    ("jvp", "method", "text"),
    [
        (DualNumbers(), "forward", '"forward"'),
        (DualNumbers(math_attention=True), "forward", '"forward" with math attention'),
        (Recorded(DualNumbers()), "forward", '"forward" along the recorded graph'),
        (Unrolled(), "unrolled", '"unrolled"'),
        (Unrolled(math_attention=True), "unrolled", '"unrolled" with math attention'),
        (WideDifference(), "difference", '"difference"'),
        (Difference(), "difference", '"difference" in single precision'),
    ],
)
def test_names(jvp, method, text):
    assert jvp.method == method
    assert str(jvp) == text
    assert jvp.is_unrolled is (method == "unrolled")


@pytest.mark.parametrize(
    "jvp",
    [DualNumbers(math_attention=True), Recorded(DualNumbers(math_attention=True))],
    ids=["dual", "recorded"],
)
def test_attention_is_switched_inside_the_block_only(jvp):
    before = torch.backends.cuda.flash_sdp_enabled()
    with DualNumbers().attention():
        assert torch.backends.cuda.flash_sdp_enabled() is before
    with jvp.attention():
        assert not torch.backends.cuda.flash_sdp_enabled()
        assert torch.backends.cuda.math_sdp_enabled()
    assert torch.backends.cuda.flash_sdp_enabled() is before
