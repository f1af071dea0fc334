"""How far the look-ahead goes."""

import torch
from torch import nn

from cases import TiedNet, frozen_net, tanh_mlp
from skgdw._training.step._rates import LookAheadRates
from skgdw._training.step._stateless import Stateless


def sgd(module, lr=0.3):
    return torch.optim.SGD(module.parameters(), lr=lr, momentum=0.9)


def test_follows_the_rate_that_sgd_has_now():
    module = tanh_mlp()
    optimizer = sgd(module)
    rates = LookAheadRates(Stateless(module), optimizer, None)
    params, by_name = rates()
    assert params.keys() == by_name.keys() == dict(module.named_parameters()).keys()
    assert all(params[name] is p for name, p in module.named_parameters())
    assert set(by_name.values()) == {0.3}
    optimizer.param_groups[0]["lr"] = 0.01  # as a schedule does
    assert set(rates()[1].values()) == {0.01}


def test_follows_each_group():
    module = tanh_mlp()
    groups = [{"params": module[0].parameters(), "lr": 0.5}, {"params": module[2].parameters()}]
    rates = LookAheadRates(Stateless(module), torch.optim.SGD(groups, lr=0.02), None)()[1]
    assert rates == {"0.weight": 0.5, "0.bias": 0.5, "2.weight": 0.02, "2.bias": 0.02}


def test_other_optimizers_get_a_plain_step():
    module = tanh_mlp()
    for optimizer in (torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop):
        rates = LookAheadRates(Stateless(module), optimizer(module.parameters(), lr=1e-3), None)()[
            1
        ]
        assert set(rates.values()) == {0.05}


def test_a_subclass_of_sgd_is_sgd():
    class Own(torch.optim.SGD):
        pass

    module = tanh_mlp()
    rates = LookAheadRates(Stateless(module), Own(module.parameters(), lr=0.7), None)()[1]
    assert set(rates.values()) == {0.7}


def test_a_fixed_rate_is_for_all():
    module = tanh_mlp()
    for optimizer in (sgd(module), torch.optim.Adam(module.parameters())):
        rates = LookAheadRates(Stateless(module), optimizer, 0.2)()[1]
        assert rates == dict.fromkeys(dict(module.named_parameters()), 0.2)


def test_frozen_parameters_take_no_part_while_they_are_frozen():
    module = frozen_net()
    rates = LookAheadRates(Stateless(module), sgd(module), None)
    assert list(rates()[0]) == list(rates()[1]) == ["0.bias", "2.weight", "2.bias"]
    module[0].weight.requires_grad_(True)  # as an unfreezing callback does
    assert list(rates()[0]) == ["0.weight", "0.bias", "2.weight", "2.bias"]


def test_parameters_outside_the_optimizer_take_no_part():
    module = tanh_mlp()
    for fixed in (None, 0.2):
        rates = LookAheadRates(Stateless(module), sgd(module[2]), fixed)
        assert list(rates()[0]) == list(rates()[1]) == ["2.weight", "2.bias"]


def test_tied_parameters_come_once():
    module = TiedNet()
    params = LookAheadRates(Stateless(module), sgd(module), None)()[0]
    assert "first.weight" in params
    assert "second.weight" not in params
    assert len({id(p) for p in params.values()}) == len(params)


def test_tensor_rates_stay_tensors():
    module = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(module.parameters(), lr=torch.tensor(0.25), foreach=False)
    assert (
        LookAheadRates(Stateless(module), optimizer, None)()[1]["weight"]
        is optimizer.param_groups[0]["lr"]
    )
