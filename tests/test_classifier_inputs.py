"""What may come as X, and what may come as the module."""

import copy
import functools

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset, WeightedRandomSampler

from classifier_cases import DropoutNet, Net, Rows, blobs, quick, weights
from skgdw import GDWClassifier

DATA = blobs()
X, Y, X_META, Y_META = DATA
X32, X_META32 = X.astype(np.float32), X_META.astype(np.float32)


def fit_as(wrap, *, net=None, rows=X32, meta=X_META32):
    """Fit on wrapped rows and predict for wrapped rows."""
    net = quick(max_epochs=2) if net is None else net
    net.fit(wrap(rows), Y, wrap(meta), Y_META)
    return weights(net), net.predict_proba(wrap(rows))


def read_only(rows):
    rows = rows.copy()
    rows.flags.writeable = False
    return rows


def strided(rows):
    return np.repeat(rows, 2, axis=0)[::2]


CONTAINERS = {
    "float64": lambda a: a.astype(np.float64),
    "float16 columns upcast": lambda a: np.asfortranarray(a),
    "list": lambda a: a.tolist(),
    "list of arrays": list,
    "list of tensors": lambda a: [torch.from_numpy(row) for row in a],
    "read-only": read_only,
    "strided": strided,
    "reversed twice": lambda a: a[::-1].copy()[::-1],
    "big-endian": lambda a: a.astype(">f4"),
    "tensor": torch.from_numpy,
    "double tensor": lambda a: torch.from_numpy(a).double(),
    "tensor with a graph": lambda a: torch.from_numpy(a.copy()).requires_grad_() * 1,
    "object": lambda a: a.astype(object),
    "frame": lambda a: pd.DataFrame(a, columns=[*"abcd"]),
    "frame without names": pd.DataFrame,
    "frame of objects": lambda a: pd.DataFrame(a, columns=[*"abcd"]).astype(object),
}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_containers_of_one_table_train_the_same(kind):
    expected, probability = fit_as(np.asarray)
    found, found_probability = fit_as(CONTAINERS[kind])
    assert np.array_equal(found, expected)
    assert np.array_equal(found_probability, probability)


def test_memory_map(tmp_path):
    for name, rows in {"X": X32, "X_meta": X_META32, "y": Y, "y_meta": Y_META}.items():
        np.save(tmp_path / f"{name}.npy", rows)
    mapped = {path.stem: np.load(path, mmap_mode="r") for path in tmp_path.iterdir()}
    net = quick(max_epochs=2).fit(mapped["X"], mapped["y"], mapped["X_meta"], mapped["y_meta"])
    assert np.array_equal(weights(net), fit_as(np.asarray)[0])
    assert net.predict(mapped["X"]).shape == (48,)


def test_frames_give_feature_names():
    names = ["a", "b", "c", "d"]
    frame, meta = pd.DataFrame(X, columns=names), pd.DataFrame(X_META, columns=names)
    net = quick().fit(frame, Y, meta, Y_META)
    assert net.feature_names_in_.tolist() == names
    assert net.n_features_in_ == 4
    with pytest.raises(ValueError, match="Feature names must be in the same order"):
        net.predict(frame[names[::-1]])
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        net.predict(X)
    net.fit(*DATA)
    assert not hasattr(net, "feature_names_in_")


def test_frame_of_many_dtypes():
    frame = pd.DataFrame(
        {"a": X[:, 0], "b": (X[:, 1] > 0), "c": X[:, 2].round().astype(int), "d": X32[:, 3]}
    )
    frame["b"] = frame["b"].astype("boolean")
    frame["c"] = frame["c"].astype("Int64")
    net = quick().fit(frame[12:], Y[12:], frame[:12], Y[:12])
    assert net.predict(frame).shape == (48,)


def test_inputs_are_left_as_they_are():
    frame = pd.DataFrame(X, columns=[*"abcd"])
    given = [X.copy(), Y.copy(), X_META.copy(), Y_META.copy()]
    before = copy.deepcopy(given)
    quick().fit(*given)
    net = quick().partial_fit(given[0], given[1], X_meta=given[2], y_meta=given[3])
    net.predict(given[0])
    assert all(np.array_equal(a, b) for a, b in zip(given, before, strict=True))
    tensor = torch.tensor(X32)
    quick().fit(tensor, Y, X_META, Y_META).predict(tensor)
    assert torch.equal(tensor, torch.tensor(X32))
    quick().fit(frame, Y, frame[:6] + 0.01, Y[:6])
    assert np.array_equal(frame.to_numpy(), X)


class Spoiler(Net):
    """Writes into its inputs."""

    def forward(self, X):
        return super().forward(X.mul_(0.5))


def test_a_module_that_writes_into_its_inputs_does_not_reach_the_callers_arrays():
    rows, meta = X32.copy(), X_META32.copy()
    net = quick(Spoiler, weighting="uniform").fit(rows, Y, meta, Y_META)
    net.predict(rows)
    assert np.array_equal(rows, X32)
    assert np.array_equal(meta, X_META32)


# --- modules --------------------------------------------------------------------------------------


def test_module_class_with_parameters():
    net = quick(module__hidden=3, module__n_features=4).fit(*DATA)
    assert net.module_.layers[0].weight.shape == (3, 4)


def test_module_instance_is_copied():
    own = Net()
    before = copy.deepcopy(own.state_dict())
    net = quick(own).fit(*DATA)
    assert net.module_ is not own
    assert net.module is own
    for name, value in own.state_dict().items():
        assert torch.equal(value, before[name])
        assert not torch.equal(net.module_.state_dict()[name], value)
    assert own.training
    assert all(p.grad is None for p in own.parameters())
    first = weights(net)
    assert np.array_equal(weights(net.fit(*DATA)), first)


def test_module_instance_with_parameters_is_built_anew():
    net = quick(Net(hidden=8), module__hidden=3).fit(*DATA)
    assert net.module_.layers[0].weight.shape == (3, 4)


def test_refit_starts_afresh():
    net = quick().fit(*DATA)
    first = weights(net)
    net.fit(*DATA)
    assert len(net.history) == 1
    assert np.array_equal(weights(net), first)


def test_module_in_a_pipeline_of_float64():
    pipe = make_pipeline(StandardScaler(), quick(weighting="uniform", max_epochs=25))
    assert pipe.fit(X, Y).score(X, Y) > 0.8


def test_frozen_parameters_stay():
    own = Net()
    own.layers[0].requires_grad_(False)
    net = quick(own).fit(*DATA)
    assert torch.equal(net.module_.layers[0].weight, own.layers[0].weight)
    assert not torch.equal(net.module_.layers[2].weight, own.layers[2].weight)


@pytest.mark.parametrize("batch_size", [7, 47, 48, 1000, -1])
def test_batch_statistics_of_any_batch_size(batch_size):
    module = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3))
    net = quick(module, batch_size=batch_size).fit(*DATA)
    sizes = [batch["train_batch_size"] for batch in net.history[-1, "batches"]]
    assert sum(sizes) == 48
    assert 1 not in sizes


@pytest.mark.parametrize("method", ["forward", "difference", "unrolled"])
def test_every_meta_gradient(method):
    net = quick(DropoutNet, meta_gradient=method).fit(*DATA)
    assert net.meta_gradient_ == method


# --- mappings and Datasets ------------------------------------------------------------------------


class TwoInputs(Net):
    def forward(self, left, right):
        return super().forward(torch.cat([left, right], dim=1))


def mapping(rows):
    return {"left": rows[:, :2], "right": rows[:, 2:]}


def test_mapping():
    expected, probability = fit_as(np.asarray)
    found, found_probability = fit_as(mapping, net=quick(TwoInputs, max_epochs=2))
    assert np.array_equal(found, expected)
    assert np.array_equal(found_probability, probability)


def test_mapping_of_float64_and_of_tensors():
    expected = fit_as(mapping, net=quick(TwoInputs))[0]
    doubles = fit_as(mapping, net=quick(TwoInputs), rows=X32.astype(float), meta=X_META32 * 1.0)[0]
    tensors = fit_as(lambda a: mapping(torch.tensor(a)), net=quick(TwoInputs))[0]
    assert np.array_equal(doubles, expected)
    assert np.array_equal(tensors, expected)


def test_mapping_with_a_mask_and_with_rows_taken_out():
    net = quick(TwoInputs).fit(mapping(X32), Y, meta_mask=np.arange(48) < 12)
    assert np.isnan(net.row_weights_).sum() == 12
    with pytest.warns(match="No meta set was given: 5 of the 48 rows"):
        net = quick(TwoInputs).fit(mapping(X32), Y)
    assert np.isnan(net.row_weights_).sum() == 5


@pytest.mark.parametrize("kind", [Rows, lambda X, y: TensorDataset(*map(torch.tensor, (X, y)))])
def test_dataset_with_its_labels(kind):
    net = quick(classes=[0, 1, 2], max_epochs=12, batch_size=12)
    net.fit(kind(X32, Y), None, kind(X_META32, Y_META), Y_META)
    assert net.score(kind(X32, Y), Y) > 0.9
    assert net.predict(X).shape == (48,)
    assert {"weight_given", "weight_other", "meta_loss"} <= set(net.history[-1])


@pytest.mark.parametrize("weighting", ["class", "uniform"])
def test_dataset_beside_labels(weighting):
    """y gives the classes; what is trained on must be the same labels."""
    names = np.array(["ox", "cat", "dog"])
    net = quick(weighting=weighting, max_epochs=12, batch_size=12)
    codes = np.searchsorted(np.sort(names), names[Y])
    meta_codes = np.searchsorted(np.sort(names), names[Y_META])
    net.fit(Rows(X32, codes), names[Y], Rows(X_META32, meta_codes), names[Y_META])
    assert net.classes_.tolist() == sorted(names)
    assert net.score(X, names[Y]) > 0.9


def test_dataset_with_a_mask():
    net = quick(classes=[0, 1, 2]).fit(Rows(X32, Y), meta_mask=np.arange(48) < 12)
    sizes = [batch["train_batch_size"] for batch in net.history[-1, "batches"]]
    assert sum(sizes) == 36


class CountingLoader(DataLoader):
    made = 0

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        type(self).made += 1


def test_own_data_loaders():
    CountingLoader.made = 0
    net = quick(iterator_train=CountingLoader, iterator_meta=CountingLoader).fit(*DATA)
    assert CountingLoader.made == 2
    assert np.array_equal(weights(net), weights(quick().fit(*DATA)))


def test_loader_options_reach_the_loader():
    net = quick(iterator_train__shuffle=False, iterator_train__batch_size=5).fit(*DATA)
    assert [batch["train_batch_size"] for batch in net.history[-1, "batches"]] == [5] * 9 + [3]


def test_loader_that_drops_the_last_batch():
    net = quick(iterator_train__batch_size=5, iterator_train__drop_last=True).fit(*DATA)
    assert [batch["train_batch_size"] for batch in net.history[-1, "batches"]] == [5] * 9
    assert np.isnan(net.row_weights_).sum() == 3


def test_loader_with_a_sampler_of_its_own():
    sampler = WeightedRandomSampler((Y == 0).astype(float), num_samples=30)
    net = quick(iterator_train__sampler=sampler, iterator_train__shuffle=False).fit(*DATA)
    assert sum(batch["train_batch_size"] for batch in net.history[-1, "batches"]) == 30
    assert np.isnan(net.row_weights_[Y != 0]).all()


def test_meta_loader_that_ends():
    """A sampler makes each pass finite; the meta batches go round all the same."""
    sampler = WeightedRandomSampler([1.0] * 12, num_samples=4)
    net = quick(batch_size=8, iterator_meta__sampler=sampler, iterator_meta__shuffle=False).fit(
        *DATA
    )
    assert len(net.history[-1, "batches", :, "meta_loss"]) == 6


def every_other(dataset, batch_size, shuffle):
    """Go through every second row: an iterator that is no DataLoader."""
    rows = torch.arange(0, len(dataset), 2)
    return [dataset[part] for part in rows.split(batch_size)]


def test_iterator_that_is_no_loader():
    net = quick(batch_size=8, iterator_train=every_other, iterator_meta=every_other).fit(*DATA)
    assert [batch["train_batch_size"] for batch in net.history[-1, "batches"]] == [8] * 3
    assert np.isnan(net.row_weights_[1::2]).all()
    assert not np.isnan(net.row_weights_[::2]).any()


def test_default_estimator_on_a_raw_table():
    data = blobs(120, 30)
    net = GDWClassifier(verbose=0, random_state=0).fit(*data)
    assert net.score(data.X, data.y) > 0.95


def test_labels_given_beside_a_dataset_count():
    dataset = TensorDataset(torch.as_tensor(X, dtype=torch.float32), torch.as_tensor(Y))
    meta = torch.as_tensor(X_META, dtype=torch.float32)
    names = np.array(["a", "b", "c"])
    net = quick(max_epochs=20).fit(
        dataset, names[(Y + 1) % 3], TensorDataset(meta), names[(Y_META + 1) % 3]
    )
    assert (net.predict(X) == names[(Y + 1) % 3]).mean() > 0.9


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


@pytest.mark.parametrize("part", ["iterator_train", "iterator_valid", "iterator_meta"])
def test_loaders_with_settings_and_generators_of_the_users(part):
    loader = functools.partial(torch.utils.data.DataLoader, num_workers=0)
    plain = quick("auto").fit(*DATA)
    partial = quick("auto", **{part: loader}).fit(*DATA)
    np.testing.assert_allclose(partial.predict_proba(X), plain.predict_proba(X), rtol=1e-4)
    net = quick("auto", **{f"{part}__generator": torch.Generator().manual_seed(5)}).fit(*DATA)
    assert net.predict(X).shape == (len(X),)
