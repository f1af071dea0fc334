"""The accuracy benchmark: its rows stay apart, a stopped series goes on, its figures add up."""

import json
import math
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = (
    "baselines",
    "accuracy_networks",
    "accuracy_cells",
    "accuracy_methods",
    "bench_accuracy",
    "accuracy_tables",
)


@pytest.fixture(scope="module")
def scripts():
    """Return the benchmark's modules, which import each other by plain name."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        yield {name: __import__(name) for name in SCRIPTS}
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
        for name in SCRIPTS:
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder of small data sets of random numbers."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    letters = np.array([*"ABCDEFGHIJ"])[np.arange(2000) % 10]
    np.savez(folder / "letter.npz", X=rng.integers(0, 16, (2000, 16), np.uint8), y=letters)
    sizes = [900, 60, 30, 10]
    np.savez(
        folder / "shuttle.npz",
        X=rng.integers(0, 99, (1000, 9)).astype(np.int32),
        y=np.repeat(["a", "b", "c", "d"], sizes),
    )
    images = {
        "X": rng.integers(0, 256, (24_000, 4, 4), np.uint8),
        "y": np.arange(24_000) % 10,
        "X_test": rng.integers(0, 256, (50, 4, 4), np.uint8),
        "y_test": np.arange(50) % 10,
    }
    np.savez(folder / "fashion-mnist.npz", **images)
    labels = np.arange(12_000) % 10
    np.savez(
        folder / "cifar10.npz",
        X=rng.integers(0, 256, (12_000, 3, 2, 2), np.uint8),
        y=labels,
        X_test=np.zeros((10, 3, 2, 2), np.uint8),
        y_test=np.arange(10),
    )
    np.savez(folder / "cifar10n.npz", clean_label=labels, worse_label=(labels + 1) % 10)
    return folder


EXPECTED = pytest.mark.filterwarnings(
    "ignore::skgdw.exceptions.MetaClassWarning",
    "ignore::skgdw.exceptions.NoiseNotLearnableWarning",
)


# --- rows ---------------------------------------------------------------------------------------


@EXPECTED
@pytest.mark.parametrize("judge", ["test", "held-out"])
def test_parts_of_every_cell_are_disjoint_and_meta_rows_are_as_clean_as_said(
    scripts, folder, judge
):
    cells = scripts["accuracy_cells"]
    for cell in cells.CELLS.values():
        rows = cells.make_rows(cell, 3, judge, folder)
        parts = list(rows.ids.values())
        assert len(np.unique(np.concatenate(parts))) == sum(map(len, parts)), cell.name
        assert [len(rows.X), len(rows.X_meta), len(rows.X_judged)] == [*map(len, parts)]
        truth = cells.source(cell.family.name, folder).y
        np.testing.assert_array_equal(rows.y_true, truth[rows.ids["train"]])
        wrong = (rows.y_meta != truth[rows.ids["meta"]]).mean()
        assert wrong == pytest.approx(cell.wrong_meta, abs=0.01), cell.name
        noise = (rows.y != rows.y_true).mean()
        assert (noise == 0) if cell.noise is None else (noise > 0.2), cell.name


def test_rows_that_overlap_are_refused(scripts, folder, monkeypatch):
    cells = scripts["accuracy_cells"]
    cell = cells.CELLS["digits/clean"]
    monkeypatch.setattr(
        cells, "_take_meta", lambda cell, data, ids, seed: (ids, ids[:5], data.y[ids[:5]])
    )
    with pytest.raises(AssertionError, match="not disjoint"):
        cells.make_rows(cell, 0, "test", folder)


@EXPECTED
def test_held_out_judge_never_touches_test_rows(scripts, folder, monkeypatch):
    cells = scripts["accuracy_cells"]

    def refuse(self):
        raise AssertionError("test rows were read")

    names = ["letter/pair40", "shuttle/pair40", "digits/pair40", "digits (demo)/pair40"]
    for name in names:
        cell = cells.CELLS[name]
        test = cells.make_rows(cell, 1, "test", folder).ids["judged"]
        held_out = cells.make_rows(cell, 1, "held-out", folder).ids
        assert not np.isin(np.concatenate(list(held_out.values())), test).any(), name
    monkeypatch.setattr(cells.Source, "test", refuse)
    for name in ("fashion/pair40", "cifar10n/worse"):
        cell = cells.CELLS[name]
        rows = cells.make_rows(cell, 1, "held-out", folder)
        data = cells.source(cell.family.name, folder)
        np.testing.assert_array_equal(rows.y_judged, data.y[rows.ids["judged"]])
        with pytest.raises(AssertionError, match="test rows were read"):
            cells.make_rows(cell, 1, "test", folder)


def test_demo_cell_is_the_demo(scripts, folder, capsys):
    cells = scripts["accuracy_cells"]
    rows = cells.make_rows(cells.CELLS["digits (demo)/uniform40"], 0, "test", folder)
    demo = runpy.run_path(str(ROOT / "examples" / "quickstart.py"), run_name="demo")
    train, meta, test, _ = demo["make_data"]("uniform")
    found = (rows.X, rows.y, rows.X_meta, rows.y_meta, rows.X_judged, rows.y_judged)
    for ours, theirs in zip(found, (*train, *meta, *test), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_part_noise_has_the_rate_and_follows_the_row(scripts):
    part_noise = scripts["accuracy_cells"].part_noise
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 6)).repeat(500, axis=0), np.arange(20).repeat(500) % 4
    given = part_noise(X, y, 0.4, 0)
    assert (given != y).mean() == pytest.approx(0.4, abs=0.02)
    np.testing.assert_array_equal(given, part_noise(X, y, 0.4, 0))
    # Wrong labels of class 0 are shared out by the row: not alike for two that differ.
    shares = [np.bincount(given[k * 500 : (k + 1) * 500], minlength=4) / 500 for k in (0, 4)]
    assert np.abs(shares[0] - shares[1]).max() > 0.1


# --- methods ------------------------------------------------------------------------------------


def test_corrected_loss_is_cross_entropy_of_what_is_given(scripts):
    loss = scripts["accuracy_methods"].corrected_loss
    logits, y = torch.randn(6, 3, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1, 2])
    confusion = torch.rand(3, 3, dtype=torch.float64)
    confusion /= confusion.sum(dim=1, keepdim=True)
    is_meta = torch.tensor([True, False] * 3)
    p = torch.where(is_meta[:, None], logits.softmax(1), logits.softmax(1) @ confusion)
    torch.testing.assert_close(loss(logits, y, is_meta, confusion), F.nll_loss(p.log(), y))


def test_balanced_softmax_adds_the_log_frequencies_in_training_alone(scripts):
    methods = scripts["accuracy_methods"]
    log_frequency = torch.tensor([0.9, 0.1]).log()
    logits, y = torch.tensor([[0.3, 0.1]]), torch.tensor([1])
    loss = methods.BalancedSoftmax(log_frequency)(logits, y)
    p = logits.exp() * torch.tensor([[0.9, 0.1]])
    torch.testing.assert_close(loss, -(p[0, 1] / p.sum()).log())


def test_balanced_softmax_predicts_by_the_logits(scripts, folder):
    cells, methods = scripts["accuracy_cells"], scripts["accuracy_methods"]
    cell = cells.CELLS["digits (demo)/clean"]
    rows = cells.make_rows(cell, 0, "held-out", folder, n_rows=200)
    net = methods.balanced_softmax(rows, 0, {"max_epochs": 1})
    p = methods.probabilities(net, rows.X_judged, rows.n_classes)
    with torch.no_grad():
        expected = net.module_(torch.as_tensor(rows.X_judged)).softmax(1)
    np.testing.assert_allclose(p, expected, atol=1e-5)


def test_probabilities_have_a_column_for_every_class(scripts):
    class Fitted:
        classes_ = np.array([0, 2])

        def predict_proba(self, X):
            return np.array([[0.3, 0.7]])

    p = scripts["accuracy_methods"].probabilities(Fitted(), [[0]], 4)
    np.testing.assert_array_equal(p, [[0.3, 0, 0.7, 0]])


# --- runs ---------------------------------------------------------------------------------------


@pytest.fixture
def series(scripts, tmp_path):
    """Return a function that runs the benchmark on a few digits and returns its lines."""
    out = tmp_path / "runs.jsonl"

    def run(*options):
        common = ["--cells", "digits/pair40", "--rows", "200", "--epochs", "1", "--out", str(out)]
        code = scripts["bench_accuracy"].main([*common, "--judge", "held-out", *options])
        lines = out.read_text().splitlines()
        return code, [json.loads(line) for line in lines if line.endswith("}")]

    run.out = out
    return run


@EXPECTED
def test_a_stopped_series_goes_on(series, capsys):
    options = ("--methods", "plain", "gold loss correction", "--seeds", "0")
    code, rows = series(*options)
    assert code == 0
    assert [row["method"] for row in rows] == ["plain", "gold loss correction"]
    for row in rows:
        assert row["params"] == {"max_epochs": 1, "rows": 200}
        assert 0 <= row["balanced"] <= 100
        assert 0 < row["log_loss"] < 17
        assert "noise_rate" not in row  # which these methods do not tell
    with series.out.open("a") as file:
        file.write('{"cell": "digits/pa')  # killed as it wrote
    code, again = series(*options[:-1], "0", "1")
    assert again[:2] == rows
    assert [row["seed"] for row in again] == [0, 0, 1, 1]
    assert "2/2 digits/pair40, gold loss correction, seed 1" in capsys.readouterr().out
    assert series(*options[:-1], "0", "1")[1] == again


@EXPECTED
def test_noise_that_was_found_is_told_beside_what_it_is(series):
    _, (row,) = series("--methods", "class pairs", "--seeds", "0", "--rows", "300")
    assert 0 <= row["noise_rate"] <= 1
    assert row["wrong_labels"] == pytest.approx(0.4, abs=0.05)


def test_same_seed_same_figures_and_settings_are_runs_of_their_own(series):
    options = ("--methods", "plain", "--seeds", "0")
    first = series(*options)[1][0]
    tagged = series(*options, "--set", "lr=0.1", "--tag", "same")[1][1]
    assert tagged["params"] == {"lr": 0.1, "max_epochs": 1, "rows": 200}
    assert tagged["tag"] == "same"
    assert first["log_loss"] == tagged["log_loss"]
    other = series(*options, "--set", "lr=0.01", "--tag", "slow")[1][2]
    assert other["log_loss"] != first["log_loss"]


def test_failed_runs_are_recorded_and_run_again_when_asked(series, scripts, monkeypatch):
    methods = scripts["bench_accuracy"].METHODS
    options = ("--methods", "plain", "--seeds", "0")
    sound = methods["plain"]

    def fail(rows, seed, params):
        raise RuntimeError("no luck")

    monkeypatch.setitem(methods, "plain", scripts["accuracy_methods"].Method(fail))
    code, rows = series(*options)
    assert code == 1
    assert rows[0]["error"] == "RuntimeError: no luck"
    monkeypatch.setitem(methods, "plain", sound)
    assert len(series(*options)[1]) == 1
    code, rows = series(*options, "--retry")
    assert code == 0
    assert "accuracy" in rows[1]
    (result,) = scripts["bench_accuracy"].read_results(series.out).values()
    assert "error" not in result


def test_a_run_that_was_cut_off_goes_on_from_its_checkpoint(series, scripts, tmp_path, monkeypatch):
    resume = scripts["bench_accuracy"].Resume
    options = ("--methods", "class pairs", "--seeds", "0", "--epochs", "3", "--rows", "300")
    whole = series(*options)[1][0]
    series.out.unlink()
    save, epochs = resume.save, []

    def cut_off(self, net):
        save(self, net)
        epochs.append(len(net.history))
        if len(epochs) == 2:
            raise SystemExit

    monkeypatch.setattr(resume, "save", cut_off)
    options += ("--checkpoints", str(tmp_path / "runs"))
    with pytest.raises(SystemExit):
        series(*options)
    assert len([*tmp_path.glob("runs/*/resume.pt")]) == 1
    again = series(*options)[1][0]
    assert epochs == [1, 2, 3]
    assert {**again, "seconds": 0} == {**whole, "seconds": 0}
    assert not [*tmp_path.glob("runs/*")]  # what has ended needs none


def test_methods_of_several_fits_have_no_checkpoint(scripts):
    bench = scripts["bench_accuracy"]
    run = {"cell": "cifar10/worse", "seed": 0, "judge": "test", "tag": "", "params": {}}
    folders = {
        method: bench.checkpoint_of(run | {"method": method}, Path("runs"))
        for method in bench.METHODS
    }
    without = {method for method, folder in folders.items() if folder is None}
    assert without == {"gold loss correction", "HistGradientBoosting", "CleanLearning"}
    assert len(set(folders.values())) == len(folders) - len(without) + 1
    assert bench.checkpoint_of(run | {"method": "plain"}, None) is None


def test_cells_that_need_a_gpu_have_to_be_named(scripts):
    chosen = scripts["bench_accuracy"].chosen_cells
    every = chosen(["*"])
    assert "digits/clean" in every
    assert not [name for name in every if name.startswith("cifar10/")]
    assert chosen(["cifar10/u*", "digits/clean"]) == [
        "digits/clean",
        "cifar10/uniform40",
        "cifar10/uniform60",
    ]


def test_human_labels_that_are_not_there_are_asked_for(scripts, folder, tmp_path):
    cells = scripts["accuracy_cells"]
    (tmp_path / "cifar10.npz").symlink_to(folder / "cifar10.npz")
    clean, worse = (cells.CELLS[f"cifar10/{name}"] for name in ("clean", "worse"))
    assert cells.make_rows(clean, 0, "test", tmp_path).n_classes == 10
    with pytest.raises(FileNotFoundError, match=r"cifar10/worse needs cifar10n\.npz"):
        cells.make_rows(worse, 0, "test", tmp_path)


def test_rest_of_a_series_is_reckoned_by_family_and_method(scripts):
    remaining = scripts["bench_accuracy"].remaining
    taken = [
        {"cell": "digits/clean", "method": "plain", "seconds": 2.0},
        {"cell": "digits/pair40", "method": "class pairs", "seconds": 8.0},
        {"cell": "digits/pair40", "method": "plain", "error": "x"},
    ]
    run = {"cell": "digits/uniform40", "method": "plain"}
    assert remaining([run], taken) == 2
    assert remaining([run, run | {"method": "instance"}], taken) == 2 + 5
    assert remaining([run], []) == 0


def test_settings_are_literals_or_strings(scripts):
    setting = scripts["bench_accuracy"].setting
    assert setting("lr=0.5") == ("lr", 0.5)
    assert setting("weighting=class") == ("weighting", "class")
    with pytest.raises(scripts["bench_accuracy"].argparse.ArgumentTypeError, match="KEY=VALUE"):
        setting("lr")


# --- figures ------------------------------------------------------------------------------------


def line(cell, method, seed, value, **kwargs):
    figures = {"accuracy": value, "balanced": value, "log_loss": 1.0, "seconds": 1.0}
    own = {"cell": cell, "method": method, "seed": seed, "judge": "test", "tag": "", "params": {}}
    return {**own, **figures, **kwargs}


def error_line(cell, method, seed, error):
    full = line(cell, method, seed, 0)
    keys = ("cell", "method", "seed", "judge", "tag", "params")
    return {key: full[key] for key in keys} | {"error": error}


def test_differences_are_paired_over_common_seeds(scripts):
    paired = scripts["accuracy_tables"].paired
    found = paired({0: 90.0, 1: 92.0, 2: 99.0}, {0: 89.0, 1: 89.0, 3: 0.0})
    assert (found.mean, found.n_seeds) == (2.0, 2)
    assert found.error == pytest.approx(1.0)  # 1 and 3: deviation sqrt(2), over sqrt(2)
    assert math.isnan(paired({0: 90.0}, {0: 89.0}).error)
    assert paired({0: 90.0}, {1: 89.0}) is None


@pytest.mark.parametrize(
    ("mean", "error", "expected"),
    [
        (0.0, 0.5, "held"),
        (0.0, 0.6, "open"),
        (-0.4, 0.1, "held"),
        (-1.0, 0.5, "open"),
        (-1.0, 0.4, "missed"),
        (3.0, math.nan, "open"),
    ],
)
def test_the_bar_counts_the_standard_error(scripts, mean, error, expected):
    tables = scripts["accuracy_tables"]
    assert tables.verdict(tables.Difference(mean, error, 2)) == expected


def test_tables_show_losses_and_failures_and_bounds_do_not_compete(scripts, tmp_path, capsys):
    values = {"plain": (60, 62), "class pairs": (90, 91), "clean labels": (99, 99)}
    values |= {"plain, meta rows joined": (95, 95), "GDW (paper)": (80, 81)}
    rows = [
        line("digits/pair40", method, seed, value)
        for method, pair in values.items()
        for seed, value in enumerate(pair)
    ]
    for row, rate in zip(rows[2:4], (0.31, 0.43), strict=True):
        row.update(noise_rate=rate, wrong_labels=0.4)
    rows.append(line("digits/pair40", "class pairs", 0, 97, tag="other"))
    rows.append(line("digits/pair40", "plain", 0, 99.9, judge="held-out"))
    rows.append(error_line("digits/pair40", "instance", 0, "ValueError: `a` is wrong"))
    path = tmp_path / "runs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    scripts["accuracy_tables"].main([str(path), "--folder", str(tmp_path)])
    page = (tmp_path / "accuracy.rst").read_text()
    assert "     - **95.0 ± 0.0**\n" in page
    assert "   * - less plain, meta rows joined\n     - -4.50 ± 0.50\n" in page
    assert "   * - less plain\n     - +29.50 ± 0.50\n" in page
    assert "   * - class pairs (other)\n     - 97.0\n" in page
    assert "   * - instance\n     - (1 failed)\n" in page
    assert "``seed 0: ValueError: 'a' is wrong``" in page
    assert "Of 1 cells: 0 held, 1 missed, 0 open." in page
    assert "   * - digits/pair40\n     - 40.0\n     - 37.0\n     - 6.7\n     - 2\n" in page
    assert "-4.50 ± 0.50" in capsys.readouterr().out
    assert (tmp_path / "accuracy.png").read_bytes().startswith(b"\x89PNG")


def test_runs_of_one_seed_with_other_parameters_under_one_tag_are_refused(scripts):
    rows = [line("digits/pair40", "plain", 0, 1, tag="a", params={"lr": lr}) for lr in (1, 2)]
    with pytest.raises(ValueError, match="runs of several parameters"):
        scripts["accuracy_tables"].collect(rows, "test")
