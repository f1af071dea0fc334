"""What class-pair weights are worth, beside all they have to beat: one run a line.

One network, schedule and number of epochs for each family of data sets, the package's defaults
otherwise; training, meta and test rows share none, and no choice is made on test rows. Research is
judged on clean rows held out of the training rows: ``--judge held-out`` reads no test row.

Each run is one JSON line in --out. Runs that are there already are skipped, so that a stopped
series goes on; those that failed only with --retry. accuracy_tables.py makes tables and a plot.

usage: bench_accuracy.py [--cells PATTERN ...] [--methods METHOD ...] [--seeds SEED ...]
                         [--judge test|held-out] [--data DIR] [--out FILE]
                         [--set KEY=VALUE ... --tag TAG] [--checkpoints DIR] [--retry] [--list]

A cell of the paper's size, which is run only where it is named, can be cut off at any moment under
--checkpoints and goes on from its last epoch when it is called again:

    bench_accuracy.py --cells cifar10/uniform60 --methods "class pairs" --seeds 0 --checkpoints runs

DIR holds letter.npz, shuttle.npz (X, y), fashion-mnist.npz, cifar10.npz (also X_test, y_test) and
cifar10n.npz (clean_label, worse_label); digits come with scikit-learn.
"""

import argparse
import ast
import hashlib
import importlib.util
import json
import shutil
import time
import warnings
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import torch
from accuracy_cells import CELLS, JUDGES, make_rows
from accuracy_methods import METHODS, probabilities
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss

from skgdw.callbacks import Resume
from skgdw.exceptions import MetaClassWarning, MetaOverlapWarning, NoiseNotLearnableWarning

# What is expected here: rare classes give fewer meta rows, and whole numbers make equal rows.
EXPECTED = (MetaClassWarning, MetaOverlapWarning, NoiseNotLearnableWarning)


def read_results(path):
    """Return the runs of a file by their keys, the last one of each; a torn line is none."""
    found = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            print(f"left out, not a whole line: {line[:60]!r}")
        else:
            found[key_of(row)] = row
    return found


def key_of(row):
    """Return what tells a run from all others."""
    names = ("cell", "method", "seed", "judge", "tag")
    return (*(row[name] for name in names), json.dumps(row["params"], sort_keys=True))


def append(path, row):
    """Write a line at the end, on a line of its own even after a torn one."""
    text = path.read_text() if path.exists() else ""
    with path.open("a") as file:
        file.write("\n" * (text != "" and text[-1] != "\n") + json.dumps(row) + "\n")


def checkpoint_of(run, checkpoints):
    """Return the folder that a run goes on from, None where it cannot."""
    if checkpoints is None or not METHODS[run["method"]].resumes:
        return None
    return checkpoints / hashlib.sha256(repr(key_of(run)).encode()).hexdigest()[:16]


def measure(run, folder, n_rows, checkpoint=None):
    """Return the figures of a run; ``seconds`` are those since it last went on."""
    cell, method = CELLS[run["cell"]], METHODS[run["method"]]
    rows = make_rows(cell, run["seed"], run["judge"], folder, n_rows)
    params = {key: value for key, value in run["params"].items() if key != "rows"}
    if method.is_network:
        params = {**cell.family.params, **params}
    if checkpoint is not None:
        params["callbacks"] = [("resume", Resume(checkpoint))]
    start = time.perf_counter()
    fitted = method.fit(rows, run["seed"], params)
    seconds = time.perf_counter() - start
    p = probabilities(fitted, rows.X_judged, rows.n_classes)
    y, predicted = rows.y_judged, p.argmax(axis=1)
    clipped = np.clip(p, 1e-7, 1)
    clipped /= clipped.sum(axis=1, keepdims=True)
    return {
        "accuracy": round(100 * accuracy_score(y, predicted), 3),
        "balanced": round(100 * balanced_accuracy_score(y, predicted), 3),
        "log_loss": round(log_loss(y, clipped, labels=np.arange(rows.n_classes)), 5),
        "seconds": round(seconds, 1),
        "n_train": len(rows.y),
        "n_meta": len(rows.y_meta),
        **noise_figures(fitted, rows),
    }


def noise_figures(fitted, rows):
    """Return the share of wrong labels that was found, and what it is; of methods that tell."""
    found = getattr(fitted, "noise_rate_", None)
    if found is None:
        return {}
    wrong = float(np.mean(rows.y != rows.y_true))
    return {"noise_rate": round(float(found), 5), "wrong_labels": round(wrong, 5)}


def attempt(run, folder, n_rows, checkpoint=None):
    """Return a run with its figures, or with the error that it ended in."""
    try:
        with warnings.catch_warnings():
            for category in EXPECTED:
                warnings.simplefilter("ignore", category)
            return run | measure(run, folder, n_rows, checkpoint)
    except Exception as error:
        return run | {"error": f"{type(error).__name__}: {error}"}


def chosen_cells(patterns):
    """Return the cells that a pattern names; those that need a GPU not by the name "*"."""
    return [
        name
        for name, cell in CELLS.items()
        if any(
            fnmatchcase(name, pattern) and not (pattern == "*" and cell.family.needs_gpu)
            for pattern in patterns
        )
    ]


def wanted_runs(args):
    """Return the runs asked for, seed by seed, so that a stopped series has whole seeds."""
    cells = chosen_cells(args.cells)
    params = dict(args.set)
    if args.epochs is not None:
        params["max_epochs"] = args.epochs
    if args.rows is not None:
        params["rows"] = args.rows
    return [
        {
            "cell": cell,
            "method": method,
            "seed": seed,
            "judge": args.judge,
            "tag": args.tag,
            "params": {
                key: value
                for key, value in params.items()
                if key != "max_epochs" or METHODS[method].is_network
            },
        }
        for seed in args.seeds
        for cell in cells
        for method in args.methods
        if METHODS[method].takes(CELLS[cell])
    ]


def remaining(runs, rows):
    """Return a guess of the seconds that runs will take, from those that were taken before."""
    taken = {}
    for row in rows:
        if "seconds" in row:
            family = CELLS[row["cell"]].family.name
            for group in ((family, row["method"]), family, None):
                taken.setdefault(group, []).append(row["seconds"])
    total = 0.0
    for run in runs:
        family = CELLS[run["cell"]].family.name
        groups = ((family, run["method"]), family, None)
        known = next((taken[group] for group in groups if group in taken), [0.0])
        total += float(np.mean(known))
    return total


def tell(row, count, of, rest):
    """Print one line about a run that has ended."""
    shown = row.get("error")
    if shown is None:
        metric = CELLS[row["cell"]].metric
        shown = f"{row[metric]:.2f} ({metric}), {row['seconds']:.1f} s"
    name = f"{row['cell']}, {row['method']}, seed {row['seed']}"
    print(f"{count}/{of} {name}: {shown}; about {rest / 60:.1f} min left", flush=True)


def without_missing(methods):
    """Leave out, aloud, the methods whose package is not there."""
    if "CleanLearning" not in methods or importlib.util.find_spec("cleanlab") is not None:
        return methods
    print("CleanLearning is left out: cleanlab is not installed (pip install cleanlab).")
    return [method for method in methods if method != "CleanLearning"]


def run_all(args):
    """Run what is missing; return the number of runs that failed."""
    results = read_results(args.out)
    runs = [
        run
        for run in wanted_runs(args)
        if key_of(run) not in results or (args.retry and "error" in results[key_of(run)])
    ]
    failed = 0
    for count, run in enumerate(runs, 1):
        checkpoint = checkpoint_of(run, args.checkpoints)
        row = attempt(run, args.data, args.rows, checkpoint)
        failed += "error" in row
        results[key_of(row)] = row
        append(args.out, row)
        if checkpoint is not None and "error" not in row:
            shutil.rmtree(checkpoint)
        tell(row, count, len(runs), remaining(runs[count:], results.values()))
    return failed


def setting(text):
    """Return name and value of ``KEY=VALUE``; what is no Python literal is a string."""
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"must be KEY=VALUE; got {text!r}")
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value


def parse(argv=None):
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", nargs="+", default=["*"], metavar="PATTERN")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--judge", choices=JUDGES, default="test")
    parser.add_argument("--data", type=Path, default=Path())
    parser.add_argument("--out", type=Path, default=Path("bench_accuracy.jsonl"))
    parser.add_argument("--set", nargs="+", type=setting, default=[], metavar="KEY=VALUE")
    parser.add_argument("--tag", default="", help="a name for what --set makes of the methods")
    parser.add_argument("--epochs", type=int, help="other epochs than the family's, to try out")
    parser.add_argument("--rows", type=int, help="at most so many training rows, to try out")
    parser.add_argument(
        "--checkpoints", type=Path, metavar="DIR", help="where runs that are cut off go on from"
    )
    parser.add_argument("--retry", action="store_true", help="run again what has failed")
    parser.add_argument("--list", action="store_true", help="show cells and methods, run nothing")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args(argv)
    if not chosen_cells(args.cells):
        parser.error(f"--cells must match a cell; got {args.cells}; --list shows them.")
    return args


def main(argv=None):
    """Run what is missing."""
    args = parse(argv)
    if args.list:
        for cell in chosen_cells(args.cells):
            takes = [m for m in args.methods if METHODS[m].takes(CELLS[cell])]
            print(f"{cell}: {'; '.join(takes)}")
        return 0
    args.methods = without_missing(args.methods)
    torch.set_num_threads(args.threads)
    failed = run_all(args)
    if failed:
        print(f"{failed} runs failed: see the errors in {args.out}; --retry runs them again.")
    return int(failed > 0)


if __name__ == "__main__":
    raise SystemExit(main())
