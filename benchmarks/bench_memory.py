"""What a training step adds to the memory of the process, beside a plain skorch step.

ResNet-32 on 32x32x3, batch 100, meta batch 100. Each variant runs a short fit in a process of its
own. Two ratios: of the peaks of the resident sets, libraries and all, which the bar is for, and of
what the fits added to them.

usage: bench_memory.py [--rounds N] [--threads N]
"""

import argparse
import json
import resource
import subprocess
import sys

import numpy as np
import torch
from bench_step import PLAIN, run
from machine import describe

# Name, parameters of GDWClassifier, bar and aim as multiples of a plain step.
VARIANTS = [
    (PLAIN, {}, None, None),
    ("class pairs (default)", {"weighting__warm_up": 0.0}, 1.6, 1.2),
    ("class", {"weighting": "class"}, 1.6, 1.2),
    ("class, difference", {"weighting": "class", "meta_gradient": "difference"}, None, None),
    ("class, unrolled", {"weighting": "class", "meta_gradient": "unrolled"}, None, None),
    ("uniform", {"weighting": "uniform"}, None, None),
]
STEPS = 4


def peak_mb():
    """Return the peak of the resident set so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def one(name, threads):
    """Fit once in this process and print by how much the peak grew, and to what, in MB."""
    torch.set_num_threads(threads)
    params = next(params for known, params, *_ in VARIANTS if known == name)
    before = peak_mb()
    run(name, params, STEPS, "cpu")
    print(json.dumps({"grown": peak_mb() - before, "peak": peak_mb()}))


def main():
    """Run each variant in processes of their own and print medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        one(args.one, args.threads)
        return
    found = {name: [] for name, *_ in VARIANTS}
    for _ in range(args.rounds):
        for name in found:
            command = [sys.executable, "-W", "ignore", __file__, "--one", name]
            command += ["--threads", str(args.threads)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[name].append(json.loads(done.stdout.splitlines()[-1]))
    grown = {name: float(np.median([r["grown"] for r in rows])) for name, rows in found.items()}
    peak = {name: float(np.median([r["peak"] for r in rows])) for name, rows in found.items()}
    print(f"ResNet-32, batch 100, {describe(args.threads)}")
    print(f"{'step':22}{'peak MB':>9}{'ratio':>7}{'bar':>6}{'aim':>6}{'added MB':>10}{'ratio':>7}")
    for name, _, bar, aim in VARIANTS:
        cells = "".join(f"{'' if value is None else value:>6}" for value in (bar, aim))
        more, most = grown[name] / grown[PLAIN], peak[name] / peak[PLAIN]
        print(f"{name:22}{peak[name]:9.0f}{most:7.2f}{cells}{grown[name]:10.0f}{more:7.2f}")
    print(json.dumps({"bench": "memory", "grown_mb": grown, "peak_mb": peak}))


if __name__ == "__main__":
    main()
