"""Keeping a classifier with skops: plain parts, and nothing to unpickle."""

import pickle

import numpy as np
import pytest
import skops.io
import torch
from skops.io.exceptions import UntrustedTypesFoundException

from classifier_cases import Net, blobs, quick
from saving_cases import TYPES, TYPES_OF_NET, through_pickle, through_skops
from skgdw import GDWClassifier
from skgdw.weighting import Weighting

DATA = blobs()
X, Y, X_META, Y_META = DATA


@pytest.mark.parametrize("side", [8, 18])
def test_images_in_skops(side):
    rng = np.random.default_rng(0)
    images = rng.normal(size=(12, 2, side, side)).astype(np.float32)
    net = quick("auto").fit(images, np.arange(12) % 3, images[:6] + 1, np.arange(6) % 3)
    again = through_skops(net)
    assert type(again.module_) is type(net.module_)
    assert np.array_equal(again.predict_proba(images), net.predict_proba(images))


def test_what_skops_asks_to_trust():
    data = skops.io.dumps(quick("auto").fit(*DATA))
    assert set(skops.io.get_untrusted_types(data=data)) == TYPES
    with pytest.raises(UntrustedTypesFoundException, match="GDWClassifier"):
        skops.io.loads(data)
    data = skops.io.dumps(quick(Net).fit(*DATA))
    assert set(skops.io.get_untrusted_types(data=data)) == TYPES_OF_NET


def test_parameters_that_skops_cannot_store_are_named():
    net = quick(Net(), criterion__weight=torch.ones(3)).fit(*DATA)
    with pytest.raises(TypeError, match=r"got objects for \['criterion__weight', 'module'\]"):
        skops.io.dumps(net)


@pytest.mark.parametrize("module", ["auto", Net])
def test_a_classifier_that_could_not_be_built_anew_is_not_written(module):
    net = quick(module).fit(*DATA)
    net.set_params(module__hidden=(3,) if module == "auto" else 3)
    with pytest.raises(ValueError, match=r"must build the networks(.|\n)*size mismatch(.|\n)*Fit"):
        skops.io.dumps(net)
    assert net.predict(X).shape == (48,)
    assert np.array_equal(through_pickle(net).predict_proba(X), net.predict_proba(X))


class Evil:
    ran = False

    def __reduce__(self):
        return setattr, (Evil, "ran", True)


def test_skops_never_unpickles(monkeypatch):
    """Who trusts the classifier's type does not trust bytes that stand where a pickle has them."""
    state = quick().fit(*DATA).__getstate__()
    safe = {k: state[k] for k in ("device", "_skgdw_version")}
    forged = {**safe, "__cuda_dependent_attributes__": pickle.dumps(Evil())}
    with monkeypatch.context() as patch:
        patch.setattr(GDWClassifier, "__getstate__", lambda net: forged)
        data = skops.io.dumps(quick())
    with pytest.raises(
        ValueError, match="must consist of plain parts; got one that hides a pickle"
    ):
        skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data))
    assert not Evil.ran
    pickle.loads(pickle.dumps(Evil()))
    assert Evil.ran


def test_half_precision_in_skops():
    net = quick().fit(*DATA)
    net.module_.to(torch.bfloat16)
    state = net.module_.state_dict()
    again = through_skops(net)
    for name, value in again.module_.state_dict().items():
        assert torch.equal(value.to(torch.bfloat16), state[name])


class Remembering(Weighting):
    """Has a memory of rows, made by fit."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(0.5))

    def start(self, n_rows, n_classes):
        self.register_buffer("seen", torch.zeros(n_rows, n_classes))

    def forward(self, evidence):
        return self.scale * torch.ones_like(evidence.losses).unsqueeze(1)

    def remember(self, evidence, pull):
        self.seen[evidence.rows] += 1


def test_a_memory_of_rows_goes_through_skops():
    net = quick(weighting=Remembering).fit(*DATA)
    again = through_skops(net)
    assert net.weighting_.seen.sum() > 0
    assert torch.equal(again.weighting_.seen, net.weighting_.seen)
    assert torch.equal(again.weighting_.scale, net.weighting_.scale)
