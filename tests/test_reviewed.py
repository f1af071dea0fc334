"""Mistakes that once slipped through: one test each."""

import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback
from torch import nn
from torch.utils.data import Dataset, Subset, TensorDataset
from torch.utils.data._utils.pin_memory import pin_memory

from classifier_cases import Net, blobs, quick
from skgdw import GDWClassifier
from skgdw._feed._dataset import Batch
from skgdw.exceptions import MetaScaleWarning
from skgdw.model_selection import split_meta
from skgdw.modules import MLP

X, Y, X_META, Y_META = blobs()
DATA = (X, Y, X_META, Y_META)
META = {"X_meta": X_META, "y_meta": Y_META}


@pytest.mark.parametrize(
    "params", [{"optimizer__momentum": 0.5}, {"weight_net_optimizer__lr": 0.01}], ids=str
)
def test_other_settings_leave_the_base_rate(params):
    net = quick(max_epochs=3, lr=0.1).fit(*DATA)
    net.set_params(**params).partial_fit(X, Y, **META)
    assert net.history[-1, "event_lr"] == pytest.approx(0.1)
    net.set_params(lr=0.02).partial_fit(X, Y, **META)
    assert net.history[-1, "event_lr"] == pytest.approx(0.02)


def test_warm_start_trains_what_was_initialized():
    net = quick(MLP, module__n_features=4, module__n_classes=3, warm_start=True, lr=0.0)
    net.initialize()
    with torch.no_grad():
        net.module_.layers[0].weight.fill_(0.123)
    net.fit(*DATA)
    assert torch.equal(net.module_.layers[0].weight, torch.full((128, 4), 0.123))
    assert net.module_.standardize.is_fitted


def table(load):
    X, y, X_meta, y_meta = split_meta(*load(return_X_y=True), 40, random_state=0)
    return X, y, X_meta, y_meta, StandardScaler().fit(X).transform


@pytest.mark.parametrize("load", [load_wine, load_breast_cancer])
@pytest.mark.parametrize("forgotten", ["X_meta", "X", None])
def test_one_of_the_sets_was_not_scaled(load, forgotten):
    X, y, X_meta, y_meta, scale = table(load)
    fit = GDWClassifier(max_epochs=0, verbose=0).fit
    rows = X if forgotten == "X" else scale(X)
    meta_rows = X_meta if forgotten == "X_meta" else scale(X_meta)
    if forgotten is None:
        fit(rows, y, meta_rows, y_meta)
    else:
        with pytest.warns(MetaScaleWarning, match=r"\d+ of \d+ columns have their middle far"):
            fit(rows, y, meta_rows, y_meta)


def test_labels_given_beside_a_dataset_count():
    dataset, meta = TensorDataset(as_tensor(X), as_tensor(Y)), as_tensor(X_META)
    names = np.array(["a", "b", "c"])
    net = quick(max_epochs=20).fit(
        dataset, names[(Y + 1) % 3], TensorDataset(meta), names[(Y_META + 1) % 3]
    )
    assert (net.predict(X) == names[(Y + 1) % 3]).mean() > 0.9


def as_tensor(array):
    return torch.as_tensor(array, dtype=torch.float32 if array.ndim > 1 else torch.int64)


def test_tables_with_large_offsets():
    generator = np.random.RandomState(0)
    y = np.arange(300) % 2
    X = np.c_[1.7e9 + 20 * y + generator.randn(300), np.ones(300)]
    net = GDWClassifier(max_epochs=30, batch_size=32, random_state=0, verbose=0)
    net.fit(X[:240], y[:240], X[240:], y[240:])
    assert net.score(X, y) > 0.95
    assert net.module_.layers[0].weight.dtype is torch.float32


def test_mapping_with_nan():
    bad = X_META.copy()
    bad[0, 0] = np.nan
    with pytest.raises(ValueError, match=r"`X_meta` must be finite; got NaN .* entries \['x'\]"):
        quick().fit({"x": X}, Y, {"x": bad}, Y_META)


class Keeps(Callback):
    def on_epoch_end(self, net, **kwargs):
        self.pickle_, self.copy_ = pickle.dumps(net), copy.deepcopy(net)


@pytest.mark.parametrize("weighting", ["class", "uniform"])
def test_a_net_can_be_kept_during_fit_without_its_rows(weighting):
    keeps = Keeps()
    marked = X.copy()
    marked[0] = 1.0 / 3
    quick(weighting=weighting, callbacks=[keeps]).fit(marked, Y, X_META, Y_META)
    assert np.full(4, 1.0 / 3, dtype=np.float32).tobytes() not in keeps.pickle_
    kept = pickle.loads(keeps.pickle_)
    np.testing.assert_array_equal(kept.predict_proba(X), keeps.copy_.predict_proba(X))
    assert not {"_call", "_session"} & vars(kept).keys()


def test_pinning_memory_keeps_a_batch_a_pair():
    rebuilt = Batch(part for part in (torch.ones(2, 2), torch.zeros(2)))
    assert torch.equal(rebuilt[0], torch.ones(2, 2))
    assert rebuilt.rows is None
    assert callable(pin_memory)  # which rebuilds tuples by their type


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.out = nn.Embedding(20, 6), nn.Linear(6, 3)

    def forward(self, X):
        return self.out(self.words(X).mean(1))


def test_integers_are_codes_to_an_embedding():
    codes = np.random.RandomState(0).randint(20, size=(60, 5))
    net = quick(Words).fit(codes[:48], Y, codes[48:], Y_META)
    assert net.predict(codes).shape == (60,)


class Ragged(Dataset):
    def __len__(self):
        return 30

    def __getitem__(self, index):
        return torch.ones(1 + index % 3, 4), index % 3


def pad(samples):
    rows = nn.utils.rnn.pad_sequence([x for x, _ in samples], batch_first=True)
    return rows.sum(1), torch.tensor([y for _, y in samples])


def test_collate_functions_are_asked_at_the_start_too():
    collate = {f"iterator_{part}__collate_fn": pad for part in ("train", "meta", "valid")}
    net = quick(classes=[0, 1, 2], batch_size=10, **collate)
    net.fit(Ragged(), None, Subset(Ragged(), range(9)), np.arange(9) % 3)
    assert np.isfinite(net.history[-1, "train_loss"])


def test_only_input_layers_are_scaled():
    inner = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), MLP(4, 3))
    assert not quick(inner).fit(*DATA).module_[2].standardize.is_fitted
    first = nn.Sequential(nn.Identity(), MLP(4, 3))
    assert quick(first).fit(*DATA).module_[1].standardize.is_fitted


@pytest.mark.parametrize("part", ["meta", "train"])
def test_bad_options_of_loaders_leave_nothing_fitted(part):
    net = quick(**{f"iterator_{part}__num_workers": -1})
    with pytest.raises(ValueError, match="num_workers"):
        net.fit(*DATA)
    assert not hasattr(net, "module_")


def test_meta_loader_that_runs_dry():
    with pytest.raises(ValueError, match="must give batches in every round"):
        quick(iterator_meta__sampler=iter(range(12)), max_epochs=9).fit(*DATA)


def test_empty_meta_dataset():
    empty = Subset(TensorDataset(as_tensor(X), as_tensor(Y)), [])
    with pytest.raises(ValueError, match="at least one row; got an empty meta set"):
        quick().fit(TensorDataset(as_tensor(X), as_tensor(Y)), Y, empty, Y_META[:0])


def test_weighting_net_optimizer_without_weight_decay():
    net = quick(weight_net_optimizer=torch.optim.Rprop).fit(*DATA)
    assert isinstance(net.weight_net_optimizer_, torch.optim.Rprop)


def test_criterion_instance_is_copied():
    criterion = nn.CrossEntropyLoss()
    net = quick(Net(), criterion=criterion).fit(*DATA)
    assert net.criterion_ is not criterion
