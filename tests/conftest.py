"""Fixtures and settings that every test runs under."""

import os
import random

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings

# Results should not hang on the machine's core count, and parallel workers should not compete.
torch.set_num_threads(1)
# Displays are drawn without a window; set before anything imports matplotlib.
os.environ.setdefault("MPLBACKEND", "Agg")

settings.register_profile("default", deadline=None, max_examples=50)
settings.register_profile(
    "ci",
    deadline=None,
    max_examples=50,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.fixture(autouse=True)
def _same_start_same_end():
    """Seed every global generator; fail a test that leaves torch's global modes changed."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 (what code under test might draw from by mistake)
    torch.manual_seed(0)
    dtype, grad = torch.get_default_dtype(), torch.is_grad_enabled()
    yield
    dtype_after, grad_after = torch.get_default_dtype(), torch.is_grad_enabled()
    torch.set_default_dtype(dtype)
    torch.set_grad_enabled(grad)
    assert dtype_after is dtype, f"the test left torch's default dtype at {dtype_after}"
    assert grad_after is grad, f"the test left torch's grad mode at {grad_after}"
