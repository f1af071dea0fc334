"""A weighting of one's own: what it has to define, how it learns, what it sends back."""

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

import oracles
from cases import CASES
from properties import assert_close, assert_rows_balance
from skgdw.functional import PullGradient
from skgdw.weighting import Evidence, Pull, StepDefaults, UniformWeighting, Weighting
from training_cases import LR, SEED, start


class Focus(Weighting):
    """Rows count by how sure the network is of their label, each class by a gate of its own."""

    def __init__(self):
        super().__init__()
        self.exponent = nn.Parameter(torch.tensor(0.7, dtype=torch.float64))
        self.gate = nn.Parameter(torch.tensor([0.4, -0.3, 1.2], dtype=torch.float64))

    def forward(self, evidence):
        return evidence.given_probability.unsqueeze(1) ** self.exponent * self.gate


class RowFocus(Focus):
    """One weight a row."""

    def forward(self, evidence):
        sure = evidence.given_probability.unsqueeze(1) ** self.exponent
        return sure * self.gate.square().sum()


class Shifting(Focus):
    """Sends back a step towards other labels instead of a weighted gradient."""

    def pull(self, evidence, weight):
        towards = torch.softmax(weight, dim=1)
        return Pull(weight, evidence.probabilities - towards)


def drawn(n=5, c=3, *, seed=0, scale=2.0):
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn((n, c), generator=generator, dtype=torch.float64)
    return Evidence(logits, torch.arange(n) % c)


def free_weights(n=5, c=3, seed=1):
    """Weights of any sign, one for each class of each row."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn((n, c), generator=generator, dtype=torch.float64)
    assert weight.min() < -0.5
    return weight


# What is sent back.


def test_free_weights_are_balanced():
    evidence, weight = drawn(), free_weights()
    pull = Weighting().pull(evidence, weight)
    assert_rows_balance(pull.grad, torch.ones_like(weight), 1e-14)
    balanced = oracles.zero_mean(weight, evidence.logit_grad, evidence.y)
    assert_close(pull.weight, balanced, 1e-12)
    assert_close(pull.grad, balanced * evidence.logit_grad, 1e-12)


def test_the_entry_at_the_given_label_is_never_looked_at():
    evidence, weight = drawn(), free_weights()
    other = weight.scatter(1, evidence.y.unsqueeze(1), 99.0)
    one, two = (Weighting().pull(evidence, each) for each in (weight, other))
    assert torch.equal(one.weight, two.weight)
    assert torch.equal(one.grad, two.grad)
    assert one.posterior is two.posterior is None


def test_one_weight_a_row_is_spread_over_its_classes():
    evidence, weight = drawn(), free_weights()[:, :1]
    pull = Weighting().pull(evidence, weight)
    assert_close(pull.weight, weight.expand(-1, 3), 1e-12)
    assert_close(pull.grad, weight * evidence.logit_grad, 1e-12)


@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize("scale", [2.0, 30.0])
def test_pulls_can_be_differentiated_by_the_weights(width, scale):
    evidence = drawn(scale=scale)
    weight = free_weights()[:, :width].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda w: Weighting().pull(evidence, w).grad, weight)
    assert torch.autograd.gradcheck(lambda w: Weighting().trial_pull(evidence, w), weight)


def test_look_aheads_follow_what_is_sent_back():
    evidence, weight = drawn(), free_weights()
    for weighting in (Weighting(), Shifting()):
        expected = weighting.pull(evidence, weight).grad
        assert torch.equal(weighting.trial_pull(evidence, weight), expected)


# Learning: the gradient of the meta loss after a real look-ahead.


def meta_loss_of(training, weighting, evidence):
    """Take a real look-ahead along what the weighting sends back; return the meta loss there."""
    X, _, X_meta, y_meta = training.problem[1:]
    with torch.no_grad():
        pull = weighting.trial_pull(evidence, weighting(evidence))
    with sdpa_kernel(SDPBackend.MATH):
        return oracles.meta_loss_after(
            training.module,
            torch.ones_like(pull),
            pull,
            (X, X_meta, y_meta),
            lambda name: LR,
            SEED,
        )


def differences(training, weighting, h=1e-4):
    """Move each entry of each parameter by itself: a central difference of fourth order."""
    X, y = training.problem.X, training.problem.y
    before = {name: buffer.clone() for name, buffer in training.module.named_buffers()}
    with torch.no_grad():
        evidence = Evidence(training.module(X), y)
    for name, buffer in training.module.named_buffers():
        buffer.copy_(before[name])
    grads = []
    for parameter in weighting.parameters():
        grad = torch.zeros_like(parameter)
        for place in range(parameter.numel()):
            entry = parameter.data.view(-1)[place : place + 1]
            own = entry.clone()
            losses = []
            for shift in (2 * h, h, -h, -2 * h):
                entry.copy_(own + shift)
                losses.append(meta_loss_of(training, weighting, evidence))
            entry.copy_(own)
            far, near, back, far_back = losses
            grad.view(-1)[place] = (8 * (near - back) - (far - far_back)) / (12 * h)
        grads.append(grad)
    return grads


@pytest.mark.parametrize("name", ["tanh", "conv_batchnorm", "running_mean"])
@pytest.mark.parametrize("kind", [Focus, RowFocus, Shifting])
@pytest.mark.parametrize("method", ["forward", "unrolled"])
def test_learning_is_the_gradient_of_the_meta_loss_after_the_look_ahead(name, kind, method):
    training = start(CASES[name], weighting=kind(), method=method)
    weighting = training.step.weighting
    expected = differences(training, weighting)
    assert max(float(grad.abs().max()) for grad in expected) > 1e-4
    for group in training.step.weighting_optimizer.param_groups:
        group["lr"] = 0.0  # the parameters stay, their gradients can be read
    training.take(training.problem.X, training.problem.y)
    for parameter, grad in zip(weighting.parameters(), expected, strict=True):
        assert_close(parameter.grad, grad, 1e-7)


def test_a_step_sends_back_what_an_overridden_pull_returns():
    training = start(CASES["tanh"], weighting=Shifting())
    result = training.take(training.problem.X, training.problem.y)
    weighting, evidence = training.step.weighting, result.evidence
    # The default second weights are those of the updated parameters.
    with torch.no_grad():
        pull = weighting.pull(evidence, weighting(evidence))
    assert torch.equal(result.weight, pull.weight)
    twin = start(CASES["tanh"])
    twin.module(twin.problem.X).backward(pull.grad / len(evidence.y))
    for one, other in zip(training.module.parameters(), twin.module.parameters(), strict=True):
        assert_close(one.grad, other.grad, 1e-12)


def test_weightings_that_learn_change_and_lower_the_meta_loss():
    training = start(CASES["tanh"], weighting=Focus())
    weighting, X, y = training.step.weighting, training.problem.X, training.problem.y
    with torch.no_grad():
        evidence = Evidence(training.module(X), y)
    start_loss = meta_loss_of(training, weighting, evidence)
    before = [p.detach().clone() for p in weighting.parameters()]
    training.step(X, y)
    assert all(not torch.equal(a, b) for a, b in zip(before, weighting.parameters(), strict=True))
    training.module.zero_grad()
    assert meta_loss_of(training, weighting, evidence) < start_loss


# What is there without being defined.


def test_forward_has_to_be_defined():
    class Empty(Weighting):
        pass

    match = r"must define `forward\(evidence\)`; Empty does not. Return weights of shape \(n, c\)"
    with pytest.raises(NotImplementedError, match=match):
        Empty()(drawn())


def test_defaults():
    weighting, evidence = Focus(), drawn()
    assert weighting.uses_meta
    assert weighting.warm_up == 0.0
    (group,) = weighting.parameter_groups()
    assert group == {"params": list(weighting.parameters())}
    weight = weighting(evidence)
    gradient = PullGradient(torch.ones(5, 3), 1.0, evidence.logit_grad)
    assert torch.equal(weighting.refine(evidence, 0 * weight, gradient), weight)
    before = {name: value.clone() for name, value in weighting.state_dict().items()}
    weighting.start(10, 3)
    weighting.remember(evidence, weighting.pull(evidence, weight))
    weighting.on_warm_up_end(None)
    weighting.on_epoch_end(None)
    assert all(torch.equal(value, before[name]) for name, value in weighting.state_dict().items())


def test_what_a_weighting_asks_for_holds_in_a_stream_too():
    own = StepDefaults(2, 1.5, 0.2)
    assert UniformWeighting().in_a_stream(own) is own
