"""What a module does, found out by passes over a few rows that change nothing."""

import pytest
import torch
from torch import nn

from cases import CASES
from properties import untouched
from skgdw._training._random import NullStream, RandomStream
from skgdw._training.step._stateless import Stateless
from skgdw._training.trial._probe import Probe, eager
from training_cases import jvp_of, start

STATEFUL = ("conv_batchnorm", "running_mean", "dropout", "spectral_norm", "tied")


def probe(module):
    return Probe(Stateless(module), RandomStream(1, torch.device("cpu")))


def ways(name):
    exact = CASES[name].exact
    return [*exact, "difference", *(["dual"] if "forward" in exact else [])]


@pytest.mark.parametrize(("name", "method"), [(n, m) for n in STATEFUL for m in ways(n)])
def test_a_trial_changes_nothing(name, method):
    training, twin = start(CASES[name], method=method), start(CASES[name], method=method)
    for parameter in training.module.parameters():
        parameter.grad = torch.full_like(parameter, 3.0)
    training.step.meta_batches = iter(())  # a trial takes no meta batch out of the row
    with untouched(training.module, training.weight_net):
        weight_grad = training.trial(jvp_of(CASES[name], method))
    X, y = training.problem.X, training.problem.y
    assert weight_grad.shape == (len(y), 3)
    assert weight_grad.abs().max() > 0
    # Nor did the stream move: the next step draws what it would have drawn.
    training.step.meta_batches = twin.step.meta_batches
    assert torch.equal(training.take(X, y).weight, twin.take(X, y).weight)


@pytest.mark.parametrize("name", STATEFUL)
def test_logits_change_nothing(name):
    module, X, *_ = start(CASES[name]).problem
    with untouched(module):
        on = probe(module)
        first, second = (on.logits(X) for _ in range(2))
    assert torch.equal(first, second)
    assert not first.requires_grad


class ViewNet(nn.Module):
    """Asks for a view that only one order of memory allows."""

    def __init__(self):
        super().__init__()
        self.conv, self.out = nn.Conv2d(3, 4, 3), nn.Linear(64, 2)

    def forward(self, X):
        return self.out(self.conv(X).view(len(X), -1))


class PatchNet(nn.Module):
    """Reads memory as it lies."""

    def __init__(self):
        super().__init__()
        self.conv, self.out = nn.Conv2d(3, 4, 1), nn.Linear(108, 2)

    def forward(self, X):
        self.conv(X)
        return self.out(X.as_strided((len(X), 108), (108, 1)))


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
        (PatchNet(), (2, 3, 6, 6), False),
        (
            nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout(), nn.Flatten(), nn.Linear(64, 2)),
            (2, 3, 6, 6),
            True,
        ),
        (nn.Sequential(nn.Flatten(), nn.Linear(108, 2)), (2, 3, 6, 6), False),
        (nn.Linear(3, 2), (2, 3), False),
    ],
    ids=["convolutions", "view", "memory", "dropout", "no convolution", "table"],
)
def test_channels_last_only_where_it_helps_and_works(module, shape, gains):
    with untouched(module):
        X = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        assert probe(module).gains_by_channels_last(X) is gains


@pytest.mark.parametrize(("module", "repeats"), [(nn.Linear(3, 2), True), (MoodyNet(), False)])
def test_passes_that_round_otherwise_are_found(module, repeats):
    with untouched(module):
        on, X = probe(module), torch.ones(2, 3)
        assert on.repeats_itself(X, on.logits(X)) is repeats


@pytest.mark.parametrize("name", CASES)
def test_modules_that_draw_numbers_are_found(name):
    module, X, *_ = start(CASES[name]).problem
    with untouched(module):
        assert probe(module).draws_numbers(X) is CASES[name].draws


def test_images_of_another_kind_gain_nothing():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(64, 2))
    on = Probe(Stateless(module), NullStream())
    assert not on.gains_by_channels_last({"X": torch.ones(2, 3, 6, 6)})
    assert not on.gains_by_channels_last(torch.ones(2, 3, 6, 6, device="meta"))


def test_a_trial_that_does_not_share_the_pass_gives_the_same():
    trial = start(CASES["dropout"]).trial
    apart = type(trial)(
        trial.passes, trial.row_loss, trial.rates, trial.batch, trial.meta_batch, shares_pass=False
    )
    jvp = jvp_of(CASES["dropout"], "dual")
    assert torch.equal(apart(jvp), trial(jvp))


def test_what_is_compiled_is_unwrapped():
    module = nn.Linear(2, 2)
    assert eager(torch.compile(module, backend="eager")) is module
    assert eager(module) is module
