"""What every network must allow: the ways in which training differentiates and moves them."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, jvp

from skgdw.functional import logit_gradient, weight_gradient
from skgdw.modules import MLP, RandomCropFlip, ResNet32, SmallResNet, WeightNet, WideResNet

IMAGES = (6, 2, 8, 8)
CASES = {
    "mlp": (lambda: MLP(5, 3, hidden=(8, 8)), (6, 5)),
    "linear": (lambda: MLP(5, 3, hidden=()), (6, 5)),
    "weight_net": (lambda: WeightNet(hidden=10), (6,)),
    "resnet32": (lambda: ResNet32(3, in_channels=2), IMAGES),
    "small": (lambda: SmallResNet(3, in_channels=2, width=4), IMAGES),
    "wide": (lambda: WideResNet(3, in_channels=2, depth=10, width=1), IMAGES),
    "dropout": (lambda: WideResNet(3, in_channels=2, depth=10, width=1, dropout=0.3), IMAGES),
    "augmented": (lambda: nn.Sequential(RandomCropFlip(2), SmallResNet(3, 2, width=4)), IMAGES),
    "zero-padded": (
        lambda: nn.Sequential(RandomCropFlip(2, padding_mode="zeros"), SmallResNet(3, 2, width=4)),
        IMAGES,
    ),
}


@pytest.fixture(params=CASES)
def case(request):
    """A network in training mode, scaled where it can be, and a batch, both float64."""
    make, shape = CASES[request.param]
    network = make().double()
    X = 100.0 * torch.rand(shape, dtype=torch.float64)
    for module in network.modules():
        if hasattr(module, "fit_scaling"):
            module.fit_scaling(X)
            break
    return network, X


def replayed(network, X):
    """Return the network as a function of its parameters: same random draws, buffers untouched."""
    state = torch.get_rng_state()

    def call(parameters):
        buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
        torch.set_rng_state(state)
        return functional_call(network, {**parameters, **buffers}, (X,))

    return call


def detached(network):
    return {name: parameter.detach() for name, parameter in network.named_parameters()}


def test_forward_mode_equals_finite_differences(case):
    network, X = case
    before = copy.deepcopy(network)
    call, at = replayed(network, X), detached(network)
    along = {name: torch.randn_like(value) for name, value in at.items()}
    out, tangent = jvp(call, (at,), (along,))

    h = 1e-7
    ahead = call({name: value + h * along[name] for name, value in at.items()})
    behind = call({name: value - h * along[name] for name, value in at.items()})
    torch.testing.assert_close(tangent, (ahead - behind) / (2 * h), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(out, call(at))
    assert all(map(torch.equal, network.state_dict().values(), before.state_dict().values()))


def test_double_backward_equals_forward_over_backward(case):
    network, X = case
    call, at = replayed(network, X), detached(network)
    along = {name: torch.randn_like(value) for name, value in at.items()}

    def loss(parameters):
        return call(parameters).square().mean()

    _, expected = jvp(grad(loss), (at,), (along,))
    live = {name: value.clone().requires_grad_() for name, value in at.items()}
    first = torch.autograd.grad(loss(live), list(live.values()), create_graph=True)
    slope = sum((a * b).sum() for a, b in zip(first, along.values(), strict=True))
    second = torch.autograd.grad(
        slope, list(live.values()), allow_unused=True, materialize_grads=True
    )
    for name, value in zip(live, second, strict=True):
        size = expected[name].abs().max().item()
        torch.testing.assert_close(value, expected[name], rtol=1e-6, atol=1e-8 * (1 + size))


def test_pickle_and_copy_give_the_same_outputs(case):
    network, X = case
    network.eval()
    expected = network(X)
    assert torch.equal(pickle.loads(pickle.dumps(network))(X), expected)
    assert torch.equal(copy.deepcopy(network)(X), expected)


def test_compiles(case):
    network, X = case
    network.eval()
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(X), network(X))


def test_every_parameter_gets_a_gradient(case):
    network, X = case
    network(X).square().sum().backward()
    without = [name for name, value in network.named_parameters() if value.grad is None]
    assert without == []


def test_float32_by_default(case):
    network, X = case
    assert network.float()(X.float()).dtype == torch.float32


def test_forward_mode_is_exact_in_single_precision_on_a_deep_network():
    network = ResNet32(4, in_channels=1)
    X, y = torch.rand(10, 1, 16, 16), torch.arange(10) % 4

    def logits(parameters, rows):
        buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
        return functional_call(network, {**parameters, **buffers}, (rows,))

    params = dict(network.named_parameters())
    logit_grad = logit_gradient(logits(params, X).detach(), y)
    found = {
        method: weight_gradient(
            lambda values: logits(values, X),
            lambda values: nn.functional.cross_entropy(logits(values, X.flip(0)), y.flip(0)),
            params,
            torch.ones_like(logit_grad),
            logit_grad,
            lookahead_lr=0.1,
            method=method,
        ).weight_grad
        for method in ("forward", "unrolled")
    }
    off = (found["forward"] - found["unrolled"]).norm() / found["unrolled"].norm()
    assert off < 1e-4
