"""Errors in words of this package, where torch, numpy or scikit-learn speak of something else."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    Freezer,
    LRScheduler,
)
from skorch.dataset import ValidSplit
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau, StepLR

from classifier_cases import Net, blobs, quick
from skgdw import GDWClassifier

X, Y, X_META, Y_META = blobs()
WEIGHTINGS = ["class_pair", "class", "instance", "network", "uniform"]


def fit(net):
    return net.fit(X, Y, X_META, Y_META)


# --- modules that cannot be trained ---------------------------------------------------------------


class WithoutParameters(nn.Module):
    def forward(self, X):
        return X[:, :3]


class Detached(Net):
    def forward(self, X):
        return super().forward(X).detach()


class WithoutGradient(Net):
    @torch.no_grad()
    def forward(self, X):
        return super().forward(X)


def frozen():
    return Net().requires_grad_(False)


UNTRAINABLE = {
    "frozen": (
        frozen,
        {},
        "got Net with all 4 of them frozen. Leave those of its last layers free",
    ),
    "by a callback": (Net, {"callbacks": [Freezer("*")]}, "got Net with all 4 of them frozen"),
    "none": (WithoutParameters, {}, "got WithoutParameters without any. .*a layer that learns"),
    "detached": (Detached, {}, "what Detached returns has no gradient. Take .* out of `forward`"),
    "no_grad": (WithoutGradient, {}, "what WithoutGradient returns has no gradient"),
}


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("case", UNTRAINABLE)
def test_nothing_to_train(case, weighting):
    make, options, words = UNTRAINABLE[case]
    net = quick(make() if case == "frozen" else make, weighting=weighting, **options)
    with pytest.raises(ValueError, match=words):
        fit(net)
    assert not hasattr(net, "module_")


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_a_part_that_is_frozen_will_do(weighting):
    module = Net()
    module.layers[0].requires_grad_(False)
    assert fit(quick(module, weighting=weighting)).n_iter_ == 1


# --- rows that are no numbers ---------------------------------------------------------------------

FRAME = pd.DataFrame(X, columns=[*"abcd"])
TEXTS = {
    "frame": (
        FRAME.assign(b="u", d=pd.Timestamp("2020"), c=pd.Categorical(["v"] * 48)),
        "column 'd' .*, column 'b' .*, column 'c' ",
    ),
    "array": (
        np.array([["1", "u"], ["v", "2"]] * 24),
        "column 0, with texts .*'v', column 1, .*'u'",
    ),
    "objects": (np.array([[1, "u"]] * 48, dtype=object), "got column 1, with texts such as 'u'"),
    "lists": ([[1.0, "u"]] * 48, "got column 1, with texts such as 'u'"),
    "texts": (["a text"] * 48, "got texts such as 'a text'"),
    "series": (pd.Series(["a text"] * 48), "got texts such as 'a text'"),
    "dates": (np.full((48, 2), np.datetime64("2020")), "got an array of datetime64"),
}


@pytest.mark.parametrize("case", TEXTS)
@pytest.mark.parametrize("door", ["X", "X_meta", "predict"])
def test_texts_and_dates(case, door):
    given, found = TEXTS[case]
    net = quick(weighting="uniform")
    words = f"`{'X' if door == 'predict' else door}` must hold numbers; .*{found}.* Encode these"
    if door == "predict":
        net.fit(FRAME if case == "frame" else X, Y)
    with pytest.raises(TypeError, match=words):
        net.predict(given) if door == "predict" else net.fit(
            *((given, Y) if door == "X" else (FRAME if case == "frame" else X, Y, given, Y))
        )


SPARSE = {
    "csr": (sparse.csr_array, r"got a sparse csr_array. Pass X.toarray\(\).*sparse_output=False"),
    "coo": (sparse.coo_matrix, r"got a sparse coo_matrix. Pass X.toarray\(\)"),
    "tensor": (lambda X: torch.tensor(X).to_sparse(), r"a sparse tensor. Pass X.to_dense\(\)"),
    "frame": (
        lambda X: pd.DataFrame.sparse.from_spmatrix(sparse.csr_matrix(X)),
        r"got the sparse columns \[0, 1, 2, 3\]. Pass X.sparse.to_dense\(\)",
    ),
}


@pytest.mark.parametrize("case", SPARSE)
@pytest.mark.parametrize("door", ["fit", "predict"])
def test_sparse_rows(case, door):
    make, words = SPARSE[case]
    net = quick(weighting="uniform")
    if door == "predict":
        net.fit(X, Y)
    with pytest.raises(TypeError, match=f"`X` must be dense; .*{words}"):
        net.fit(make(X), Y) if door == "fit" else net.predict(make(X))


# --- arguments that are not the user's ------------------------------------------------------------


def test_what_the_data_set_is_named():
    net = GDWClassifier(module__n_features=4, module__n_classes=3, module__hiden=2, verbose=0)
    words = (
        r"`module__...` must be arguments of MLP; got `module__hiden` \(did you mean "
        r"`module__hidden`\?\), `module__n_classes`, `module__n_features`. .*"
        r"n_classes and n_features come of the data and of `fit`: leave them out"
    )
    with pytest.raises(ValueError, match=words):
        fit(net)
    with pytest.raises(ValueError, match="must be arguments of MLP; got `module__n_classes_`"):
        fit(GDWClassifier(module__n_classes_=3, verbose=0))


# --- callbacks that watch what is not recorded ----------------------------------------------------


class Reads(Callback):
    """As loggers do: reads figures of the last epoch."""

    def __init__(self, read):
        self.read = read

    def on_epoch_end(self, net, **kwargs):
        self.read(net.history)


WATCHING = {
    "EarlyStopping": lambda: (EarlyStopping(), "valid_loss"),
    "EarlyStopping of scores": lambda: (EarlyStopping("valid_acc"), "valid_acc"),
    "Checkpoint": lambda: (Checkpoint(), "valid_loss_best"),
    "plateau": lambda: (LRScheduler(ReduceLROnPlateau, monitor="valid_loss"), "valid_loss"),
    "plateau by name": lambda: (LRScheduler("ReduceLROnPlateau", monitor="valid_acc"), "valid_acc"),
    "epoch": lambda: (Reads(lambda history: history[-1]["valid_loss"]), "valid_loss"),
    "column": lambda: (Reads(lambda history: history[:, "valid_acc"]), "valid_acc"),
    "typo": lambda: (EarlyStopping("val_loss"), "val_loss"),
}  # fmt: skip


@pytest.mark.parametrize("case", WATCHING)
def test_figures_of_validation_rows_without_any(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    callback, figure = WATCHING[case]()
    name = type(callback).__name__
    words = (
        rf"must watch figures that are recorded, \[.*'train_loss'.*\]; got {name}.*'{figure}'"
        rf".*pass X_val and y_val to `fit`, or set `train_split`.*monitor=\"train_loss\""
    )
    with pytest.raises(ValueError, match=words):
        fit(quick(callbacks=[callback]))
    if case != "typo":
        assert fit(quick(callbacks=[callback], train_split=ValidSplit(3))).n_iter_ == 1
        val = {"X_val": X[:20] + 0.1, "y_val": Y[:20]}
        assert quick(callbacks=[callback]).fit(X, Y, X_META, Y_META, **val).n_iter_ == 1


def test_all_that_watch_them_are_named():
    callbacks = [EarlyStopping(), Checkpoint(monitor="valid_acc_best")]
    words = r"EarlyStopping\(monitor='valid_loss'\), Checkpoint\(monitor='valid_acc_best'\)\."
    with pytest.raises(ValueError, match=words):
        fit(quick(callbacks=callbacks))


def test_a_typo_is_told_beside_validation_rows_too():
    net = quick(callbacks=[EarlyStopping("val_loss")], train_split=ValidSplit(3))
    with pytest.raises(ValueError, match=r"recorded, .*'valid_loss'.*monitor='val_loss'"):
        fit(net)


def test_what_watches_the_training_rows_is_left_alone(tmp_path):
    callbacks = [
        EarlyStopping("train_loss"), LRScheduler(StepLR, step_size=2, monitor="valid_loss"),
        Checkpoint(monitor=None, dirname=str(tmp_path)),
    ]  # fmt: skip
    assert fit(quick(callbacks=callbacks)).n_iter_ == 1
    judged = quick(callbacks=[EarlyStopping("keep_best_score")], keep_best=True)
    assert fit(judged).n_iter_ == 1
