"""`Probabilities`: what `predict_proba` computes, as a module."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from torch import nn

from classifier_cases import Data, Net, blobs, quick, weights
from skgdw import GDWClassifier
from skgdw.modules import Probabilities

DATA = blobs()
ROWS = torch.as_tensor(DATA.X, dtype=torch.float32)


def by(net, X=ROWS):
    return Probabilities(net)(X).numpy()


@pytest.mark.parametrize("class_prior", ["meta", "train", [0.9, 0.05, 0.05]])
def test_probabilities_are_those_of_the_classifier(class_prior):
    net = quick("auto", weighting="class_pair", max_epochs=2, class_prior=class_prior).fit(*DATA)
    np.testing.assert_allclose(by(net), net.predict_proba(DATA.X), rtol=1e-5, atol=1e-9)
    others = net.set_params(class_prior=[0.1, 0.1, 0.8]).predict_proba(DATA.X)
    np.testing.assert_allclose(by(net), others, rtol=1e-5, atol=1e-9)


class Narrow(Net):
    def __init__(self):
        super().__init__()
        self.bfloat16()


class Pair(Net):
    def forward(self, X):
        return super().forward(X), X


class Listed(Net):
    def forward(self, X):
        return [super().forward(X), X]


class Softmaxed(Net):
    def forward(self, X):
        return super().forward(X).softmax(dim=1)


class Named(Net):
    def forward(self, left, right):
        return super().forward(torch.cat([left, right], dim=1))


@pytest.mark.parametrize("module", [Net, Pair, Listed, Narrow])
def test_the_first_output_counts(module):
    net = quick(module).fit(*DATA)
    X = ROWS.bfloat16() if module is Narrow else ROWS
    np.testing.assert_allclose(by(net, X), net.predict_proba(DATA.X), rtol=1e-5, atol=1e-7)
    assert by(net, X).dtype == np.float32


def test_what_turns_outputs_into_probabilities_is_the_nets():
    net = quick(Softmaxed, weighting="uniform", criterion=nn.NLLLoss).fit(*DATA)
    np.testing.assert_allclose(by(net), net.predict_proba(DATA.X), rtol=1e-5)
    before = by(net)
    net.set_params(predict_nonlinearity=torch.square)
    np.testing.assert_allclose(by(net), net.predict_proba(DATA.X), rtol=1e-5)
    np.testing.assert_allclose(by(net), before**2, rtol=1e-5)


def test_inputs_under_several_names():
    X, meta = ({"left": x[:, :1], "right": x[:, 1:]} for x in (DATA.X, DATA.X_meta))
    X, meta = ({k: v.astype(np.float32) for k, v in x.items()} for x in (X, meta))
    net = quick(Named).fit(*Data(X, DATA.y, meta, DATA.y_meta))
    tensors = {name: torch.from_numpy(values) for name, values in X.items()}
    np.testing.assert_allclose(by(net, tensors), net.predict_proba(X), rtol=1e-5)


def test_tables_in_double_precision_are_scaled_before_they_are_rounded():
    X, meta = DATA.X + 1.7e9, DATA.X_meta + 1.7e9
    net = quick("auto", max_epochs=2).fit(X, DATA.y, meta, DATA.y_meta)
    np.testing.assert_allclose(by(net, torch.from_numpy(X)), net.predict_proba(X), rtol=1e-5)


def test_it_is_a_copy():
    net = quick(nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3))).fit(*DATA)
    net.module_.train()
    before, parameters = net.predict_proba(DATA.X), weights(net)
    module = Probabilities(net)
    assert not any(part.training for part in module.modules())
    assert not any(parameter.requires_grad for parameter in module.parameters())
    assert all(parameter.requires_grad for parameter in net.module_.parameters())
    net.partial_fit(*DATA[:2], X_meta=DATA.X_meta, y_meta=DATA.y_meta)
    assert not np.array_equal(weights(net), parameters)
    np.testing.assert_allclose(module(ROWS).numpy(), before, rtol=1e-5)


def test_it_can_be_pickled_and_loaded():
    net = quick("auto", weighting="class_pair", class_prior="train").fit(*DATA)
    module = Probabilities(net)
    again = pickle.loads(pickle.dumps(module))
    assert torch.equal(again(ROWS), module(ROWS))
    assert set(module.state_dict()) >= {"shares"}


def test_it_takes_a_fitted_classifier_only():
    with pytest.raises(NotFittedError, match="not fitted yet"):
        Probabilities(GDWClassifier())
    with pytest.raises(
        TypeError, match=r"must be a fitted GDWClassifier; got Pipeline.*pipe\[-1\]"
    ):
        Probabilities(make_pipeline(quick()))
