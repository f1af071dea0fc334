"""What bench_accuracy.py fits on: data sets corrupted in many ways, one cell for each.

A cell names a family (a data set with its network and epochs) and what was done to its training
rows. The order is always the same: judged rows leave first, then the clean meta rows; classes are
made uneven on true labels, and noise comes last. All draws follow the seed.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from accuracy_networks import AugmentedResNet32, SmallConvNet
from sklearn.datasets import load_digits, make_classification
from sklearn.model_selection import train_test_split

from skgdw.corruption import ClassImbalance, LabelNoise
from skgdw.model_selection import split_meta
from skgdw.modules import SmallResNet

JUDGES = ("test", "held-out")
HELD_OUT = 0.25


def grey_digits():
    """Return images of digits, with a channel axis, and their labels."""
    digits = load_digits()
    return digits.images[:, None].astype(np.float32), digits.target


def six_classes():
    """Return rows of a table and their classes, which have from 45 % of them down to 2 %."""
    X, y = make_classification(
        n_samples=12_000,
        n_informative=8,
        n_classes=6,
        weights=[0.45, 0.25, 0.15, 0.08, 0.05, 0.02],
        flip_y=0,
        random_state=0,
    )
    return X.astype(np.float32), y


@dataclass(frozen=True)
class Family:
    """A data set and how networks are trained on it; all else is the package's default."""

    name: str
    params: dict
    meta_rows: int = 20  # a class
    n_train: int | None = None  # of the training rows of a data set that brings test rows
    is_table: bool = False
    is_uneven: bool = False
    imbalance: float = 1  # in all its cells
    make: Callable | None = None  # returns rows and labels of a data set that is in no file
    file: str | None = None
    needs_gpu: bool = False  # runs only where its cells are named


FAMILIES = {
    family.name: family
    for family in (
        Family("letter", {}, is_table=True, file="letter"),
        Family("shuttle", {}, is_table=True, is_uneven=True, file="shuttle"),
        Family("digits", {}, make=grey_digits),
        Family("digits (demo)", {}, meta_rows=10, imbalance=10, make=grey_digits),
        Family("six classes", {}, is_table=True, is_uneven=True, make=six_classes),
        Family(
            "fashion",
            {"module": SmallConvNet, "max_epochs": 12},
            meta_rows=50,
            n_train=20_000,
            file="fashion-mnist",
        ),
        Family(
            "cifar10n",
            {"module": SmallResNet, "module__n_classes": 10, "module__in_channels": 3},
            meta_rows=50,
            n_train=10_000,
            file="cifar10",
        ),
        Family(
            "cifar10",
            {"module": AugmentedResNet32, "max_epochs": 80, "batch_size": 100},
            meta_rows=100,
            n_train=49_000,
            file="cifar10",
            needs_gpu=True,
        ),
    )
}


@dataclass(frozen=True)
class Cell:
    """One family, corrupted in one way.

    ``noise`` is None, a kind of `LabelNoise`, "instance" or "human"; ``rate`` its strength.
    ``imbalance`` is that of a long tail, 1 for none. ``wrong_meta`` is the share of wrong labels
    among the meta rows, of which there are ``meta_rows`` a class (None: as many as the family's).
    """

    name: str
    family: Family
    noise: str | None = None
    rate: float = 0.4
    imbalance: float = 1
    meta_rows: int | None = None
    wrong_meta: float = 0

    @property
    def metric(self):
        """Return which accuracy is shown: balanced where classes are uneven."""
        return "balanced" if self.is_uneven else "accuracy"

    @property
    def is_uneven(self):
        """Tell whether some classes have many more training rows than others."""
        return self.family.is_uneven or self.imbalance > 1


def make_cells():
    """Return every cell by its name, ``family/corruption``."""
    cells = []

    def add(family, corruption, noise=None, rate=0.4, **kwargs):
        family = FAMILIES[family]
        kwargs.setdefault("imbalance", family.imbalance)
        cells.append(Cell(f"{family.name}/{corruption}", family, noise, rate, **kwargs))

    for family in ("letter", "shuttle", "digits", "digits (demo)", "six classes", "fashion"):
        add(family, "clean")
        add(family, "uniform40", "uniform")
        add(family, "pair40", "pair")
    add("fashion", "uniform60", "uniform", 0.6)
    add("fashion", "instance40", "instance")
    add("cifar10n", "worse", "human")
    add("cifar10", "clean")
    add("cifar10", "uniform40", "uniform")
    add("cifar10", "uniform60", "uniform", 0.6)
    add("cifar10", "flip40", "flip1")
    add("cifar10", "worse", "human")
    for family in ("fashion", "letter"):
        add(family, "tail100", imbalance=100)
        add(family, "tail10-uniform40", "uniform", imbalance=10)
        add(family, "tail10-pair40", "pair", imbalance=10)
    for family in ("letter", "digits"):
        for noise in ("pair", "uniform"):
            for count in (1, 2, 5, 100):
                add(family, f"{noise}40-meta{count}", noise, meta_rows=count)
            add(family, f"{noise}40-wrongmeta10", noise, wrong_meta=0.1)
    return {cell.name: cell for cell in cells}


CELLS = make_cells()


@dataclass
class Rows:
    """What a run sees: rows and class codes. ``ids`` are the numbers of the rows of each part."""

    X: np.ndarray
    y: np.ndarray  # as given
    y_true: np.ndarray
    X_meta: np.ndarray
    y_meta: np.ndarray
    X_judged: np.ndarray
    y_judged: np.ndarray
    n_classes: int
    ids: dict


class Source:
    """A data set on disk: labels as class codes, and rows by their numbers.

    Rows of a test part that the data set brings are numbered on from the last training row. Their
    file entry is opened only when they are asked for.
    """

    def __init__(self, family, folder):
        self.folder, self.name = folder, family.file
        if family.make is not None:
            self.X, labels = family.make()
        else:
            self.X, labels = self._rows("X"), self._read(self.name, "y")
        self.y = np.unique(labels, return_inverse=True)[1]
        self.human = None
        if family.file == "cifar10" and (folder / "cifar10n.npz").exists():
            if not np.array_equal(self._read("cifar10n", "clean_label"), labels):
                raise ValueError("cifar10n.npz must have the rows of cifar10.npz, in their order.")
            self.human = self._read("cifar10n", "worse_label").astype(int)

    def _read(self, name, key):
        with np.load(self.folder / f"{name}.npz") as arrays:
            return arrays[key]

    def _rows(self, key):
        X = self._read(self.name, key)
        if X.ndim == 2:
            return X.astype(np.float32)
        return X[:, None] if X.ndim == 3 else X  # bytes; a channel axis for grey images

    def test(self):
        """Return rows and labels of the test part."""
        return self._rows("X_test"), self._read(self.name, "y_test").astype(int)


@lru_cache(maxsize=2)
def source(family_name, folder):
    """Return a data set, read once."""
    return Source(FAMILIES[family_name], folder)


def as_input(X):
    """Return images of bytes as numbers in [0, 1]; other rows as they are."""
    return X.astype(np.float32) / 255 if X.dtype == np.uint8 else X


def part_noise(X, y, rate, seed):
    """Return labels with the instance-dependent noise of Xia et al. (NeurIPS 2020), appendix.

    Row i of class k is wrong with probability q_i, normal about `rate` with deviation 0.1, cut to
    [0, 1] by drawing again. Which other label it gets follows from its values: softmax of x W_k
    without entry k, with W_k of standard normal numbers for each class. So rows that are alike in
    their parts get wrong labels that are alike.
    """
    draw = np.random.RandomState(seed)
    flat = X.reshape(len(X), -1).astype(np.float64)
    flat = (flat - flat.mean()) / flat.std()
    q = draw.normal(rate, 0.1, len(y))
    while ((q < 0) | (q > 1)).any():
        out = (q < 0) | (q > 1)
        q[out] = draw.normal(rate, 0.1, out.sum())
    n_classes = y.max() + 1
    given = y.copy()
    for k in range(n_classes):
        rows = np.flatnonzero(y == k)
        scores = flat[rows] @ draw.normal(size=(flat.shape[1], n_classes))
        scores[:, k] = -np.inf
        # The largest score plus Gumbel noise is a draw from their softmax.
        other = (scores + draw.gumbel(size=scores.shape)).argmax(axis=1)
        wrong = draw.uniform(size=len(rows)) < q[rows]
        given[rows[wrong]] = other[wrong]
    return given


def _split(cell, data, seed, judge):
    """Return numbers of training rows, and of judged rows (None: the test part)."""
    ids, judged = np.arange(len(data.y)), None
    if cell.family.n_train is None:
        ids, judged = train_test_split(ids, test_size=0.25, stratify=data.y, random_state=seed)
    else:
        n_meta = cell.family.meta_rows * (data.y.max() + 1)
        ids = np.random.RandomState(seed).permutation(len(ids))[: cell.family.n_train + n_meta]
    if judge == "held-out":
        ids, judged = train_test_split(
            ids, test_size=HELD_OUT, stratify=data.y[ids], random_state=seed
        )
    return ids, judged


def _take_meta(cell, data, ids, seed):
    """Return the numbers of the rows that stay, and of the meta rows with their labels.

    A class gives at most half of its rows.
    """
    per_class = cell.meta_rows or cell.family.meta_rows
    counts = np.bincount(data.y[ids])
    size = int(np.minimum(per_class, counts // 2).sum())
    ids, _, meta, y_meta = split_meta(ids, data.y[ids], size, random_state=seed)
    if cell.wrong_meta:
        noise = LabelNoise(
            kind="symmetric",
            noise_rate=cell.wrong_meta,
            exact=True,
            random_state=np.random.RandomState(seed),
        )
        y_meta = noise.fit_resample(meta[:, None], y_meta)[1]
    return ids, meta, y_meta


def _give_labels(cell, data, ids, seed):
    """Return the labels that the training rows are given."""
    y = data.y[ids]
    if cell.noise is None:
        return y
    if cell.noise == "human":
        if data.human is None:
            raise FileNotFoundError(f"{cell.name} needs cifar10n.npz beside cifar10.npz.")
        return data.human[ids]
    if cell.noise == "instance":
        return part_noise(data.X[ids], y, cell.rate, seed)
    noise = LabelNoise(
        kind=cell.noise, noise_rate=cell.rate, random_state=np.random.RandomState(seed)
    )
    return noise.fit_resample(ids[:, None], y)[1]


def make_rows(cell, seed, judge, folder, n_rows=None):
    """Return the rows of a run; its parts share none.

    Parameters
    ----------
    cell : Cell
    seed : int
    judge : {"test", "held-out"}
        What the network is judged on: test rows, or a quarter of the training rows, with clean
        labels, split off before anything else happens to them. No test row is read then.
    folder : Path
        Where the data sets are.
    n_rows : int, optional
        Training rows to keep at most, to try things out.
    """
    data = source(cell.family.name, folder)
    ids, judged = _split(cell, data, seed, judge)
    ids, meta, y_meta = _take_meta(cell, data, ids, seed)
    if cell.imbalance > 1:
        imbalance = ClassImbalance(
            imbalance_ratio=cell.imbalance, random_state=np.random.RandomState(seed)
        )
        ids = imbalance.fit_resample(ids[:, None], data.y[ids])[0][:, 0]
    if n_rows is not None and n_rows < len(ids):
        ids = np.sort(np.random.RandomState(seed).permutation(ids)[:n_rows])
    y = _give_labels(cell, data, ids, seed)
    if judged is None:
        X_judged, y_judged = data.test()
        judged = len(data.y) + np.arange(len(y_judged))
    else:
        X_judged, y_judged = data.X[judged], data.y[judged]
    parts = {"train": ids, "meta": meta, "judged": judged}
    together = np.concatenate(list(parts.values()))
    if len(np.unique(together)) != len(together):
        raise AssertionError(f"{cell.name}: training, meta and judged rows are not disjoint.")
    return Rows(
        X=as_input(data.X[ids]),
        y=y,
        y_true=data.y[ids],
        X_meta=as_input(data.X[meta]),
        y_meta=y_meta,
        X_judged=as_input(X_judged),
        y_judged=y_judged,
        n_classes=int(data.y.max()) + 1,
        ids=parts,
    )


def with_true_labels(rows):
    """Return the same rows, training rows with their true labels."""
    return replace(rows, y=rows.y_true)
