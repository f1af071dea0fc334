import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from skgdw.modules import MLP, SmallResNet, Standardize

seeds = st.integers(0, 2**32 - 1)


def heavy_rows(seed, n=80):
    """Columns: normal, exponential, heavy-tailed, binary, mostly zero."""
    rng = np.random.default_rng(seed)
    columns = [
        rng.normal(size=n),
        rng.exponential(size=n),
        rng.standard_t(1, size=n),
        rng.integers(0, 2, size=n),
        rng.normal(size=n) * (rng.random(n) < 0.1),
    ]
    return np.stack(columns, axis=1)


def test_identity_until_fitted():
    X = 1e30 * torch.randn(5, 3)
    assert torch.equal(Standardize(3)(X), X)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_far_values_keep_their_sign_to_the_last_bit(dtype):
    tiny = torch.finfo(dtype).tiny / 8  # no normal number
    X = torch.cat([50 * torch.randn(400, dtype=dtype), torch.tensor([0.0, -0.0, tiny, -tiny])])
    X = torch.cat([X, torch.tensor([1e30, -1e30, 10.0, -10.0], dtype=dtype)]).to(dtype)[:, None]
    layer = Standardize(1).to(dtype)
    layer.limit.fill_(10.0)
    inside = X.clamp(-10, 10)
    excess = (X - inside).clamp(-1e6, 1e6)
    assert torch.equal(layer(X), inside + excess.abs().log1p().copysign(excess))


def test_normal_columns_get_mean_and_deviation():
    X = np.random.default_rng(0).normal(5.0, 3.0, size=(200, 4))
    layer = Standardize(4).double().fit_scaling(X)
    np.testing.assert_allclose(layer.shift, X.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(layer.scale, X.std(axis=0), rtol=1e-12)


def test_images_are_standardised_per_channel():
    X = (
        torch.rand(20, 3, 5, 6, dtype=torch.float64)
        * torch.tensor([1.0, 16.0, 255.0])[:, None, None]
    )
    Z = Standardize(3).double().fit_scaling(X)(X)
    torch.testing.assert_close(Z.mean(dim=(0, 2, 3)), torch.zeros(3, dtype=torch.float64))
    torch.testing.assert_close(
        Z.std(dim=(0, 2, 3), correction=0), torch.ones(3, dtype=torch.float64)
    )


@given(
    seed=seeds,
    factor=st.floats(1e-3, 1e3) | st.floats(-1e3, -1e-3),
    offset=st.floats(-1e3, 1e3),
)
def test_outputs_ignore_the_units_of_a_table(seed, factor, offset):
    X = heavy_rows(seed)
    moved = factor * X + offset
    layer = Standardize(5).double()
    before = layer.fit_scaling(X)(torch.from_numpy(X))
    after = layer.fit_scaling(moved)(torch.from_numpy(moved))
    sign = 1.0 if factor > 0 else -1.0
    torch.testing.assert_close(after, sign * before, rtol=1e-6, atol=1e-6)


@given(seed=seeds, exponent=st.integers(-18, 18))
def test_powers_of_two_change_nothing_at_all(seed, exponent):
    X = heavy_rows(seed).astype(np.float32)
    layer = Standardize(5)
    before = layer.fit_scaling(X)(torch.from_numpy(X))
    moved = X * np.float32(2.0**exponent)
    torch.testing.assert_close(layer.fit_scaling(moved)(torch.from_numpy(moved)), before)


@pytest.mark.parametrize("factor", [1.0, 16.0, 255.0])
def test_outputs_ignore_the_range_of_images(factor):
    X = torch.rand(6, 1, 8, 8)
    network = SmallResNet(4, width=4).eval()
    before = network.fit_scaling(X)(X)
    torch.testing.assert_close(network.fit_scaling(factor * X)(factor * X), before)


@pytest.mark.parametrize(
    "X",
    [
        torch.tensor([[0, 255], [128, 3]], dtype=torch.uint8),
        torch.tensor([[0, 1], [2, 3]]),
        torch.tensor([[True, False], [False, False]]),
        torch.tensor([[0.5, 1.0], [2.0, 3.0]], dtype=torch.bfloat16),
        torch.tensor([[0.5, 1.0], [2.0, 3.0]], dtype=torch.float16),
        torch.tensor([[0.5, 1.0], [2.0, 3.0]], requires_grad=True),
    ],
    ids=lambda X: str(X.dtype),
)
def test_other_dtypes_come_out_as_the_layers(X):
    layer = Standardize(2)
    assert layer(X.float()).dtype == torch.float32
    Z = layer.fit_scaling(X)(X.to(torch.float32) if X.dtype == torch.bool else X)
    assert Z.dtype == torch.float32
    assert Z.isfinite().all()


def test_lists_and_read_only_arrays_are_taken():
    X = np.arange(6.0).reshape(3, 2)
    X.setflags(write=False)
    expected = Standardize(2).fit_scaling(X).scale
    assert torch.equal(Standardize(2).fit_scaling(X.tolist()).scale, expected)


def test_scaling_survives_state_dict_and_pickle():
    X = 1e3 * torch.randn(9, 3)
    network = MLP(3, 2).fit_scaling(X)
    other = MLP(3, 2)
    other.load_state_dict(network.state_dict())
    assert torch.equal(other(X), network(X))
    assert torch.equal(pickle.loads(pickle.dumps(network))(X), network(X))


def test_nothing_of_it_is_trained():
    assert list(Standardize(3).parameters()) == []


def test_repr_shows_the_size():
    assert repr(Standardize(3)) == "Standardize(3)"


@pytest.mark.parametrize("shape", [(4, 3), (4,), (4, 1, 2)])
def test_forward_refuses_another_width(shape):
    with pytest.raises(ValueError, match="`X` must have 2 columns or channels"):
        Standardize(2)(torch.zeros(shape))


@pytest.mark.parametrize(
    ("value", "error", "match"),
    [
        (0, ValueError, "`n_features` must be at least 1; got 0; pass the number of columns"),
        (2.0, TypeError, r"`n_features` must be an integer; got 2\.0 of type float"),
        (True, TypeError, "`n_features` must be an integer; got True of type bool"),
    ],
)
def test_bad_sizes_are_refused(value, error, match):
    with pytest.raises(error, match=match):
        Standardize(value)
