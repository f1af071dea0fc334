"""One fraud in a thousand rows: what docs/rare_classes.rst says holds at one seed."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from skgdw import GDWClassifier

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def bench():
    """Return the benchmark as a module."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        yield __import__("bench_rare")
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
        sys.modules.pop("bench_rare", None)


@pytest.fixture(scope="module")
def rows(bench):
    return bench.data("missed", 0)


@pytest.fixture(scope="module")
def fitted(bench, rows):
    train, trusted, _ = rows
    return GDWClassifier(max_epochs=3, random_state=0, verbose=0).fit(*train, *trusted)


@pytest.fixture(scope="module")
def found(bench, rows, fitted):
    """Return the scores of the defaults."""
    return bench.figures(fitted, *rows[2])


def test_rows_are_apart_and_a_third_of_the_frauds_are_missed(rows):
    (X, y), (X_meta, y_meta), (X_test, y_test) = rows
    every = np.concatenate([X, X_meta, X_test])
    assert len(np.unique(every, axis=0)) == len(every)
    assert [int((labels == "fraud").sum()) for labels in (y, y_meta, y_test)] == [16, 20, 200]
    assert set(y) == {"fraud", "ok"}


def test_defaults_find_the_frauds_of_a_few_rows(bench, rows, found):
    train, trusted, test = rows
    assert found["balanced"] > 0.97
    assert found["recall"] > 0.95
    net = GDWClassifier(weighting="uniform", max_epochs=3, random_state=0, verbose=0)
    plain = bench.figures(net.fit(*train, *trusted), *test)
    assert plain["balanced"] < 0.9
    assert plain["average_precision"] < found["average_precision"]


def test_the_prior_of_training_makes_alarms_right(bench, rows, fitted, found):
    _, _, test = rows
    try:
        rare = bench.figures(fitted.set_params(class_prior="train"), *test)
    finally:
        fitted.set_params(class_prior="meta")
    assert rare["precision"] > 0.8 > 0.5 > found["precision"]
    assert rare["recall"] < found["recall"]
    assert rare["average_precision"] == pytest.approx(found["average_precision"], abs=0.01)


def test_a_tuned_threshold_makes_alarms_right(bench, rows, found):
    train, trusted, test = rows
    tuned = bench.figures(bench.threshold(train, trusted, 0, max_epochs=3), *test)
    assert tuned["precision"] > 0.5 > found["precision"]
    assert tuned["recall"] > 0.5


def test_f1_at_a_share_is_that_of_the_world(bench):
    y_true = np.repeat(["fraud", "ok"], [10, 1000])
    y_pred = np.repeat(["fraud", "ok", "fraud", "ok"], [8, 2, 1, 999])
    # 1000 frauds and 999000 others: 800 found, 200 missed, 999 false alarms.
    assert bench.f1_at_share(y_true, y_pred, "fraud") == pytest.approx(
        2 * 800 / (2 * 800 + 200 + 999)
    )


def test_the_page_has_the_tables_of_the_results(bench):
    results = (ROOT / "benchmarks/results/rare.jsonl").read_text(encoding="utf-8")
    page = (ROOT / "docs/rare_classes.rst").read_text(encoding="utf-8")
    found = [json.loads(line) for line in results.splitlines()]
    assert bench.tables_of_the_page(found) in page
    assert len({(row["cell"], row["method"], row["seed"]) for row in found}) == len(found)
    assert {row["seed"] for row in found} == set(range(5))


def test_the_page_counts_right(bench):
    results = (ROOT / "benchmarks/results/rare.jsonl").read_text(encoding="utf-8")
    page = (ROOT / "docs/rare_classes.rst").read_text(encoding="utf-8")
    runs = {(r["cell"], r["method"], r["seed"]): r for r in map(json.loads, results.splitlines())}

    def scores(cell, method, score):
        return np.array([100 * runs[cell, method, seed][score] for seed in range(5)])

    def lead(cell, method):
        name = "average_precision"
        return scores(cell, "default", name) - scores(cell, method, name)

    leads = [lead(cell, "plain") for cell in bench.CELLS]
    said = re.search(r"on the same rows by ([\d.]+), ([\d.]+)\s+and ([\d.]+) points", page)
    assert [float(number) for number in said.groups()] == [round(d.mean(), 1) for d in leads]
    assert np.min(leads) > 0
    assert min(lead(cell, "boosting").mean() for cell in bench.CELLS) > 19
    assert round(lead("right", "logistic").mean(), 1) == -2.1
    for cell in bench.CELLS:
        assert scores(cell, "default", "balanced").mean() > 97
    least = [scores("two", m, "balanced").min() for m in ("default", "10 epochs", "3 epochs")]
    assert [round(score, 1) for score in least] == [96.4, 96.4, 93.8]
