"""Assertions that several test files share."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn


def assert_close(actual: Tensor, expected: Tensor, tolerance: float, name: str = "") -> None:
    """Compare relative to the largest entry, in float64; NaN and infinity never pass."""
    actual, expected = (
        torch.as_tensor(v, dtype=torch.float64).detach() for v in (actual, expected)
    )
    assert actual.shape == expected.shape, f"{name} {actual.shape} {expected.shape}"
    assert bool(torch.isfinite(expected).all()), f"the expected {name} are not finite"
    if actual.numel() == 0:
        return
    size = float(expected.abs().max())
    off = float((actual - expected).abs().max())
    assert off <= tolerance * max(size, 1e-30), f"{name} off by {off:.3g} where {size:.3g} large"


def assert_all_close(
    actual: Mapping[str, Tensor], expected: Mapping[str, Tensor], tolerance: float
) -> None:
    """Compare tensors by name."""
    assert list(actual) == list(expected)
    for name, value in expected.items():
        assert_close(actual[name], value, tolerance, name)


def assert_rows_balance(weight: Tensor, logit_grad: Tensor, tolerance: float) -> None:
    """Every row of the weighted gradient sums to zero."""
    residual = (weight * logit_grad).sum(dim=1).abs().max()
    assert float(residual) <= tolerance, f"a row sums to {float(residual):.3g}"


def assert_permutation_equivariant(
    function: Callable[..., Tensor],
    tables: tuple[Tensor, ...],
    y: Tensor | None,
    tolerance: float,
    *,
    seed: int = 0,
) -> None:
    """Permuting the rows, or the classes, of all arguments permutes the result."""
    generator = torch.Generator().manual_seed(seed)
    n, c = tables[0].shape
    rows, classes = torch.randperm(n, generator=generator), torch.randperm(c, generator=generator)
    labels = () if y is None else (y,)
    expected = function(*tables, *labels)

    by_row = function(*(table[rows] for table in tables), *(label[rows] for label in labels))
    assert_close(by_row, expected[rows], tolerance, "rows")
    # Column k of the permuted tables is class classes[k].
    renamed = (torch.argsort(classes)[label] for label in labels)
    by_class = function(*(table[:, classes] for table in tables), *renamed)
    assert_close(by_class, expected[:, classes], tolerance, "classes")


def state_of(module: nn.Module) -> dict[str, Tensor]:
    """Copy parameters, buffers and gradients."""
    state = {name: value.clone() for name, value in module.state_dict().items()}
    for name, parameter in module.named_parameters():
        if parameter.grad is not None:
            state[f"{name}.grad"] = parameter.grad.clone()
    return state


def assert_same_state(module: nn.Module, before: Mapping[str, Tensor]) -> None:
    """Parameters, buffers and gradients are bit for bit what they were."""
    after = state_of(module)
    assert list(after) == list(before)
    changed = [name for name, value in before.items() if not torch.equal(value, after[name])]
    assert not changed, f"changed: {changed}"


@contextmanager
def untouched(*modules: nn.Module):
    """Fail where the block changes a module or a global random state."""
    before = [copy.deepcopy(state_of(module)) for module in modules]
    random_state = torch.get_rng_state()
    others = random.getstate(), str(np.random.get_state())  # noqa: NPY002
    yield
    now = random.getstate(), str(np.random.get_state())  # noqa: NPY002
    assert now == others, "a global random state moved"
    assert torch.equal(torch.get_rng_state(), random_state), "the global random state moved"
    for module, state in zip(modules, before, strict=True):
        assert_same_state(module, state)
