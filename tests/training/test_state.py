"""What of a session is saved: the parameters that learn."""

import torch
from torch import nn

from skgdw._training._state import freeze_in, frozen_in


def parts():
    module, weighting = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2)), nn.Linear(1, 1)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    return {"module": module, "weighting": weighting, "optimizer": optimizer}


def test_frozen_parameters_by_name():
    first, second = parts(), parts()
    assert frozen_in(first) == []
    first["module"][1].requires_grad_(False)
    first["weighting"].bias.requires_grad_(False)
    names = ["module.1.weight", "module.1.bias", "weighting.bias"]
    assert frozen_in(first) == names
    second["module"][0].requires_grad_(False)
    freeze_in(second, names)
    assert frozen_in(second) == names
    freeze_in(second, [])
    assert frozen_in(second) == []


def test_parameters_of_whole_numbers_stay_without_a_gradient():
    codes = nn.Module()
    codes.table = nn.Parameter(torch.arange(3), requires_grad=False)
    freeze_in({"module": codes}, frozen_in({"module": codes}))
    assert not codes.table.requires_grad
