"""Embeddings with sparse gradients, which torch's fused steps and weight decay do not take."""

import numpy as np
import pytest
from torch import nn
from torch.optim import Adam

from classifier_cases import quick

RNG = np.random.default_rng(0)
Y = np.arange(96) % 3
X = np.column_stack([Y, RNG.integers(3, 12, size=(96, 4))])
DATA = (X[:72], Y[:72], X[72:], Y[72:])


class Words(nn.Module):
    def __init__(self, sparse=True, kind=nn.Embedding):
        super().__init__()
        self.table, self.head = kind(20, 8, sparse=sparse), nn.Linear(8, 3)

    def forward(self, X):
        found = self.table(X)
        return self.head(found if isinstance(self.table, nn.EmbeddingBag) else found.mean(1))


@pytest.mark.parametrize("weighting", ["class_pair", "class", "instance", "network", "uniform"])
@pytest.mark.parametrize("params", [{}, {"optimizer": Adam, "lr": 0.01}], ids=["sgd", "adam"])
@pytest.mark.parametrize(
    ("kind", "meta_gradient"),
    [
        (nn.Embedding, "auto"),
        (nn.Embedding, "unrolled"),
        (nn.Embedding, "difference"),
        (nn.EmbeddingBag, "difference"),
    ],
    ids=["forward", "unrolled", "difference", "bag"],
)
def test_they_learn_what_others_do(kind, meta_gradient, params, weighting):
    given = {"weighting": weighting, "meta_gradient": meta_gradient, "module__kind": kind, **params}
    sparse, dense = (
        quick(Words, module__sparse=s, max_epochs=3, batch_size=16, **given).fit(*DATA)
        for s in (True, False)
    )
    np.testing.assert_allclose(sparse.predict_proba(X), dense.predict_proba(X), atol=1e-6)


def test_fine_tuning_too():
    params = {"weighting": "uniform", "fine_tune": True, "max_epochs": 2}
    sparse, dense = (quick(Words, module__sparse=s, **params).fit(*DATA) for s in (True, False))
    np.testing.assert_allclose(sparse.predict_proba(X), dense.predict_proba(X), atol=1e-6)
