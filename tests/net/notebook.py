"""A notebook, as a script: its classes are known to this process alone.

``python notebook.py FOLDER`` searches with two processes, and leaves fitted classifiers in FOLDER
for another process to read. `test_pickle.py` runs it.
"""

import enum
import pathlib
import sys
import types

import cloudpickle
import numpy as np
import torch
from sklearn.model_selection import GridSearchCV, cross_validate
from torch import nn

from classifier_cases import blobs
from skgdw import GDWClassifier

X, Y, X_META, Y_META = blobs()
META = {"X_meta": (X_META,), "y_meta": (Y_META,)}


class Kind(enum.Enum):
    SMALL = 6


class Body(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, Kind.SMALL.value)

    def forward(self, X):
        return torch.relu(self.first(X))


class Net(nn.Module):
    """Holds what pickle finds by no name, and one part under two names."""

    def __init__(self, imports=False):
        super().__init__()
        self.kind, self.body = Kind.SMALL, Body()
        self.out = self.same = nn.Linear(6, 3)
        self.scaled = lambda logits: 0.5 * logits
        # deepcopy, and so clone, cannot do instances with a module of Python's
        self.functions = nn.functional if imports else None
        self.own = self.as_it_is

    def as_it_is(self, logits):
        return logits

    def forward(self, X):
        return self.own(self.scaled(self.same(self.body(X))))


def doubled(net, X):
    return 2 * net.out(net.body(X))


class Loss(nn.CrossEntropyLoss):
    pass


class RowWeights(nn.Module):
    def __init__(self):
        super().__init__()
        self.middle = nn.Parameter(torch.ones(()))

    def forward(self, losses):
        return torch.sigmoid(self.middle - losses)


class Descent(torch.optim.SGD):
    pass


def candidates():
    changed = Net()
    changed.forward = types.MethodType(doubled, changed)
    return {
        "instances": {"module": changed, "criterion": Loss(), "weight_net": RowWeights()},
        "classes": {
            "module": Net,
            "module__imports": True,
            "criterion": Loss,
            "weight_net": RowWeights,
            "optimizer": Descent,
            "optimizer__momentum": 0.5,
        },
    }


def main(folder):
    for name, params in candidates().items():
        net = GDWClassifier(**params, max_epochs=1, verbose=0, random_state=0)
        options = {"cv": 2, "error_score": "raise"}
        grid = {"meta_lr": [0.3]}
        found = GridSearchCV(net, grid, n_jobs=2, **options).fit(X, Y, **META)
        alone = GridSearchCV(net, grid, **options).fit(X, Y, **META)
        for split in range(2):
            key = f"split{split}_test_score"
            assert np.array_equal(found.cv_results_[key], alone.cv_results_[key]), name

        fitted = found.best_estimator_
        again = cloudpickle.loads(cloudpickle.dumps(fitted))
        assert type(again.module_) is Net
        assert np.array_equal(again.predict_proba(X), fitted.predict_proba(X)), name
        parameters = [p for group in again.optimizer_.param_groups for p in group["params"]]
        assert {*map(id, parameters)} == {*map(id, again.module_.parameters())}
        assert {*map(id, again.optimizer_.state)} <= {*map(id, parameters)}
        assert again.optimizer_.state
        assert again.module_.out is again.module_.same

        # A fitted classifier travels too, there and back.
        sent = cross_validate(again, X, Y, params=META, n_jobs=2, return_estimator=True, **options)[
            "estimator"
        ]
        assert [type(each.module_) for each in sent] == [Net, Net]
        for each in (again, fitted):
            each.partial_fit(X, Y, X_meta=X_META, y_meta=Y_META)
        expected = fitted.predict_proba(X)
        assert np.array_equal(again.predict_proba(X), expected), name
        (folder / name).with_suffix(".pkl").write_bytes(cloudpickle.dumps(again))
        np.save(folder / f"{name}.npy", expected)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
