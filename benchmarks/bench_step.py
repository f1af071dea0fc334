"""What one training step costs, as a multiple of a plain skorch step in the same run.

ResNet-32 on random images of 32x32x3, batch 100, meta batch 100. Short fits of all variants take
turns; of each fit the mean over all steps but the first ones counts, of the fits the median. Prints
a table with the bar of each row and a JSON line. With SKGDW_CUDA_GRAPH=1 on a GPU, --skip has to
leave out the steps that are captured.

usage: bench_step.py [--rounds N] [--steps N] [--skip N] [--threads N] [--device NAME]
                     [--only WORD ...]
"""

import argparse
import json
import time
import warnings

import numpy as np
import torch
from bench_fast import FAST
from machine import describe
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback

from skgdw import GDWClassifier
from skgdw.exceptions import SkgdwWarning
from skgdw.modules import ResNet32

BATCH = 100
SGD = {"lr": 0.1, "optimizer__momentum": 0.9, "optimizer__weight_decay": 5e-4}
PLAIN, DEFAULT, MANY = "plain skorch", "class", "class, 1000 classes"
CLASS = {"weighting": "class"}

# Name, parameters of GDWClassifier, bar and aim as multiples of a plain step.
VARIANTS = [
    ("class pairs (default)", {"weighting__warm_up": 0.0}, 1.6, 1.35),
    ("class pairs, every step", {"weighting__warm_up": 0.0, "meta_every": 1}, 3.2, None),
    (DEFAULT, CLASS, 3.2, 2.5),
    ("class, forward", {**CLASS, "meta_gradient": "forward"}, 4.0, 3.3),
    ("class, difference", {**CLASS, "meta_gradient": "difference"}, None, None),
    ("class, unrolled", {**CLASS, "meta_gradient": "unrolled"}, None, None),
    ("class, meta batch 50", {**CLASS, "iterator_meta__batch_size": 50}, None, None),
    ("class, fast", {**CLASS, **FAST}, 2.0, 1.3),
    ("instance", {"weighting": "instance"}, None, None),
    ("network", {"weighting": "network"}, None, None),
    ("uniform", {"weighting": "uniform"}, None, None),
    (MANY, {**CLASS, "classes": 1000}, None, None),
]


class StepTimes(Callback):
    """Notes the time from the end of one step to the end of the next."""

    def __init__(self, device):
        self.device = device

    def on_train_begin(self, net, **kwargs):
        self.ends_ = []

    def on_batch_end(self, net, **kwargs):
        if self.device == "cuda":
            torch.cuda.synchronize()
        self.ends_.append(time.perf_counter())


def images(n, n_classes, seed):
    """Return random images and labels in which every class stands once if it can."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3, 32, 32)).astype(np.float32)
    return X, np.arange(n) % n_classes


def run(name, params, args):
    """Fit once; return the mean time of the steps that count."""
    steps, device = args.steps, args.device
    params = dict(params)
    n_classes = params.pop("classes", 10)
    X, y = images(BATCH * steps, n_classes, 0)
    times = StepTimes(device)
    common = {"batch_size": BATCH, "max_epochs": 1, "verbose": 0, "callbacks": [times], **SGD}
    if name == PLAIN:
        NeuralNetClassifier(
            ResNet32,
            module__n_classes=n_classes,
            criterion=torch.nn.CrossEntropyLoss,
            train_split=None,
            iterator_train__shuffle=True,
            device=device,
            **common,
        ).fit(X, y)
    else:
        net = GDWClassifier(
            ResNet32,
            module__n_classes=n_classes,
            device=device,
            random_state=0,
            classes=np.arange(n_classes),
            **common,
            **params,
        )
        net.fit(X, y, *images(2 * BATCH, n_classes, 1))
    ends = times.ends_[args.skip - 1 :]
    return (ends[-1] - ends[0]) / (len(ends) - 1)


def main():
    """Let all variants take turns and print their medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    # The fast variant takes a meta batch in one of the ten that count.
    parser.add_argument("--steps", type=int, default=11, help="steps of each fit")
    parser.add_argument("--skip", type=int, default=1, help="first steps that do not count")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", nargs="+", default=[""], help="words in the variants' names")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    warnings.simplefilter("ignore", SkgdwWarning)
    plain = (PLAIN, {}, None, None)
    chosen = [plain, *(v for v in VARIANTS if any(word in v[0] for word in args.only))]
    times = {name: [] for name, *_ in chosen}
    for _ in range(args.rounds):
        for name, params, *_ in chosen:
            times[name].append(run(name, params, args))
    median = {name: float(np.median(found)) for name, found in times.items()}
    print(f"ResNet-32, batch {BATCH}, {args.device}, {describe(args.threads)}")
    print(f"{'step':24}{'ms':>9}{'x plain':>9}{'bar':>7}{'aim':>7}")
    for name, _, bar, aim in chosen:
        ratio = median[name] / median[PLAIN]
        cells = "".join(f"{'' if value is None else value:>7}" for value in (bar, aim))
        print(f"{name:24}{1e3 * median[name]:9.1f}{ratio:9.2f}{cells}")
    if MANY in median and DEFAULT in median:
        ratio = median[MANY] / median[DEFAULT]
        print(f"{MANY}, as a multiple of {DEFAULT}: {ratio:.2f} (bar 1.2, aim 1.05)")
    print(json.dumps({"bench": "step", "device": args.device, "median_s": median}))


if __name__ == "__main__":
    main()
