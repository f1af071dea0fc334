"""Rule by rule, and in random networks: along the recorded graph as by dual numbers, in float64."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from properties import assert_close
from recorded_cases import IMAGES, TABLES, Of, Passes, passes
from skgdw.functional import NotCovered
from skgdw.functional._recorded import RULES
from skgdw.modules import ResNet32, WideResNet


@pytest.mark.parametrize("name", [*TABLES, *IMAGES])
def test_every_rule_gives_what_dual_numbers_give(name):
    on = passes(name)
    assert_close(on.recorded(), on.dual(), 1e-12)


def names_of(last):
    ready, met = [last], set()
    while ready:
        node = ready.pop()
        if node is not None and node not in met:
            met.add(node)
            ready += [f for f, _ in node.next_functions]
    return {node.name() for node in met}


def test_the_cases_reach_every_rule():
    reached = set().union(*(names_of(passes(n).logits.grad_fn) for n in [*TABLES, *IMAGES]))
    # One of other versions of torch; one with a test of its own; one on a GPU, see test_cuda.py.
    rest = {"ReshapeAliasBackward0", "EmbeddingBackward0", "CudnnBatchNormBackward0"}
    assert set(RULES) - reached <= rest


@pytest.mark.parametrize("make", [ResNet32, WideResNet])
def test_our_networks_are_known(make):
    options = {} if make is ResNet32 else {"depth": 10, "width": 1}
    on = Passes(lambda: make(3, **options), (3, 8, 8), dtype=torch.float32)
    assert_close(on.recorded(), on.dual(), 1e-3)


def test_embeddings_are_looked_up():
    class Looked(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.out = nn.Embedding(7, 4), nn.Linear(8, 3)

        def forward(self, X):
            return self.out(self.table((X[:, :2].abs() * 3).long() % 7).flatten(1))

    on = Passes(Looked)
    assert_close(on.recorded(), on.dual(), 1e-12)


SUMS = {
    "all": lambda X: X + X.sum(None),
    "all of no axes": lambda X: X + X.sum(()),
    "mean of all": lambda X: X + X.mean(None, keepdim=True),
    "mean of no axes": lambda X: X - X.mean((), keepdim=True),
}


@pytest.mark.parametrize("name", SUMS)
def test_sums_and_means_that_name_no_axis(name):
    on = Passes(lambda: Of(SUMS[name]))
    assert_close(on.recorded(), on.dual(), 1e-12)


def test_pools_whose_stride_is_left_out():
    on = Passes(lambda: Of(lambda X: F.avg_pool2d(X.view(-1, 1, 2, 3), 2).flatten(1), width=1))
    assert_close(on.recorded(), on.dual(), 1e-12)


# Random networks of what is covered.


class Plus(nn.Module):
    """A block beside which its input goes straight on."""

    def __init__(self, *block):
        super().__init__()
        self.block = nn.Sequential(*block)

    def forward(self, X):
        return X + self.block(X)


class Times(nn.Module):
    """A learnt factor and a learnt shift of each entry."""

    def __init__(self, shape):
        super().__init__()
        self.factor, self.shift = nn.Parameter(torch.rand(shape)), nn.Parameter(torch.rand(shape))

    def forward(self, X):
        return (self.factor * X - self.shift) / 1.5


ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Softplus, nn.Tanh, nn.Sigmoid)
TABLE_LAYERS = {
    "linear": lambda: nn.Linear(5, 5),
    "linear without bias": lambda: nn.Linear(5, 5, bias=False),
    "batch norm": lambda: nn.BatchNorm1d(5),
    "batch norm by its averages": lambda: nn.BatchNorm1d(5).eval(),
    "dropout": lambda: nn.Dropout(0.3),
    "factor": lambda: Times(5),
    "residual": lambda: Plus(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 5)),
    **{kind.__name__: kind for kind in ACTIVATIONS},
}
IMAGE_LAYERS = {
    "convolution": lambda: nn.Conv2d(4, 4, 3, padding=1),
    "grouped": lambda: nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=2, bias=False),
    "transposed": lambda: nn.ConvTranspose2d(4, 4, 3, padding=1),
    "batch norm": lambda: nn.BatchNorm2d(4),
    "largest": lambda: nn.MaxPool2d(3, stride=1, padding=1),
    "averages": lambda: nn.AvgPool2d(3, stride=1, padding=1),
    "factor": lambda: Times((4, 1, 1)),
    "residual": lambda: Plus(nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 1)),
    **{kind.__name__: kind for kind in ACTIVATIONS},
}


@settings(max_examples=40)
@given(st.lists(st.sampled_from(list(TABLE_LAYERS)), max_size=6))
def test_random_networks_for_tables(names):
    layers = [TABLE_LAYERS[name] for name in names]
    on = Passes(
        lambda: nn.Sequential(nn.Linear(4, 5), *(make() for make in layers), nn.Linear(5, 3))
    )
    assert_close(on.recorded(), on.dual(), 1e-10)


@settings(max_examples=25)
@given(st.lists(st.sampled_from(list(IMAGE_LAYERS)), max_size=4))
def test_random_networks_for_images(names):
    layers = [IMAGE_LAYERS[name] for name in names]
    on = Passes(
        lambda: nn.Sequential(
            nn.Conv2d(1, 4, 3),
            *(make() for make in layers),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(16, 3),
        ),
        (1, 6, 6),
        n=3,
    )
    assert_close(on.recorded(), on.dual(), 1e-10)


# What rules do not cover.


def addmm(**factors):
    return Of(lambda X: torch.addmm(X, X, torch.eye(6, dtype=X.dtype), **factors))


REFUSED = {
    "a factor of a product": (
        lambda: addmm(alpha=2),
        "AddmmBackward0 with an `alpha` or `beta` other than 1",
    ),
    "a factor of a sum": (
        lambda: addmm(beta=0.5),
        "AddmmBackward0 with an `alpha` or `beta` other than 1",
    ),
    "over what learns": (
        lambda: Of(lambda X: X / (3 + X * X)),
        "DivBackward0 with a divisor that carries a tangent",
    ),
    "a constant over what learns": (
        lambda: Of(lambda X: torch.ones_like(X) / (3 + X * X)),
        "DivBackward0 with a divisor that carries a tangent",
    ),
    "beside a constant": (
        lambda: Of(lambda X: torch.cat([X, torch.ones_like(X)], 1), width=12),
        "CatBackward0 of what depends on the parameters and what does not",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_rule_does_not_cover_it_names(name):
    make, words = REFUSED[name]
    on = Passes(make)
    with pytest.raises(NotCovered, match=words):
        on.recorded()


def test_a_rule_that_fails_is_heard(monkeypatch):
    on = passes("Tanh")
    monkeypatch.setitem(RULES, "TanhBackward0", lambda node, tangents: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        on.recorded()


def test_a_rule_that_mistypes_is_heard(monkeypatch):
    on = passes("Tanh")
    monkeypatch.setitem(RULES, "TanhBackward0", lambda node, tangents: tangents[0].no_such_thing)
    with pytest.raises(AttributeError, match="no_such_thing"):
        on.recorded()
