"""What a step and its trial leave alone, and what they change just once."""

import copy

import pytest
import torch
from torch import nn

from cases import CASES, Case
from properties import assert_same_state, state_of, untouched
from skgdw._training._random import RandomStream
from skgdw._training.step import _step
from skgdw._training.step._stateless import Stateless
from skgdw._training.trial._derivatives import MetaGradient
from skgdw._training.trial._probe import gains_by_channels_last, repeats_itself, trial_logits

METHODS = ("forward", "unrolled", "difference")
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
    return [*CASES[name].exact, "difference"]


@pytest.mark.parametrize(("name", "method"), [(n, m) for n in STATEFUL for m in ways(n)])
def test_attempt_changes_nothing(start, name, method):
    training, twin = start(CASES[name], method=method), start(CASES[name], method=method)
    X, y, X_meta, y_meta = training.problem[1:]
    for parameter in training.module.parameters():
        parameter.grad = torch.full_like(parameter, 3.0)
    training.step.meta_batches = iter(())  # a trial takes no meta batch out of the row
    with untouched(training.module, training.weight_net):
        weight_grad = training.step.attempt(MetaGradient(method), X, y, (X_meta, y_meta))
    assert weight_grad.shape == (len(y), 3)
    assert weight_grad.abs().max() > 0
    # Nor did the stream move: the next step draws what it would have drawn.
    training.step.meta_batches = twin.step.meta_batches
    assert torch.equal(training.take(X, y).weight, twin.take(X, y).weight)


@pytest.mark.parametrize(("name", "method"), [(n, m) for n in STATEFUL for m in ways(n)])
def test_meta_gradient_of_a_step_leaves_the_module_alone(start, name, method, monkeypatch):
    training = start(CASES[name], method=method)
    plain, seen = _step.weight_gradient, []

    def watched(*args, **kwargs):
        for parameter in training.module.parameters():
            parameter.grad = torch.full_like(parameter, 3.0)
        before = state_of(training.module)
        result = plain(*args, **kwargs)
        assert_same_state(training.module, before)
        training.optimizer.zero_grad()
        seen.append(result)
        return result

    monkeypatch.setattr(_step, "weight_gradient", watched)
    training.take(training.problem.X, training.problem.y)
    assert len(seen) == 1


@pytest.mark.parametrize(("name", "method"), [(n, m) for n in STATEFUL for m in ways(n)])
def test_step_leaves_the_global_random_state_alone(start, name, method):
    training = start(CASES[name], method=method)
    with untouched():
        training.take(training.problem.X, training.problem.y)


@pytest.mark.parametrize("name", ["conv_batchnorm", "running_mean", "spectral_norm"])
@pytest.mark.parametrize("meta_every", [1, 2])
def test_a_step_moves_the_buffers_as_one_forward_does(start, name, meta_every):
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
        ("unrolled", torch.tanh, 1),
        ("difference", torch.tanh, 3),
    ],
)
def test_all_passes_over_the_training_rows_share_one_mask(start, method, function, n_passes):
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


@pytest.mark.parametrize("name", STATEFUL)
def test_trial_logits_change_nothing(name, start):
    module, X, *_ = start(CASES[name]).problem
    stream = RandomStream(1, torch.device("cpu"))
    with untouched(module):
        first, second = (trial_logits(Stateless(module), X, stream) for _ in range(2))
    assert torch.equal(first, second)
    assert not first.requires_grad


def test_step_keeps_no_graph(start):
    training = start(CASES["conv_batchnorm"])
    result = training.take(training.problem.X, training.problem.y)
    assert not any(value.requires_grad for value in result)


class ViewNet(nn.Module):
    """Asks for a view that only one order of memory allows."""

    def __init__(self):
        super().__init__()
        self.conv, self.out = nn.Conv2d(3, 4, 3), nn.Linear(64, 2)

    def forward(self, X):
        return self.out(self.conv(X).view(len(X), -1))


class MoodyNet(nn.Module):
    """Rounds otherwise where no graph is made."""

    def __init__(self):
        super().__init__()
        self.out = nn.Linear(3, 2)

    def forward(self, X):
        return self.out(X) * (1 + 1e-6 * (not torch.is_grad_enabled()))


@pytest.mark.parametrize(
    ("module", "shape", "gains"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(64, 2)), (2, 3, 6, 6), True),
        (ViewNet(), (2, 3, 6, 6), False),
        (nn.Sequential(nn.Flatten(), nn.Linear(108, 2)), (2, 3, 6, 6), False),
        (nn.Linear(3, 2), (2, 3), False),
    ],
    ids=["convolutions", "view", "no convolution", "table"],
)
def test_channels_last_only_where_it_helps_and_works(module, shape, gains):
    stream = RandomStream(1, torch.device("cpu"))
    with untouched(module):
        assert gains_by_channels_last(Stateless(module), torch.ones(shape), stream) is gains


@pytest.mark.parametrize(("module", "repeats"), [(nn.Linear(3, 2), True), (MoodyNet(), False)])
def test_passes_that_round_otherwise_are_found(module, repeats):
    stream = RandomStream(1, torch.device("cpu"))
    with untouched(module):
        assert repeats_itself(Stateless(module), torch.ones(2, 3), stream) is repeats
