"""What every network must allow: the ways in which training differentiates and moves them."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.func import functional_call, jvp

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
    """Return the network as a function of its parameters that moves nothing outside itself."""
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
    call, at = replayed(network, X), detached(network)
    along = {name: torch.randn_like(value) for name, value in at.items()}
    before = copy.deepcopy(network.state_dict())
    out, tangent = jvp(call, (at,), (along,))

    h = 1e-7
    ahead = call({name: value + h * along[name] for name, value in at.items()})
    behind = call({name: value - h * along[name] for name, value in at.items()})
    torch.testing.assert_close(out, network_output(network, X, call, at))
    torch.testing.assert_close(tangent, (ahead - behind) / (2 * h), rtol=1e-4, atol=1e-5)
    after = network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def network_output(network, X, call, at):
    """Run the plain module on a copy, under the random state that `call` replays."""
    call(at)
    reference = copy.deepcopy(network)
    torch.set_rng_state(call.__closure__[_cell(call, "state")].cell_contents)
    return reference(X).detach()


def _cell(function, name):
    return function.__code__.co_freevars.index(name)


def test_backward_of_a_gradient_equals_finite_differences(case):
    network, X = case
    call = replayed(network, X)
    at = {name: value.requires_grad_() for name, value in detached(network).items()}
    along = [torch.randn_like(value) for value in at.values()]

    def slope(values):
        """Return the derivative of the mean square output along a fixed direction."""
        loss = call(dict(zip(at, values, strict=True))).square().mean()
        first = torch.autograd.grad(loss, values, create_graph=True)
        return sum((a * b).sum() for a, b in zip(first, along, strict=True))

    values = list(at.values())
    second = torch.autograd.grad(slope(values), values, allow_unused=True)
    step = [torch.randn_like(value) for value in values]
    expected = sum((s * d).sum() for s, d in zip(second, step, strict=True) if s is not None)
    h = 1e-6

    def moved(sign):
        return [
            (v + sign * h * d).detach().requires_grad_() for v, d in zip(values, step, strict=True)
        ]

    found = (slope(moved(1)) - slope(moved(-1))) / (2 * h)
    torch.testing.assert_close(found.detach(), expected, rtol=1e-3, atol=1e-4)


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
