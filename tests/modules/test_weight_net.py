import pytest
import torch

from skgdw.modules import WeightNet


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_weight_between_0_and_1_per_loss(dtype):
    losses = torch.linspace(0.0, 10.0, 50, dtype=dtype)
    weight = WeightNet().to(dtype)(losses)
    assert weight.shape == losses.shape
    assert weight.dtype == dtype
    assert ((weight > 0) & (weight < 1)).all()


def test_parameters_come_as_weight_bias_weight_bias():
    shapes = [tuple(parameter.shape) for parameter in WeightNet(hidden=7).parameters()]
    assert shapes == [(7, 1), (7,), (1, 7), (1,)]
    assert WeightNet().state_dict().keys() == WeightNet(hidden=7).state_dict().keys()
    assert next(WeightNet().parameters()).shape == (100, 1)


def test_equals_its_formula():
    net = WeightNet(hidden=5).double()
    w1, b1, w2, b2 = net.parameters()
    losses = torch.rand(8, dtype=torch.float64)
    hidden = (losses[:, None] * w1.T + b1).clamp(min=0)
    torch.testing.assert_close(net(losses), torch.sigmoid(hidden @ w2[0] + b2))


def test_losses_are_capped():
    net = WeightNet().double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(1e-2)  # keeps the sigmoid away from its ends
    below, at_cap = net(torch.tensor([9e3, 1e4], dtype=torch.float64))
    beyond = net(torch.tensor([1e4 + 1, 1e30, torch.inf], dtype=torch.float64))
    torch.testing.assert_close(beyond, at_cap.expand(3), rtol=1e-12, atol=0.0)
    assert abs(below - at_cap) > 1e-6


def test_gradient_is_finite_for_huge_losses():
    net = WeightNet()
    net(torch.tensor([0.1, 1e38, torch.inf])).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in net.parameters())


def test_rows_do_not_mix():
    net = WeightNet().double()
    losses = torch.rand(9, dtype=torch.float64)
    order = torch.randperm(9)
    torch.testing.assert_close(net(losses)[order], net(losses[order]))


def test_no_rows():
    assert WeightNet()(torch.zeros(0)).shape == (0,)


@pytest.mark.parametrize("shape", [(), (3, 1)])
def test_other_than_one_dimension_is_refused(shape):
    with pytest.raises(
        ValueError, match=r"`losses` must have one dimension; got shape .*; pass one"
    ):
        WeightNet()(torch.zeros(shape))


def test_empty_hidden_layer_is_refused():
    with pytest.raises(ValueError, match="`hidden` must be at least 1; got 0; pass the width"):
        WeightNet(hidden=0)
