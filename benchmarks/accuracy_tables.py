"""Tables and a plot of what bench_accuracy.py has measured, losses included.

Writes accuracy.rst and accuracy.png into a folder: for each family a table of all methods, the
paired differences of class-pair weights to each of them, and the bar. The bar of a cell: at most
0.5 points below the best other method that uses no more rows, the standard error counted. It is

- held where the difference less its standard error is no worse than that,
- missed where even the difference plus its standard error is worse,
- open in between, and with a single seed.

The best other method is picked after the fact, on the rows that compare it, which favours it.

usage: accuracy_tables.py [FILE ...] [--folder DIR] [--judge test|held-out] [--ours METHOD]
"""

import argparse
import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from accuracy_cells import CELLS, FAMILIES, JUDGES
from accuracy_methods import BOUND, METHODS, OURS
from bench_accuracy import read_results

BAR = 0.5
COLUMNS = 5  # of a table
HELD, MISSED, OPEN = "held", "missed", "open"

# Okabe and Ito's colours and a shape each, told apart under every kind of colour vision.
SHOWN = {
    "the best other": ("#000000", "D"),
    "stopped early, fine-tuned": ("#E69F00", "o"),
    "gold loss correction": ("#0072B2", "s"),
    "GDW (paper)": ("#009E73", "^"),
    "plain": ("#D55E00", "v"),
}


def label_of(row):
    """Return what a run is shown as: its method, and what was changed about it."""
    if row["tag"]:
        return f"{row['method']} ({row['tag']})"
    changed = ", ".join(f"{key}={value}" for key, value in sorted(row["params"].items()))
    return f"{row['method']} [{changed}]" if changed else row["method"]


def collect(rows, judge):
    """Return {cell: {label: {seed: score}}} and {cell: {label: [error]}} of one judge."""
    scores = defaultdict(lambda: defaultdict(dict))
    errors = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row["judge"] != judge or row["cell"] not in CELLS:
            continue
        cell, label = row["cell"], label_of(row)
        if "error" in row:
            errors[cell][label].append(f"seed {row['seed']}: {row['error']}")
        elif row["seed"] in scores[cell][label]:
            raise ValueError(
                f"{cell}, {label}, seed {row['seed']} must stand for one run; got runs of several "
                "parameters; give them tags of their own."
            )
        else:
            scores[cell][label][row["seed"]] = row[CELLS[cell].metric]
    return scores, errors


@dataclass(frozen=True)
class Difference:
    """Ours less another method, over the seeds that both have."""

    mean: float
    error: float  # standard error; NaN of a single seed
    n_seeds: int

    def __str__(self):
        error = "one seed" if math.isnan(self.error) else f"± {self.error:.2f}"
        return f"{self.mean:+.2f} {error}"


def paired(ours, other):
    """Return the difference of two methods, or None without a common seed."""
    seeds = sorted(ours.keys() & other.keys())
    if not seeds:
        return None
    found = np.array([ours[seed] - other[seed] for seed in seeds])
    error = found.std(ddof=1) / math.sqrt(len(found)) if len(found) > 1 else math.nan
    return Difference(float(found.mean()), float(error), len(found))


def verdict(difference):
    """Return whether the bar is held, missed, or cannot be told yet."""
    if math.isnan(difference.error):
        return OPEN
    if difference.mean - difference.error >= -BAR:
        return HELD
    return MISSED if difference.mean + difference.error < -BAR else OPEN


def method_of(label):
    """Return the method behind a label."""
    return max((method for method in METHODS if label.startswith(method)), key=len)


def competitors(found, ours):
    """Return the labels that ours is measured by: no bound, no other setting of its own."""
    left_out = {BOUND, method_of(ours)}
    return [label for label in found if found[label] and method_of(label) not in left_out]


def best_other(found, ours):
    """Return the label of the best competitor: by paired differences if ours has runs, or means."""
    others = competitors(found, ours)
    differences = {label: paired(found.get(ours, {}), found[label]) for label in others}
    known = {label: d.mean for label, d in differences.items() if d is not None}
    if known:
        return min(known, key=known.get)
    means = {label: np.mean(list(found[label].values())) for label in others}
    return max(means, key=means.get) if means else None


def in_order(labels):
    """Return labels in the order of the methods, changed ones behind their own."""
    order = list(METHODS)
    return sorted(labels, key=lambda label: (order.index(method_of(label)), label))


def list_table(header, lines, widths):
    """Return a table in reStructuredText."""
    text = ".. list-table::\n   :header-rows: 1\n   :widths: " + " ".join(map(str, widths)) + "\n\n"
    for line in [header, *lines]:
        for column, entry in enumerate(line):
            mark = "   * - " if column == 0 else "     - "
            text += (mark + entry).rstrip() + "\n"
    return text + "\n"


def mean_entry(scores, errors, is_best):
    """Return mean ± standard deviation of a method in a cell, with what has failed."""
    values = list(scores.values())
    text = f"{np.mean(values):.1f}" if values else ""
    if len(values) > 1:
        text += f" ± {np.std(values, ddof=1):.1f}"
    if is_best and text:
        text = f"**{text}**"
    if errors:
        text = f"{text} ({len(errors)} failed)".strip()
    return text or "-"


def family_section(family, scores, errors, ours):
    """Return the section of a family: its tables, the differences below the means."""
    cells = [name for name, cell in CELLS.items() if cell.family.name == family]
    cells = [name for name in cells if name in scores or name in errors]
    text = f"{family}\n{'-' * len(family)}\n\n" if cells else ""
    for start in range(0, len(cells), COLUMNS):
        group = cells[start : start + COLUMNS]
        labels = in_order({label for c in group for label in [*scores[c], *errors[c]]})
        best = {cell: best_other(scores[cell], ours) for cell in group}
        header = ["method", *(cell.split("/", 1)[1] for cell in group)]
        widths = [32, *[16] * len(group)]
        means = [
            [
                label,
                *(
                    mean_entry(scores[c].get(label, {}), errors[c][label], label == best[c])
                    for c in group
                ),
            ]
            for label in labels
        ]
        seeds = [str(len(scores[cell].get(ours, {}))) for cell in group]
        metric = ["what is shown", *(CELLS[cell].metric for cell in group)]
        text += list_table(header, [*means, metric, [f"seeds of {ours}", *seeds]], widths)
        lines = []
        for label in labels:
            if label == ours:
                continue
            found = [paired(scores[c].get(ours, {}), scores[c].get(label, {})) for c in group]
            if any(found):
                lines.append([f"less {label}", *("-" if d is None else str(d) for d in found)])
        if lines:
            text += list_table([ours, *header[1:]], lines, widths)
    return text


def bar_check(scores, ours):
    """Return [(cell, best other, difference, verdict)] of all cells that ours has runs of."""
    found = []
    for cell in CELLS:
        best = best_other(scores[cell], ours) if cell in scores else None
        difference = best and paired(scores[cell].get(ours, {}), scores[cell][best])
        if difference:
            found.append((cell, best, difference, verdict(difference)))
    return found


def noise_section(rows, ours, judge):
    """Return how far the shares of wrong labels that were found are from what they are."""
    found = defaultdict(list)
    for row in rows:
        if row["judge"] == judge and label_of(row) == ours and "noise_rate" in row:
            found[row["cell"]].append((row["wrong_labels"], row["noise_rate"]))
    if not found:
        return ""
    lines = []
    for cell in CELLS:
        if cell in found:
            wrong, rate = 100 * np.array(found[cell]).T
            off = rate - wrong
            entries = f"{wrong.mean():.1f}", f"{rate.mean():.1f}", f"{np.sqrt(np.mean(off**2)):.1f}"
            lines.append([cell, *entries, str(len(off))])
    title = "Wrong labels found"
    header = ["cell", "wrong", "found", "off by", "seeds"]
    return (
        f"{title}\n{'-' * len(title)}\n\nShare of wrong labels among the training rows in %, as it "
        "is and by ``noise_rate_``, means over seeds, and the root mean square difference of the "
        "two.\n\n" + list_table(header, lines, [28, 12, 12, 12, 8])
    )


def write_rst(path, scores, errors, noise, ours, judge):
    """Write the page of tables."""
    title = f"Accuracy, judged on {judge} rows"
    text = (
        f"{title}\n{'=' * len(title)}\n\nIn %: mean ± standard deviation over "
        f"seeds. Bold: the best of those that {ours} compete with; *{BOUND}* are a bound. Below, "
        f"{ours} less each of the others over common seeds, ± its standard error.\n\n"
    )
    for family in FAMILIES:
        text += family_section(family, scores, errors, ours)
    checks = bar_check(scores, ours)
    title = "The bar"
    text += (
        f"{title}\n{'-' * len(title)}\n\n{ours.capitalize()} at most {BAR} points below the "
        f"best other that was run: held where the difference less its standard error is at least "
        f"-{BAR}, missed where the difference plus it is below, open in between "
        "and with a single seed. The best other is picked after the fact, which favours it.\n\n"
    )
    if checks:
        lines = [[c, best, str(d), str(d.n_seeds), v] for c, best, d, v in checks]
        header = ["cell", "best other", "difference", "seeds", "bar"]
        text += list_table(header, lines, [28, 28, 18, 8, 10])
        counts = [f"{sum(v == kind for *_, v in checks)} {kind}" for kind in (HELD, MISSED, OPEN)]
        text += f"Of {len(checks)} cells: {', '.join(counts)}.\n\n"
    text += noise
    failed = [(c, label, e) for c in errors for label in errors[c] for e in errors[c][label]]
    if failed:
        text += "Failed runs\n-----------\n\n"
        for cell, label, error in failed:
            text += f"- {cell}, {label}, ``{' '.join(error.replace('`', chr(39)).split())}``\n"
    path.write_text(text.rstrip() + "\n")
    return checks


def draw(path, scores, checks, ours):
    """Draw the differences of every cell, with their standard errors."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1.6 + 0.36 * len(checks)), layout="constrained")
    axes = figure.subplots()
    for number, (name, (colour, shape)) in enumerate(SHOWN.items()):
        for place, (cell, best, *_) in enumerate(checks):
            label = best if name == "the best other" else name
            found = paired(scores[cell].get(ours, {}), scores[cell].get(label, {}))
            if found is None:
                continue
            axes.errorbar(
                found.mean,
                place + 0.13 * (number - (len(SHOWN) - 1) / 2),
                xerr=None if math.isnan(found.error) else found.error,
                color=colour,
                marker=shape,
                markersize=5 if number else 6,
                capsize=2,
                linestyle="none",
            )
        axes.plot([], [], color=colour, marker=shape, linestyle="none", label=f"less {name}")
    axes.axvline(0, color="#555555", linewidth=1)
    axes.axvline(-BAR, color="#555555", linewidth=1, linestyle=":", label=f"the bar, -{BAR}")
    axes.set_xscale("symlog", linthresh=1)
    ticks = [-50, -20, -10, -5, -2, -1, 0, 1, 2, 5, 10, 20, 50]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_yticks(range(len(checks)), [cell for cell, *_ in checks])
    axes.set_ylim(len(checks) - 0.5, -0.5)
    axes.grid(axis="x", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel(f"{ours}: points above the other (± standard error; linear within 1)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    figure.savefig(path, dpi=150)


def main(argv=None):
    """Write tables and plot."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path, default=[Path("bench_accuracy.jsonl")])
    parser.add_argument("--folder", type=Path, default=Path())
    parser.add_argument("--judge", choices=JUDGES, default="test")
    parser.add_argument("--ours", default=OURS, help="as tables show it, tag included")
    args = parser.parse_args(argv)
    missing = [str(path) for path in args.files if not path.exists()]
    if missing:
        parser.error(f"FILE must be there; got {missing}; run bench_accuracy.py first.")
    rows = {}
    for path in args.files:
        rows |= read_results(path)
    scores, errors = collect(rows.values(), args.judge)
    args.folder.mkdir(parents=True, exist_ok=True)
    page = args.folder / "accuracy.rst"
    noise = noise_section(rows.values(), args.ours, args.judge)
    checks = write_rst(page, scores, errors, noise, args.ours, args.judge)
    for cell, best, difference, found in checks:
        print(f"{cell:28} {difference!s:16} to {best}: {found}")
    if checks:
        draw(args.folder / "accuracy.png", scores, checks, args.ours)


if __name__ == "__main__":
    main()
