"""Three steps of the authors' program, retraced with the public functions and by the oracle."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import oracles
from oracles import REFERENCE_STEPS, reference
from properties import assert_close
from skgdw.functional import METHODS, logit_gradient, update_weight, weight_gradient, zero_mean

RECORDED = ("loss", "instance_weight", "meta_loss", "weight_grad", "class_weight")


@pytest.fixture(scope="module")
def arrays():
    return {name: torch.from_numpy(value) for name, value in reference().items()}


def networks(arrays):
    module = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 4)).double()
    weight_net = nn.Sequential(nn.Linear(1, 16), nn.ReLU(), nn.Linear(16, 1), nn.Sigmoid())
    weight_net = nn.Sequential(nn.Unflatten(0, (-1, 1)), weight_net, nn.Flatten(0)).double()
    with torch.no_grad():
        for net, name in ((module, "param"), (weight_net, "weightnet")):
            for k, parameter in enumerate(net.parameters()):
                parameter.copy_(arrays[f"init_{name}_{k}"])
    return module, weight_net


def compare(arrays, step, seen, tolerance):
    for name, value in seen.items():
        assert_close(value, arrays[f"step{step}_{name}"], tolerance, f"step{step}_{name}")


def parameters_of(module, weight_net):
    named = {f"param_{k}": p for k, p in enumerate(module.parameters())}
    return named | {f"weightnet_{k}": p for k, p in enumerate(weight_net.parameters())}


@pytest.mark.parametrize("method", METHODS)
def test_functions_retrace_the_reference(arrays, method):
    module, weight_net = networks(arrays)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    adam = torch.optim.Adam(weight_net.parameters(), lr=1e-3, weight_decay=1e-4)
    for step in range(REFERENCE_STEPS):
        X, y, X_meta, y_meta = (
            arrays[f"step{step}_{name}"] for name in ("X", "y", "X_meta", "y_meta")
        )

        def call(params, X):
            return torch.func.functional_call(module, params, (X,))

        params = dict(module.named_parameters())
        logits = call(params, X)
        losses = F.cross_entropy(logits, y, reduction="none").detach()
        logit_grad = logit_gradient(logits.detach(), y)
        first = weight_net(losses)
        spread = first.detach().unsqueeze(1).expand_as(logit_grad)
        weight_grad, meta_loss = weight_gradient(
            lambda p, X=X: call(p, X),
            lambda p, X=X_meta, y=y_meta: F.cross_entropy(call(p, X), y),
            params,
            spread,
            logit_grad,
            lookahead_lr=0.1,
            method=method,
            logits=logits,
        )
        adam.zero_grad()
        first.backward(weight_grad.sum(dim=1))
        adam.step()
        moved = update_weight(spread, weight_grad, meta_lr=100 / (12 * 4))
        weight = zero_mean(moved, logit_grad, y)
        optimizer.zero_grad()
        logits.backward(weight * logit_grad / len(y))
        optimizer.step()

        values = (losses, first, meta_loss, weight_grad, weight)
        seen = dict(zip(RECORDED, values, strict=True)) | parameters_of(module, weight_net)
        compare(arrays, step, seen, 1e-5 if method == "difference" else 1e-10)


def test_the_oracle_retraces_the_reference(arrays):
    trainer = oracles.Trainer(*networks(arrays), meta_lr=100 / (12 * 4))
    for step in range(REFERENCE_STEPS):
        names = ("X", "y", "X_meta", "y_meta")
        record = trainer.step(*(arrays[f"step{step}_{name}"] for name in names))
        values = (record.losses, record.first, record.meta_loss, record.weight_grad, record.weight)
        seen = dict(zip(RECORDED, values, strict=True))
        seen |= parameters_of(trainer.module, trainer.weight_net)
        compare(arrays, step, seen, 1e-10)
