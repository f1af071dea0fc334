"""Centre and scale of columns: outliers, constants and the ends of the number range."""

import numpy as np
import pytest
import torch

from skgdw.modules import MLP, Standardize


def test_more_rows_than_one_chunk():
    X = np.random.default_rng(0).normal(size=(3000, 2)).astype(np.float32)
    layer = Standardize(2).fit_scaling(X)
    np.testing.assert_allclose(layer.scale, X.std(axis=0, dtype=np.float64), rtol=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.1, -1e30, 3e38, 1e-44])
def test_constant_columns_are_centred_only(value):
    X = torch.full((7, 1), value)
    layer = Standardize(1).fit_scaling(X)
    assert layer.scale.item() == 1.0
    assert layer(X).abs().max() == 0.0


def test_rounding_noise_is_no_spread():
    X = 0.1 + 1e-12 * np.random.default_rng(0).normal(size=(50, 1))
    assert Standardize(1).fit_scaling(X).scale.item() == 1.0


def test_one_wild_cell_leaves_the_rest_of_its_column_readable():
    X = np.random.default_rng(0).normal(size=(500, 1))
    X[0] = 1e30
    Z = Standardize(1).fit_scaling(X)(torch.from_numpy(X))
    assert 0.8 < Z[1:].std() < 1.2
    assert 10.0 < Z[0] < 25.0


def test_outliers_are_compressed_in_order():
    layer = Standardize(1).fit_scaling(np.random.default_rng(0).normal(size=(500, 1)))
    Z = layer(torch.tensor([[-1e4], [-50.0], [-9.0], [9.0], [50.0], [1e4]])).squeeze(1)
    assert torch.equal(Z, Z.sort().values)
    assert len(Z.unique()) == 6
    assert Z.abs().max() < 25.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_largest_floats_stay_finite(dtype):
    largest = torch.finfo(dtype).max
    X = torch.tensor([[largest], [-largest], [0.0], [1.0]], dtype=dtype)
    network = MLP(1, 2, hidden=(4,)).to(dtype).fit_scaling(X)
    assert network(X).isfinite().all()
    assert network.fit_scaling(X[2:])(X).isfinite().all()


@pytest.mark.parametrize(
    ("X", "error", "match"),
    [
        (np.zeros((4, 3)), ValueError, r"`X` must have 2 columns .* got shape \(4, 3\); build"),
        (np.zeros(4), ValueError, r"`X` must have 2 columns .* got shape \(4,\)"),
        (np.zeros((0, 2)), ValueError, r"`X` must have at least one row; got shape \(0, 2\)"),
        (np.array([["a", "b"]]), TypeError, r"`X` must hold real numbers; got dtype <U1; encode"),
        ([[1.0, np.nan]], ValueError, r"`X` must be finite; got NaN .* \[1\]; impute"),
        ([[np.inf, np.nan]], ValueError, r"`X` must be finite; .* \[0, 1\]"),
    ],
)
def test_unfit_rows_are_refused(X, error, match):
    layer = Standardize(2)
    with pytest.raises(error, match=match):
        layer.fit_scaling(X)
    assert layer.limit.isinf()


@pytest.mark.parametrize("offset", [1e6, 1.7e9, 9.1e9, -4e11])
def test_columns_far_from_zero_keep_their_shape(offset):
    column = np.random.default_rng(0).uniform(0, 60, 200)
    X = np.column_stack([column, offset + column])
    layer = Standardize(2).fit_scaling(X)
    near, far = layer(torch.as_tensor(X)).T.numpy()
    np.testing.assert_allclose(far, near, atol=3e-4)


@pytest.mark.parametrize("value", [1734567890.0, 1734567890123.0, 1.7e18, -4915901234567.0])
def test_constant_columns_far_from_zero_say_nothing(value):
    X = np.full((50, 1), value)
    layer = Standardize(1).fit_scaling(X)
    assert abs(float(layer(torch.as_tensor(X)).max())) < 0.1
    single = torch.as_tensor(X.astype(np.float32))
    assert not Standardize(1).fit_scaling(single)(single).any()


def test_what_single_precision_cannot_tell_apart_is_constant_there_alone():
    X = 1e9 + np.linspace(0, 60, 100)[:, None]
    assert Standardize(1).fit_scaling(X).scale.item() == pytest.approx(X.std(), rel=1e-6)
    assert Standardize(1).fit_scaling(X.astype(np.float32)).scale.item() == 1.0


def test_near_columns_need_no_rest():
    X = np.random.default_rng(0).normal(100, 1, size=(50, 3))
    assert not Standardize(3).fit_scaling(X).shift_rest.any()
