"""Labels of any kind through every door: what enters is encoded, what leaves is the user's.

A door is a way in which labels reach the classifier, or a score is made of them during an epoch.
For every kind of labels and every door the recorded score is the true one.
"""

from typing import Any, NamedTuple

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, make_scorer
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import BatchScoring, EarlyStopping, EpochScoring
from skorch.dataset import Dataset as SkorchDataset
from skorch.dataset import ValidSplit
from skorch.helper import predefined_split
from torch.utils.data import Dataset, Subset

from classifier_cases import Net, blobs, quick
from skgdw.model_selection import trusted_scorer

pytestmark = pytest.mark.filterwarnings("ignore::skgdw.exceptions.ClassOrderWarning")


class Kind(NamedTuple):
    """Labels in the order of the codes, and the order in which `classes=` names them."""

    labels: np.ndarray
    order: tuple[int, ...] = (0, 1, 2)


KINDS = {
    "0-based": Kind(np.array([0, 1, 2])),
    "1-based": Kind(np.array([1, 2, 3])),
    "gaps": Kind(np.array([0, 4, 9])),
    "negative": Kind(np.array([-1, 0, 1])),
    "bool": Kind(np.array([False, True]), (0, 1)),
    "float": Kind(np.array([0.0, 1.0, 2.0])),
    "floats from 1": Kind(np.array([1.0, 2.0, 3.0])),
    "short": Kind(np.array([0, 1, 2], dtype=np.uint8)),
    "str": Kind(np.array(["ash", "elm", "oak"])),
    "object": Kind(np.array(["ash", "elm", "oak"], dtype=object)),
    "permuted": Kind(np.array([0, 1, 2]), (2, 0, 1)),
    "permuted str": Kind(np.array(["ash", "elm", "oak"]), (1, 2, 0)),
}


class Pairs(Dataset):
    """A Dataset of a user's, with labels as they are."""

    def __init__(self, X, y):
        self.rows, self.labels = X, y

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        return self.rows[i], self.labels[i]


class Given(NamedTuple):
    """Rows with labels of a kind; those of validation lack the first class in the order."""

    X: Any
    y: Any
    X_val: Any
    y_val: Any
    classes: Any
    some: Any

    def net(self, **params):
        module = {"module__n_classes": len(self.classes), "weighting": "uniform", "batch_size": 12}
        return quick(Net, **{**module, "max_epochs": 3, **params}, classes=self.classes)

    def truth(self, net):
        """Return the share of validation rows predicted rightly, by codes alone."""
        predicted = net.predict_proba(self.X_val).argmax(axis=1)
        codes = [self.classes.tolist().index(label) for label in self.y_val.tolist()]
        return float(np.mean(predicted == codes))


@pytest.fixture(params=KINDS)
def given(request):
    labels, order = KINDS[request.param]
    n = len(labels)
    X, y, X_val, y_val = blobs(48, 30, n_classes=n)
    X, X_val = X.astype(np.float32), (X_val + 0.9 * X_val[::-1]).astype(np.float32)
    is_scored = y_val != order[0] if n > 2 else y_val < n
    return Given(
        X, labels[y], X_val[is_scored], labels[y_val[is_scored]], labels[list(order)],
        labels[order[-1]].item() if labels.dtype != object else labels[order[-1]],
    )  # fmt: skip


def scorings(given):
    """Return callbacks that score, with the score each has to record."""

    def by_predict(net, X, y):
        return accuracy_score(y, net.predict(X))

    def by_score(net, X, y):
        return net.score(X, y)

    def on_own_rows(net, X, y):
        return accuracy_score(given.y_val, net.predict(given.X_val))

    def twice(net, X, y):
        assert net.predict_proba(X).shape == (len(y), len(net.classes_))
        return accuracy_score(y, net.classes_[net.predict_proba(X).argmax(axis=1)])

    def f1(y, predicted):
        return f1_score(y, predicted, labels=[given.some], average="macro", zero_division=0)

    one_class = make_scorer(of_one_class, pos_label=given.some)
    named = {
        "name": "accuracy", "none": None, "predict": by_predict, "score": by_score,
        "own_rows": on_own_rows, "twice": twice, "made": make_scorer(f1), "pos_label": one_class,
        "trusted": trusted_scorer(given.X_val, given.y_val, "accuracy"),
    }  # fmt: skip
    callbacks = [
        (f"{name}_{caches}", EpochScoring(scoring, name=f"{name}_{caches}", use_caching=caches))
        for name, scoring in named.items()
        for caches in (True, False)
    ]
    return [*callbacks, ("batch", BatchScoring("accuracy", name="batch"))]


def of_one_class(y, predicted, pos_label):
    """Return the recall of a class, given as a label."""
    return float(np.mean(np.asarray(predicted)[np.asarray(y) == pos_label] == pos_label))


def check_scores(given, net):
    """Compare the scores of the last epoch with the true ones, which are those after the fit."""
    truth, last = given.truth(net), net.history[-1]
    assert 0.5 < truth < 1
    predicted = net.predict(given.X_val)
    assert predicted.dtype == given.classes.dtype
    recall = of_one_class(given.y_val, predicted, given.some)
    f1 = f1_score(given.y_val, predicted, labels=[given.some], average="macro")
    expected = {"made": f1, "pos_label": recall}
    for name, _ in scorings(given)[:-1]:
        assert last[name] == pytest.approx(expected.get(name.rpartition("_")[0], truth)), name
    assert last["batch"] == pytest.approx(truth)
    assert last["valid_acc"] == pytest.approx(truth)


def test_validation_rows(given):
    net = given.net(callbacks=scorings(given))
    net.fit(given.X, given.y, X_val=given.X_val, y_val=given.y_val)
    check_scores(given, net)


@pytest.mark.parametrize("kind", [SkorchDataset, Pairs])
def test_predefined_split(given, kind):
    split = predefined_split(kind(given.X_val, given.y_val))
    callbacks = scorings(given)
    if kind is Pairs:  # skorch finds no labels in it for those that do not cache
        own = ("own_rows_False", "trusted_False")
        callbacks = [(n, c) for n, c in callbacks if c.use_caching or n in own]
    net = given.net(train_split=split, callbacks=callbacks).fit(given.X, given.y)
    for name in {name for name, _ in scorings(given)} - {name for name, _ in callbacks}:
        net.history.record(name, net.history[-1][name.replace("False", "True")])
    check_scores(given, net)
    without = given.net(callbacks=[]).fit(given.X, given.y, X_val=given.X_val, y_val=given.y_val)
    assert net.history[:, "valid_loss"] == pytest.approx(without.history[:, "valid_loss"])


class Augmented(Dataset):
    """A Dataset around another one, as a split may give."""

    def __init__(self, dataset):
        self.dataset = dataset

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, i):
        X, y = self.dataset[i]
        return X + 0, y


class OwnSplit:
    """A split of a user's own, which looks at labels and wraps what it gives."""

    def __init__(self, wrap):
        self.wrap = wrap

    def __call__(self, dataset, y):
        self.seen = y, dataset[5][1], len(dataset)
        train, valid = ValidSplit(3)(dataset, y)
        return self.wrap(train), self.wrap(valid)


def nested(part):
    return Subset(Subset(part, range(len(part))), np.arange(len(part)))


@pytest.mark.parametrize("wrap", [Augmented, nested])
def test_a_split_sees_and_gives_labels(given, wrap):
    split, plain = OwnSplit(wrap), ValidSplit(3)
    net = given.net(train_split=split).fit(given.X, given.y)
    y, label, n = split.seen
    assert y.tolist() == given.y.tolist()
    assert (label, n) == (given.y[5], len(given.y))
    expected = given.net(train_split=plain).fit(given.X, given.y)
    for name in ("train_loss", "valid_loss", "valid_acc"):
        assert net.history[:, name] == pytest.approx(expected.history[:, name])


def test_valid_split(given):
    seen = []

    def spy(net, X, y):
        seen.append((y, net.predict(X)))
        return 0.0

    callbacks = [("spy", EpochScoring(spy, name="spy"))]
    net = given.net(train_split=ValidSplit(3), callbacks=callbacks).fit(given.X, given.y)
    y, predicted = seen[-1]
    assert len(y) == 16
    assert set(np.asarray(y).tolist()) == set(given.classes.tolist())
    assert net.history[-1, "valid_acc"] == accuracy_score(y, predicted)


def test_early_stopping(given):
    def stopped(scoring, **rows):
        callbacks = [
            ("own", EpochScoring(scoring, name="own", lower_is_better=False, use_caching=False)),
            ("stop", EarlyStopping("own", patience=1, lower_is_better=False, load_best=True)),
        ]
        return given.net(max_epochs=12, callbacks=callbacks).fit(given.X, given.y, **rows)

    val = {"X_val": given.X_val, "y_val": given.y_val}
    net = stopped(trusted_scorer(given.X_val, given.y_val, "accuracy"), **val)
    assert given.truth(net) == max(net.history[:, "own"])
    assert net.history[:, "own"] == stopped("accuracy", **val).history[:, "valid_acc"]


@pytest.mark.parametrize("kind", [SkorchDataset, Pairs])
def test_labels_inside_datasets(given, kind):
    val = given.X_val, given.y_val
    net = given.net(callbacks=scorings(given)).fit(given.X, given.y, X_val=val[0], y_val=val[1])
    inside = given.net(weighting="uniform")
    inside.fit(kind(given.X, given.y), X_val=kind(*val), X_meta=kind(*val))
    beside = given.net(weighting="uniform")
    beside.fit(kind(given.X, given.y), given.y, X_val=kind(*val), y_val=val[1])
    for other in (inside, beside):
        assert given.truth(other) == given.truth(net)
        assert other.history[-1, "valid_acc"] == net.history[-1, "valid_acc"]
        assert np.array_equal(other.predict(given.X_val), net.predict(given.X_val))


def of_dataset(net, X, y=None):
    """Return the accuracy on a Dataset, as skorch's documentation shows."""
    return accuracy_score([label for _, label in X], net.predict(X))


@pytest.mark.parametrize("kind", [SkorchDataset, Pairs])
@pytest.mark.parametrize("split", [None, ValidSplit(3)])
def test_scores_that_read_labels_out_of_a_dataset(given, kind, split):
    names = {"of_dataset": of_dataset, "by_score": lambda net, X, y: net.score(X, y)}
    callbacks = [
        (f"{name}_{caches}", EpochScoring(f, name=f"{name}_{caches}", use_caching=caches))
        for name, f in names.items()
        for caches in (True, False)
        if kind is Pairs or caches or f is not of_dataset  # which skorch hands bare rows
    ]
    val = {"X_val": kind(given.X_val, given.y_val)} if split is None else {}
    net = given.net(train_split=split, callbacks=callbacks)
    net.fit(kind(given.X, given.y), given.y, **val)
    for name, _ in callbacks:
        assert net.history[-1, name] == net.history[-1, "valid_acc"], name
    if split is None:
        assert net.history[-1, "valid_acc"] == given.truth(net)
        assert net.score(kind(given.X_val, given.y_val)) == given.truth(net)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_dataset_that_lacks_classes(given, n_classes):
    if len(given.classes) == 2:
        return
    present = np.isin(given.y, given.classes[:n_classes])
    net = given.net(max_epochs=8).fit(Pairs(given.X[present], given.y[present]))
    assert net.score(given.X[present], given.y[present]) > 0.9


def test_partial_fit(given):
    net = given.net(callbacks=scorings(given))
    for _ in range(2):
        net.partial_fit(given.X, given.y, X_val=given.X_val, y_val=given.y_val)
    check_scores(given, net)


def test_meta_labels(given):
    net = given.net(weighting="class", max_epochs=5, callbacks=scorings(given))
    meta = slice(None, None, 5)
    net.fit(np.delete(given.X, meta, 0), np.delete(given.y, meta), given.X[meta], given.y[meta],
            X_val=given.X_val, y_val=given.y_val)  # fmt: skip
    check_scores(given, net)
    inside = given.net(weighting="class", max_epochs=5)
    inside.fit(
        Pairs(np.delete(given.X, meta, 0), np.delete(given.y, meta)), None,
        Pairs(given.X[meta], given.y[meta]),
    )  # fmt: skip
    assert given.truth(inside) > 0.5


def test_grid_search(given):
    pos_label = make_scorer(of_one_class, pos_label=given.some)
    scoring = {"acc": "accuracy", "recall": pos_label}
    net = given.net(train_split=predefined_split(SkorchDataset(given.X_val, given.y_val)))
    search = GridSearchCV(net, {"lr": [0.1]}, scoring=scoring, cv=2, refit="acc")
    search.fit(given.X, given.y)
    assert search.cv_results_["mean_test_acc"][0] > 0.7
    best = search.best_estimator_
    assert best.history[-1, "valid_acc"] == pytest.approx(given.truth(best))
