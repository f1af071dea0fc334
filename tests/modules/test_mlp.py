import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from skgdw.modules import MLP


def n_parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("hidden", "expected"),
    [
        ((128, 128), 5 * 128 + 128 + 128 * 128 + 128 + 128 * 3 + 3),
        ([7], 5 * 7 + 7 + 21 + 3),
        ((), 18),
    ],
)
def test_parameter_count(hidden, expected):
    assert n_parameters(MLP(5, 3, hidden)) == expected


def test_two_hidden_layers_of_128_by_default():
    network = MLP(5, 3)
    assert [layer.out_features for layer in network.modules() if isinstance(layer, nn.Linear)] == [
        128,
        128,
        3,
    ]


def test_empty_hidden_is_a_linear_model():
    network = MLP(4, 2, hidden=()).double()
    X, step = torch.randn(2, 6, 4, dtype=torch.float64)
    torch.testing.assert_close(network(X + step) - network(X), network(2 * step) - network(step))


def test_numpy_integers_are_sizes():
    assert MLP(np.int64(4), np.int64(2), (np.int32(8),))(torch.zeros(3, 4)).shape == (3, 2)


def test_one_row_and_no_row():
    network = MLP(4, 2)
    assert network(torch.zeros(1, 4)).shape == (1, 2)
    assert network(torch.zeros(0, 4)).shape == (0, 2)


@given(seed=st.integers(0, 2**32 - 1), factor=st.floats(1e-3, 1e3), offset=st.floats(-1e3, 1e3))
def test_outputs_ignore_the_units_of_the_table(seed, factor, offset):
    X = np.random.default_rng(seed).standard_t(2, size=(40, 3))
    moved = factor * X + offset
    network = MLP(3, 2, hidden=(8,)).double()
    before = network.fit_scaling(X)(torch.from_numpy(X))
    after = network.fit_scaling(moved)(torch.from_numpy(moved))
    torch.testing.assert_close(after, before, rtol=1e-6, atol=1e-6)


def test_learns_from_columns_of_very_different_units():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 3)) * [1e-6, 1.0, 1e6] + [0.0, -100.0, 1e7]
    y = (X[:, 0] * 1e6 > (X[:, 2] - 1e7) / 1e6).astype(np.int64)
    X[:3] = 1e12  # wild rows
    rows, labels = torch.from_numpy(X).float(), torch.from_numpy(y)
    network = MLP(3, 2, hidden=(32,)).fit_scaling(X)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(rows), labels).backward()
        optimizer.step()
    assert (network(rows).argmax(1) == labels).float().mean() > 0.95


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ((0, 2), ValueError, "`n_features` must be at least 1; got 0; pass"),
        ((4, 0), ValueError, "`n_classes` must be at least 1; got 0; pass the number of distinct"),
        ((4, "2"), TypeError, "`n_classes` must be an integer; got '2' of type str"),
        ((4, 2, (8, 0)), ValueError, "`hidden` must be at least 1; got 0; leave empty layers"),
        ((4, 2, (8.0,)), TypeError, r"`hidden` must be an integer; got 8\.0 of type float"),
        ((4, 2, 128), TypeError, "`hidden` must be a sequence of layer widths; got 128; for one"),
    ],
)
def test_bad_arguments_are_refused(arguments, error, match):
    with pytest.raises(error, match=match):
        MLP(*arguments)
