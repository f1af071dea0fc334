"""From checked rows to batches of the module's dtype."""

import functools

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, TensorDataset

from classifier_cases import Net, blobs, quick, weights

DATA = blobs()
X, Y, X_META, Y_META = DATA


def test_bfloat16_tensor():
    net = quick().fit(torch.tensor(X).bfloat16(), Y, torch.tensor(X_META).bfloat16(), Y_META)
    assert net.predict(torch.tensor(X).bfloat16()).shape == (48,)


@pytest.mark.filterwarnings("ignore::skgdw.exceptions.MetaOverlapWarning")  # few values of bool
@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint8, np.float16, bool])
def test_numbers_of_other_dtypes_are_read_as_float32(dtype):
    top = 2 if dtype is bool else 100
    numbers = np.random.default_rng(0).integers(0, top, size=(60, 4)).astype(dtype)
    rows, meta = numbers[:48], numbers[48:]
    net = quick().fit(rows, Y, meta, Y_META)
    assert next(net.module_.parameters()).dtype is torch.float32
    expected = quick().fit(rows.astype(np.float32), Y, meta.astype(np.float32), Y_META)
    assert np.array_equal(weights(net), weights(expected))
    assert np.array_equal(net.predict(rows), expected.predict(rows.astype(np.float32)))


def test_float64_module():
    net = quick(Net().double(), meta_gradient="forward").fit(*DATA)
    parameters = [*net.module_.parameters(), *net.weight_net_.parameters()]
    assert {p.dtype for p in parameters} == {torch.float64}
    assert net.predict_proba(X).dtype == np.float64
    # In double precision: rows that float32 cannot tell apart differ.
    apart = X[:1] * (1 + 1e-12)
    assert not np.array_equal(net.predict_proba(apart), net.predict_proba(X[:1]))


def test_float64_module_class():
    class Doubles(Net):
        def __init__(self):
            super().__init__()
            self.double()

    net = quick(Doubles).fit(*DATA)
    assert net.predict_proba(X).dtype == np.float64
    net.partial_fit(X, Y, X_meta=X_META, y_meta=Y_META)
    assert len(net.history) == 2


class Dates(Net):
    """Takes columns that float32 cannot resolve, such as times in nanoseconds."""

    def forward(self, X):
        return super().forward(X - 1e12)


def test_float64_module_keeps_what_float32_would_round():
    rows, meta = 1e12 + X, 1e12 + X_META
    net = quick(Dates().double(), max_epochs=12, batch_size=12).fit(rows, Y, meta, Y_META)
    assert net.score(rows, Y) > 0.9


def by_a_function(dataset, **options):
    return torch.utils.data.DataLoader(dataset, **options)


@pytest.mark.parametrize("weighting", ["class_pair", "uniform"])
def test_iterators_may_be_functions(weighting):
    names = ("iterator_train", "iterator_valid", "iterator_meta")
    params = {"weighting": weighting, "batch_size": 12, "max_epochs": 2}
    own = quick(**params, **dict.fromkeys(names, by_a_function), iterator_train__shuffle=False)
    plain = quick(**params, iterator_train__shuffle=False)
    own.fit(*DATA)
    plain.fit(*DATA)
    assert own.predict(X).shape == (48,)
    assert (own.row_ledger_["times_seen"] == 2).all()
    if weighting == "uniform":
        assert np.array_equal(weights(own), weights(plain))


BOUND = {
    "train": {"batch_size": 12, "shuffle": False},
    "valid": {"batch_size": 7, "num_workers": 0},
    "meta": {"batch_size": 5, "shuffle": False},
}


@pytest.mark.parametrize("part", BOUND)
def test_what_a_partial_binds_is_as_if_it_was_set(part):
    name, options = f"iterator_{part}", BOUND[part]
    bound = quick(**{name: functools.partial(torch.utils.data.DataLoader, **options)}).fit(*DATA)
    plain = quick(**{f"{name}__{key}": value for key, value in options.items()}).fit(*DATA)
    assert np.array_equal(weights(bound), weights(plain))
    assert np.array_equal(bound.predict_proba(X), plain.predict_proba(X))


def test_what_is_set_counts_more_than_what_a_partial_binds():
    loader = functools.partial(torch.utils.data.DataLoader, batch_size=12)
    net = quick(iterator_train=loader, iterator_train__batch_size=24).fit(*DATA)
    assert net.history[-1, "train_batch_count"] == 2


def test_a_plain_data_loader_takes_what_get_dataset_returns():
    net = quick().fit(*DATA)
    loader = torch.utils.data.DataLoader(net.get_dataset(X.astype(np.float32), Y), batch_size=10)
    batches = list(loader)
    assert [tuple(part.shape) for part in batches[0]] == [(10, 4), (10,)]
    assert torch.equal(torch.cat([y for _, y in batches]), torch.as_tensor(Y))


def test_the_loader_of_training_can_be_had_outside_of_a_fit():
    built = quick(classes=[0, 1, 2]).initialize()
    for net in (built, quick().fit(*DATA)):
        loader = net.get_iterator(net.get_dataset(X.astype(np.float32), Y), training=True)
        rows, labels = next(iter(loader))
        assert len(rows) == len(labels) == 48


class Alone(Dataset):
    """Gives what `item` makes of a row, without its label."""

    def __init__(self, rows, item):
        self.rows, self.item = torch.tensor(rows, dtype=torch.float32), item

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        return self.item(self.rows[i])


ITEMS = {
    "TensorDataset": lambda rows: TensorDataset(torch.tensor(rows, dtype=torch.float32)),
    "tensors": lambda rows: Alone(rows, lambda row: row),
    "lists": lambda rows: Alone(rows, lambda row: [row]),
    "mappings of two": lambda rows: Alone(rows, lambda row: {"left": row[:2], "right": row[2:]}),
    "triples": lambda rows: Alone(rows, lambda row: (row, 0, 1.0)),
}


class InHalves(Net):
    def forward(self, left, right):
        return super().forward(torch.cat([left, right], dim=1))


@pytest.mark.parametrize("kind", ITEMS)
def test_datasets_without_labels_are_predicted_as_they_are_trained_on(kind):
    of, module = ITEMS[kind], InHalves if kind == "mappings of two" else Net
    net = quick(module).fit(of(X), Y, of(X_META), Y_META)
    expected = quick().fit(np.float32(X), Y, np.float32(X_META), Y_META)
    assert np.array_equal(weights(net), weights(expected))
    for way in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        assert np.array_equal(getattr(net, way)(of(X)), getattr(expected, way)(X))
    assert net.score(of(X), Y) == expected.score(X, Y)
    assert net.partial_fit(of(X), Y, X_meta=of(X_META), y_meta=Y_META).score(of(X), Y) >= 0


def test_a_score_without_labels():
    net = quick(weighting="uniform").fit(X, Y)
    with pytest.raises(ValueError, match="`y` must have a label in every row; got 48 missing"):
        net.score(ITEMS["TensorDataset"](X))
