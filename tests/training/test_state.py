"""What of a session is saved: states, the parameters that learn, buffers that no state tells."""

import torch
from torch import nn

from skgdw._training._state import load_state, state_of


def parts():
    module, weighting = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2)), nn.Linear(1, 1)
    module.register_buffer("steps", torch.zeros(()), persistent=False)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    return {"module": module, "weighting": weighting, "optimizer": optimizer}


def test_parts_are_as_they_were():
    first, second = parts(), parts()
    first["module"].steps.fill_(5.0)
    first["optimizer"].param_groups[0]["lr"] = 0.3
    saved = state_of(first)
    first["module"].steps.fill_(7.0)  # what was saved is a copy
    load_state(second, saved)
    assert second["module"].steps.item() == 5.0
    assert second["optimizer"].param_groups[0]["lr"] == 0.3
    for name in ("module", "weighting"):
        for own, other in zip(second[name].parameters(), first[name].parameters(), strict=True):
            assert torch.equal(own, other)


def test_frozen_parameters_by_name():
    first, second = parts(), parts()
    assert state_of(first)["frozen"] == []
    first["module"][1].requires_grad_(False)
    first["weighting"].bias.requires_grad_(False)
    names = ["module.1.weight", "module.1.bias", "weighting.bias"]
    assert state_of(first)["frozen"] == names
    second["module"][0].requires_grad_(False)
    load_state(second, state_of(first))
    assert state_of(second)["frozen"] == names
    load_state(second, state_of(parts()))
    assert state_of(second)["frozen"] == []


def test_parameters_of_whole_numbers_stay_without_a_gradient():
    codes = nn.Module()
    codes.table = nn.Parameter(torch.arange(3), requires_grad=False)
    load_state({"module": codes}, state_of({"module": codes}))
    assert not codes.table.requires_grad
