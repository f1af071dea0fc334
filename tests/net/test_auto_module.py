"""The network behind ``module="auto"``: which one, for what, and its input scaling."""

import numpy as np
import pytest
import torch
from torch import nn

from classifier_cases import blobs, quick, weights
from skgdw import GDWClassifier
from skgdw._net._auto_module import make_auto_module, row_shape_for, shape_of_rows
from skgdw.modules import MLP, ResNet32, SmallResNet

DATA = blobs()
X, Y, X_META, Y_META = DATA
META = {"X_meta": X_META, "y_meta": Y_META}


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 100, (40, 3, 6, 6), dtype=np.uint8)
    labels = np.arange(40) % 2
    pixels[labels == 1, :, :3] += 150
    return pixels, labels


def test_images_of_bytes(images):
    pixels, labels = images
    net = quick("auto", max_epochs=2, batch_size=8)
    net.fit(pixels[10:], labels[10:], pixels[:10], labels[:10])
    assert isinstance(net.module_, SmallResNet)
    assert net.n_features_in_ == 3
    assert net.predict_proba(pixels).shape == (40, 2)
    assert net.score(pixels, labels) > 0.9
    as_floats = quick("auto", max_epochs=2, batch_size=8)
    as_floats.fit(pixels[10:].astype(float), labels[10:], pixels[:10].astype(float), labels[:10])
    assert np.array_equal(weights(as_floats), weights(net))


def test_large_images_get_the_deep_network(images):
    pixels, labels = images
    large = np.tile(pixels, (1, 1, 3, 3))[:, :1]
    net = quick("auto", max_epochs=0).fit(large[10:], labels[10:], large[:10], labels[:10])
    assert isinstance(net.module_, ResNet32)
    assert next(net.module_.parameters()).shape[1] == 1


def test_auto_network_takes_module_parameters():
    net = quick("auto", module__hidden=(7,)).fit(*DATA)
    assert isinstance(net.module_, MLP)
    assert [p.shape[0] for p in net.module_.parameters() if p.ndim == 2] == [7, 3]


def test_auto_network_ignores_the_scale_of_the_table():
    data = blobs(90, 30)
    plain = quick("auto", max_epochs=10).fit(*data)
    scale, offset = np.array([1e-3, 1.0, 1e2, 1e4]), np.array([0.0, 1e2, -1e3, 1e5])
    moved = quick("auto", max_epochs=10)
    moved.fit(data.X * scale + offset, data.y, data.X_meta * scale + offset, data.y_meta)
    assert plain.score(data.X, data.y) > 0.9
    assert np.allclose(
        moved.predict_proba(data.X * scale + offset), plain.predict_proba(data.X), atol=0.02
    )


def test_unknown_module_string():
    with pytest.raises(ValueError, match='must be "auto", a torch module or its class; got the st'):
        quick("mlp").fit(*DATA)


def test_auto_module_needs_data():
    net = GDWClassifier()
    with pytest.raises(ValueError, match='`module="auto"` is sized by the data, so it cannot be'):
        net.initialize()
    net.set_params(max_epochs=1, verbose=0).fit(*DATA)
    assert net.predict(X).shape == (48,)


def test_images_without_a_channel_axis():
    images = np.random.default_rng(0).normal(size=(60, 5, 5))
    with pytest.raises(ValueError, match=r"shape \(48, 5, 5\). Give images a channel axis: X\[:"):
        quick("auto").fit(images[:48], Y, images[48:], Y_META)


def test_five_axes():
    videos = np.random.default_rng(0).normal(size=(60, 2, 2, 2, 2))
    with pytest.raises(ValueError, match=r"takes tables \(n, d\) and images .* pass a torch modul"):
        quick("auto").fit(videos[:48], Y, videos[48:], Y_META)


def test_a_shape_is_enough():
    assert make_auto_module((4,), 3, hidden=(5,)).layers[0].weight.shape == (5, 4)
    assert isinstance(make_auto_module((2, 16, 9), 3), SmallResNet)
    assert isinstance(make_auto_module((2, 9, 17), 3), ResNet32)


@pytest.mark.parametrize("shape", [(4,), (2, 16, 16), (1, 32, 17)])
def test_a_network_tells_for_which_rows_it_can_be_built(shape):
    module = make_auto_module(shape, 3)
    again = make_auto_module(row_shape_for(module), 3)
    assert type(again) is type(module)
    sizes = [{k: v.shape for k, v in each.state_dict().items()} for each in (module, again)]
    assert sizes[0] == sizes[1]


def test_shape_of_rows():
    assert shape_of_rows(X) == (4,)
    assert shape_of_rows(np.zeros((2, 1, 5, 6))) == (1, 5, 6)
    with pytest.raises(ValueError, match=r"takes tables \(n, d\) and images .*; got X of dict\."):
        shape_of_rows({"x": X})


@pytest.mark.parametrize("weighting", ["class", "uniform"])
def test_rows_without_a_shape(weighting):
    with pytest.raises(ValueError, match="For other data pass a torch module that returns logits"):
        quick("auto", weighting=weighting).fit({"x": X}, Y, {"x": X_META}, Y_META)


def test_what_was_fitted_can_be_initialized_anew():
    """Its size is known now."""
    net = quick("auto").fit(*DATA)
    fitted = weights(net)
    assert not np.array_equal(weights(net.initialize()), fitted)
    assert not net.module_.standardize.is_fitted
    net.partial_fit(X, Y, X_meta=X_META, y_meta=Y_META)
    assert net.module_.standardize.is_fitted
    wide = np.hstack([X, X]), Y, np.hstack([X_META, X_META]), Y_META
    assert net.fit(*wide).predict(wide[0]).shape == (48,)


def test_arguments_of_the_auto_module():
    with pytest.raises(ValueError, match=r"of MLP; got `module__n_classes`, `module__n_features`"):
        quick("auto", module__n_classes=3, module__n_features=4).fit(*DATA)
    with pytest.raises(ValueError, match=r"of MLP; got `module__X`, `module__row_shape`\. Those"):
        quick("auto", module__row_shape=(4,), module__X=1).fit(*DATA)
    with pytest.raises(ValueError, match=r"of MLP; got `module__hiden` \(did you mean `module__hi"):
        quick("auto", module__hiden=(3,)).fit(*DATA)
    with pytest.raises(ValueError, match=r"of MLP; got `module__n_features`. Those it takes are"):
        quick("auto", module__n_features=4).fit(*DATA)
    images = np.random.default_rng(0).normal(size=(60, 1, 4, 4))
    with pytest.raises(ValueError, match="must be arguments of SmallResNet; got `module__hidden`"):
        quick("auto", module__hidden=(3,)).fit(images[:48], Y, images[48:], Y_META)


# --- input scaling --------------------------------------------------------------------------------


def test_warm_start_trains_what_was_initialized():
    net = quick(MLP, module__n_features=4, module__n_classes=3, warm_start=True, lr=0.0)
    net.initialize()
    with torch.no_grad():
        net.module_.layers[0].weight.fill_(0.123)
    net.fit(*DATA)
    assert torch.equal(net.module_.layers[0].weight, torch.full((128, 4), 0.123))
    assert net.module_.standardize.is_fitted


def test_only_input_layers_are_scaled():
    inner = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), MLP(4, 3))
    assert not quick(inner).fit(*DATA).module_[2].standardize.is_fitted
    first = nn.Sequential(nn.Identity(), MLP(4, 3))
    assert quick(first).fit(*DATA).module_[1].standardize.is_fitted
