"""Forward mode along a recorded graph, against dual numbers, pass for pass and rule for rule."""

import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from cases import CASES, OneWayNet, problem, seeded
from oracles import draws_from
from properties import assert_close, untouched
from skgdw.functional import directional_derivative
from skgdw.functional._recorded._rules import RULES
from skgdw.functional._recorded._walk import recorded_derivative
from skgdw.modules import MLP, ResNet32, SmallResNet, WideResNet


class Of(nn.Module):
    """A function between two linear layers, both of which learn."""

    def __init__(self, function, width=6):
        super().__init__()
        self.first, self.function, self.out = nn.Linear(4, 6), function, nn.Linear(width, 3)

    def forward(self, X):
        return self.out(self.function(self.first(X)))


class OfImages(nn.Module):
    """A function between a convolution and a linear layer."""

    def __init__(self, function, width):
        super().__init__()
        self.conv, self.function = nn.Conv2d(1, 4, 3, padding=1), function
        self.out = nn.Linear(width, 3)

    def forward(self, X):
        return self.out(self.function(self.conv(X)).flatten(1))


class Scaled(nn.Module):
    """Products and sums of learnt things, of several shapes."""

    def __init__(self):
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.rand(6)), nn.Parameter(torch.rand(1, 6))

    def forward(self, X):
        return X * self.scale + self.shift + (self.scale * 2 + torch.ones_like(X)) * X


class Frozen(nn.Module):
    """Wraps a module, some of whose parameters do not learn."""

    def __init__(self, module, *names):
        super().__init__()
        self.module = module
        for name in names:
            module.get_parameter(name).requires_grad_(False)

    def forward(self, X):
        return self.module(X)


def conv(**options):
    return nn.Conv2d(4, 4, 3, **options)


ENTRYWISE = [
    nn.ReLU,
    nn.LeakyReLU,
    nn.ELU,
    nn.GELU,
    nn.SiLU,
    nn.Hardtanh,
    nn.Hardswish,
    nn.Mish,
    nn.Softplus,
    nn.Tanh,
    nn.Sigmoid,
]

TABLES = {
    **{kind.__name__: lambda kind=kind: Of(kind()) for kind in ENTRYWISE},
    "inplace ReLU": lambda: Of(nn.ReLU(inplace=True)),
    "inplace LeakyReLU": lambda: Of(lambda X: F.leaky_relu_(2 * X)),
    "inplace ELU": lambda: Of(lambda X: F.elu_(2 * X)),
    "differences": lambda: Of(lambda X: (X - torch.tanh(X)) - 1 + (1 - X) + (-X) + (2 - X) / 3),
    "with factors": lambda: Of(
        lambda X: torch.add(X, torch.sub(X, torch.tanh(X), alpha=0.5), alpha=3)
    ),
    "from a constant": lambda: Of(lambda X: torch.ones(6, dtype=X.dtype) - X),
    "minus a constant": lambda: Of(lambda X: X - torch.ones(1, 6, dtype=X.dtype)),
    "rsub": lambda: Of(lambda X: torch.rsub(X, 2.0, alpha=3)),
    "over a tensor": lambda: Of(lambda X: X / torch.full((7, 1, 6), 2.0, dtype=X.dtype)[0]),
    "concatenation": lambda: Of(lambda X: torch.cat([X, torch.tanh(X)], dim=-1), width=12),
    "sums": lambda: Of(lambda X: X.view(-1, 2, 3).sum(-2), width=3),
    "kept sums": lambda: Of(lambda X: X * X.sum(1, keepdim=True)),
    "permuted": lambda: Of(lambda X: X.view(-1, 2, 3).permute(0, -1, 1).reshape(-1, 6)),
    "open slices": lambda: Of(lambda X: torch.ops.aten.slice(X, 1, None, 3), width=3),
    "cropped": lambda: Of(lambda X: F.pad(X, (-1, 2)), width=7),
    "GELU by tanh": lambda: Of(nn.GELU(approximate="tanh")),
    "dropout": lambda: Of(nn.Dropout()),
    "native dropout": lambda: Of(lambda X: torch.native_dropout(X, 0.5, True)[0]),
    "no bias": lambda: Of(nn.Linear(6, 6, bias=False)),
    "products": lambda: Of(Scaled()),
    "residual": lambda: Of(lambda X: X + torch.tanh(X)),
    "squares": lambda: Of(lambda X: X * X),
    "shapes": lambda: Of(lambda X: X.view(-1, 2, 3).reshape(-1, 6).unsqueeze(1).squeeze(1)),
    "squeeze": lambda: Of(lambda X: X.unsqueeze(0).squeeze()),
    "slices": lambda: Of(lambda X: X[:, 1:5:2], width=2),
    "slices from the end": lambda: Of(lambda X: torch.ops.aten.slice(X, -1, -5, -1), width=4),
    "pad": lambda: Of(lambda X: F.pad(X, (1, 2)), width=9),
    "batch norm": lambda: Of(nn.BatchNorm1d(6)),
    "batch norm by its averages": lambda: Of(nn.BatchNorm1d(6).eval()),
    "batch norm without parameters": lambda: Of(nn.BatchNorm1d(6, affine=False)),
    "frozen slope": lambda: Frozen(Of(nn.BatchNorm1d(6)), "function.weight"),
    "frozen shift": lambda: Frozen(Of(nn.BatchNorm1d(6)), "function.bias"),
    "frozen matrix": lambda: Frozen(Of(nn.Tanh()), "out.weight"),
    "only a bias": lambda: Frozen(Of(nn.Tanh()), "first.weight", "out.weight", "out.bias"),
    "nothing but the end": lambda: Frozen(Of(nn.Tanh()), "first.weight", "first.bias"),
    "MLP": lambda: MLP(4, 3, hidden=(5, 6)),
    "tied": CASES["tied"].make,
}

IMAGES = {
    "convolution": lambda: OfImages(conv(padding=1), 144),
    "strides": lambda: OfImages(conv(stride=2, dilation=2, padding=2, groups=2), 36),
    "no bias in convolution": lambda: OfImages(conv(bias=False), 64),
    "transposed": lambda: OfImages(nn.ConvTranspose2d(4, 2, 3, stride=2, output_padding=1), 392),
    "frozen kernel": lambda: Frozen(OfImages(conv(), 64), "function.weight"),
    "frozen convolution": lambda: Frozen(
        OfImages(conv(), 64), "conv.weight", "conv.bias", "out.weight"
    ),
    "only a bias of images": lambda: Frozen(
        OfImages(nn.Tanh(), 144), "conv.weight", "out.weight", "out.bias"
    ),
    "batch norm of images": lambda: OfImages(nn.BatchNorm2d(4), 144),
    "channels last": lambda: OfImages(
        lambda X: X.contiguous(memory_format=torch.channels_last).clone(), 144
    ),
    "largest of matrices": lambda: OfImages(
        lambda X: F.max_pool2d(X.flatten(0, 1), 2).view(-1, 4, 9), 36
    ),
    "largest, rounded up": lambda: OfImages(
        nn.MaxPool2d(3, stride=2, dilation=2, ceil_mode=True), 16
    ),
    "averages": lambda: OfImages(nn.AvgPool2d(2), 36),
    "averages, rounded up": lambda: OfImages(
        nn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True, count_include_pad=False), 64
    ),
    "cropped images": lambda: OfImages(lambda X: F.pad(X, (-1, 1, 0, -2)), 96),
    "LeNet": lambda: nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 3)
    ),
    "largest": lambda: OfImages(nn.MaxPool2d(2), 36),
    "overlapping largest": lambda: OfImages(nn.MaxPool2d(3, stride=1, padding=1), 144),
    "mean": lambda: OfImages(lambda X: X.mean(dim=(2, 3)), 4),
    "kept mean": lambda: OfImages(lambda X: X.mean(dim=-1, keepdim=True), 24),
    "adaptive pool": lambda: OfImages(nn.AdaptiveAvgPool2d(2), 16),
    "adaptive pool to one": lambda: OfImages(nn.AdaptiveAvgPool2d(1), 4),
    "padded channels": lambda: OfImages(lambda X: F.pad(X[:, :, ::2, ::2], (0, 0, 0, 0, 1, 2)), 63),
    "SmallResNet": lambda: SmallResNet(3, in_channels=1),
}


class Passes:
    """A network with rows, a direction, and the logits with their graph."""

    def __init__(self, make, row_shape=(4,), *, n=5, dtype=torch.float64):
        self.module = seeded(make).to(dtype)
        generator = torch.Generator().manual_seed(3)

        def draw(shape):
            return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

        self.X = draw((n, *row_shape))
        self.params = {k: p for k, p in self.module.named_parameters() if p.requires_grad}
        self.tangent = {name: draw(p.shape) for name, p in self.params.items()}
        self.buffers = {name: buffer.clone() for name, buffer in self.module.named_buffers()}
        self.calls = 0
        self.logits = self(self.params)
        self.calls = 0

    def __call__(self, params):
        self.calls += 1
        fresh = {name: buffer.clone() for name, buffer in self.buffers.items()}
        with draws_from(1):
            return functional_call(self.module, {**params, **fresh}, (self.X,))

    def recorded(self):
        return recorded_derivative(self.logits, self.params, self.tangent)

    def dual(self):
        return directional_derivative(self, self.params, self.tangent)


def passes(name):
    if name in TABLES:
        return Passes(TABLES[name])
    return Passes(IMAGES[name], (1, 8, 8) if name == "SmallResNet" else (1, 6, 6))


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
    # One of other versions of torch; one with a test of its own.
    rest = {"ReshapeAliasBackward0", "EmbeddingBackward0"}
    assert set(RULES) - reached <= rest


@pytest.mark.parametrize("make", [ResNet32, WideResNet])
def test_our_networks_are_known(make):
    options = {} if make is ResNet32 else {"depth": 10, "width": 1}
    on = Passes(lambda: make(3, **options), (3, 8, 8), dtype=torch.float32)
    assert_close(on.recorded(), on.dual(), 1e-3)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_order_of_memory_does_not_matter(memory_format):
    on = passes("SmallResNet")
    expected = on.recorded()
    on.module.to(memory_format=memory_format)
    on.X = on.X.contiguous(memory_format=memory_format)
    on.logits = on(on.params)
    assert_close(on.recorded(), expected, 1e-12)


def test_along_the_graph_no_pass_is_made():
    on = passes("MLP")
    given = directional_derivative(on, on.params, on.tangent, logits=on.logits)
    assert on.calls == 0
    assert_close(given, on.dual(), 1e-12)
    assert on.calls == 1


UNKNOWN = {
    "a function without a rule": lambda: Of(torch.cos),
    "a function of one's own": lambda: OneWayNet(),
    "part of a product": lambda: Of(
        lambda X: torch.addmm(X, X, torch.eye(6, dtype=X.dtype), beta=0.5)
    ),
    "over what learns": lambda: Of(lambda X: X / (3 + X * X)),
    "beside a constant": lambda: Of(lambda X: torch.cat([X, torch.ones_like(X)], 1), width=12),
    "second output": lambda: Of(lambda X: X.chunk(2, dim=1)[1], width=3),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_graphs_that_are_not_known_are_left_to_dual_numbers(name):
    on = Passes(UNKNOWN[name])
    assert on.recorded() is None
    if name != "a function of one's own":  # which has no forward mode
        given = directional_derivative(on, on.params, on.tangent, logits=on.logits)
        assert on.calls == 1
        assert_close(given, on.dual(), 1e-12)


def test_unknown_functions_that_no_direction_reaches_do_not_matter():
    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.gate, self.out = nn.Parameter(torch.rand(4)), nn.Linear(4, 3)

        def forward(self, X):
            return self.out(X * torch.cos(self.gate))

    on = Passes(Gated)
    assert on.recorded() is None
    del on.params["gate"], on.tangent["gate"]
    assert_close(on.recorded(), on.dual(), 1e-12)


def test_logits_that_depend_on_nothing_are_left_alone():
    on = passes("MLP")
    assert recorded_derivative(on.logits.detach(), on.params, on.tangent) is None
    assert recorded_derivative(on.logits, {}, {}) is None


def test_logits_that_are_a_parameter_are_left_alone():
    logits = torch.zeros(2, 3, requires_grad=True)
    assert recorded_derivative(logits, {"z": logits}, {"z": torch.ones(2, 3)}) is None
    moved = 1 * logits
    derivative = recorded_derivative(moved, {"z": logits}, {"z": torch.ones(2, 3)})
    assert torch.equal(derivative, torch.ones(2, 3))


def test_parameters_may_be_results_themselves():
    on = passes("MLP")
    computed = {name: 1.0 * value for name, value in on.params.items()}
    logits = on(computed)
    assert_close(recorded_derivative(logits, computed, on.tangent), on.recorded(), 1e-12)


@pytest.mark.parametrize("name", ["SmallResNet", "dropout", "tied"])
def test_nothing_is_changed_and_the_graph_is_kept(name):
    on = passes(name)
    gradients = torch.autograd.grad(
        on.logits.sum(), list(on.params.values()), retain_graph=True, materialize_grads=True
    )
    with untouched(on.module):
        kept = copy.deepcopy(on.tangent)
        derivative = on.recorded()
    assert not derivative.requires_grad
    assert all(torch.equal(kept[key], on.tangent[key]) for key in kept)
    on.logits.sum().backward()
    for parameter, gradient in zip(on.params.values(), gradients, strict=True):
        assert torch.equal(parameter.grad, gradient)


class Counted(nn.Module):
    """A checkpointed block that counts its passes."""

    def __init__(self, reentrant):
        super().__init__()
        self.first, self.out = nn.Linear(4, 6), nn.Linear(6, 3)
        self.inner = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Tanh())
        self.reentrant, self.count = reentrant, 0

    def block(self, X):
        self.count += 1
        return self.inner(X)

    def forward(self, X):
        return self.out(checkpoint(self.block, self.first(X), use_reentrant=self.reentrant))


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointed_blocks_are_not_run_again(reentrant):
    on = Passes(lambda: Counted(reentrant))
    before = on.module.count
    assert on.recorded() is None
    assert on.module.count == before


def test_tensors_kept_with_hooks_are_left_to_them():
    on = passes("MLP")
    unpacked = []
    hooks = torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: unpacked.append(t) or t)
    with hooks:
        logits = on(on.params)
    assert recorded_derivative(logits, on.params, on.tangent) is None
    assert not unpacked


def test_parameters_that_require_no_gradient_are_left_to_dual_numbers():
    on = passes("tied")
    name = next(iter(on.params))
    on.params[name] = on.params[name].detach()
    logits = on(on.params)
    assert recorded_derivative(logits, on.params, on.tangent) is None
    given = directional_derivative(on, on.params, on.tangent, logits=logits)
    assert_close(given, on.dual(), 1e-12)


def test_numbers_of_two_kinds_are_left_to_dual_numbers():
    on = passes("MLP")
    on.params["single"] = torch.ones(3, requires_grad=True)
    on.tangent["single"] = torch.ones(3)
    assert on.recorded() is None


def test_one_tensor_under_two_names_is_left_to_dual_numbers():
    w = torch.randn(4, 3, requires_grad=True)
    params, tangent = {"a": w, "b": w}, {"a": torch.ones(4, 3), "b": torch.zeros(4, 3)}
    X = torch.randn(5, 4)
    assert recorded_derivative(X @ params["a"] + 2 * (X @ params["b"]), params, tangent) is None


def test_an_outer_autocast_does_not_cut_the_derivative_short():
    w = torch.randn(4, 3, requires_grad=True)
    logits = torch.randn(5, 4) @ w
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert recorded_derivative(logits, {"w": w}, {"w": torch.ones(4, 3)}) is None


def test_graphs_that_are_gone_are_left_to_dual_numbers():
    on = passes("MLP")
    on.logits.sum().backward()
    given = directional_derivative(on, on.params, on.tangent, logits=on.logits)
    assert_close(given, on.dual(), 1e-12)


def test_kept_tensors_that_were_changed_are_left_to_dual_numbers():
    on = passes("squares")
    with torch.no_grad():
        on.params["out.weight"].mul_(2.0)
    assert on.recorded() is None


def test_the_result_is_not_the_direction_itself():
    X, bias = torch.randn(5, 4), torch.zeros(3, requires_grad=True)
    along = torch.ones(3)
    found = recorded_derivative(F.linear(X, torch.randn(3, 4), bias), {"b": bias}, {"b": along})
    found.fill_(7.0)
    assert torch.equal(along, torch.ones(3))


def test_short_floats_are_left_to_dual_numbers():
    on = Passes(TABLES["MLP"], dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = on(on.params)
    assert recorded_derivative(logits.float(), on.params, on.tangent) is None


def test_embeddings_are_looked_up():
    class Looked(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.out = nn.Embedding(7, 4), nn.Linear(8, 3)

        def forward(self, X):
            return self.out(self.table((X[:, :2].abs() * 3).long() % 7).flatten(1))

    on = Passes(Looked)
    assert_close(on.recorded(), on.dual(), 1e-12)


@pytest.mark.parametrize("name", ["tanh", "conv_batchnorm", "dropout", "frozen"])
def test_derivative_is_the_limit_of_differences(name):
    made = problem(CASES[name])
    on = Passes(lambda: made.module, CASES[name].row_shape)
    step = 1e-7

    def logits(sign):
        with torch.no_grad():
            return on({k: p + sign * step * on.tangent[k] for k, p in on.params.items()})

    assert_close(on.recorded(), (logits(1) - logits(-1)) / (2 * step), 1e-6)
