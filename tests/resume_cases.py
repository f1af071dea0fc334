"""Fits that are cut off and gone on with; run as a script it kills processes that train.

    python resume_cases.py NAME FOLDER N_KILLS

trains a fit whole, and once more in processes that are killed; what came of both lies in FOLDER as
``whole.pt`` and ``killed.pt``, and the number of events at which each was killed in ``kills.txt``.
"""

from __future__ import annotations

import mmap
import os
import random
import signal
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from torch import nn
from torch.optim import Adam
from torch.optim.lr_scheduler import ReduceLROnPlateau

from classifier_cases import blobs, quick
from skgdw import GDWClassifier
from skgdw.callbacks import Resume


class Normed(nn.Module):
    """Moves buffers and draws random numbers at every training pass."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3)
        )
        self.register_buffer("seen", torch.zeros(4), persistent=False)

    def forward(self, X):
        if self.training:
            self.seen.lerp_(X.detach().mean(dim=0), 0.1)
        return self.layers(X - 0.1 * self.seen)


def collate(samples):
    """Collate as a user would, in worker processes."""
    return torch.stack([x for x, _ in samples]), torch.tensor([int(y) for _, y in samples])


def noisy_blobs(n=60):
    """Return rows of which two in five have a wrong label, a meta set, and validation rows."""
    data = blobs(n=n, n_meta=15)
    y = np.where(np.arange(n) % 5 < 2, (data.y + 1) % 3, data.y)
    more = blobs(n=24, seed=1)
    return data._replace(y=y), {"X_val": more.X, "y_val": more.y}


class Case(NamedTuple):
    """A fit: parameters of the classifier, callbacks, and whether it has validation rows."""

    params: dict[str, Any]
    callbacks: Callable[[], list[tuple[str, Callback]]] = list
    validates: bool = False


def _stops_early():
    return [
        ("plateau", LRScheduler(ReduceLROnPlateau, monitor="train_loss", patience=0, factor=0.5)),
        ("early", EarlyStopping("train_loss", patience=3, threshold=0.05)),
    ]


CASES = {
    "weighted": Case({"batch_size": 12, "max_epochs": 6}),
    "adam": Case(
        {
            "optimizer": Adam,
            "lr": 0.01,
            "meta_every": 3,
            "weighting": "class_pair",
            "weighting__warm_up": 0.5,
            "batch_size": 7,
            "max_epochs": 6,
            "keep_best": True,
        },
        validates=True,
    ),
    "careful": Case({"weighting": "uniform", "fine_tune": True, "batch_size": 12, "max_epochs": 6}),
    "loaders": Case(
        {
            "batch_size": 20,
            "max_epochs": 12,
            "iterator_train__collate_fn": collate,
            "iterator_train__num_workers": 1,
            "iterator_meta__collate_fn": collate,
        },
        callbacks=_stops_early,
    ),
}


def classifier(name: str, callbacks: list[Any], **params: Any) -> GDWClassifier:
    """Return the classifier of a case, not fitted yet."""
    case = CASES[name]
    return quick(Normed, **{**case.params, "callbacks": [*case.callbacks(), *callbacks], **params})


def fit(net: GDWClassifier, *, validates: bool = False) -> GDWClassifier:
    """Fit on noisy rows."""
    data, beside = noisy_blobs()
    return net.fit(*data, **(beside if validates else {}))


def outcome(net: GDWClassifier) -> dict[str, torch.Tensor]:
    """Return what came of a fit in tensors by name: nothing of it may hang on interruptions."""
    found = {}
    parts = {
        "module": net.module_,
        "weighting": net.weighting_,
        "criterion": net.criterion_,
    }
    for part, module in parts.items():
        for key, value in module.state_dict().items():
            told = isinstance(value, dict)  # besides tensors
            found[f"{part} {key}"] = torch.tensor([*value.values()]) if told else value
        for key, parameter in module.named_parameters():
            found[f"{part} {key} learns"] = torch.tensor(parameter.requires_grad)
    for part, optimizer in (("optimizer", net.optimizer_), ("second", net.weight_net_optimizer_)):
        for number, state in optimizer.state_dict()["state"].items():
            for key, value in state.items():
                if value is not None:
                    found[f"{part} {number} {key}"] = torch.as_tensor(value)
        rates = [group["lr"] for group in optimizer.param_groups]
        found[f"{part} rates"] = torch.tensor(rates, dtype=torch.float64)
    X, names = noisy_blobs()[0].X, [key for key in net.history[0] if key not in ("batches", "dur")]
    found["probabilities"] = torch.as_tensor(net.predict_proba(X))
    for number, epoch in enumerate(net.history):
        names = [key for key in epoch if key not in ("batches", "dur", "stage")]
        for key in names:
            found[f"epoch {number} {key}"] = torch.tensor(epoch[key], dtype=torch.float64)
        for k, batch in enumerate(epoch["batches"]):
            for key, value in batch.items():
                found[f"epoch {number} batch {k} {key}"] = torch.tensor(value, dtype=torch.float64)
    for key, column in net.row_ledger_.items():
        found[f"ledger {key}"] = torch.as_tensor(column)
    found["seed"] = torch.tensor(net._random.get_state()[2])
    return found


def differences(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> list[str]:
    """Return the names of what is not equal to the last bit."""
    return [
        name
        for name in sorted(first.keys() | second.keys())
        if name not in first
        or name not in second
        or not np.array_equal(
            first[name].numpy(), second[name].numpy(), equal_nan=first[name].is_floating_point()
        )
    ]


# --- processes ----------------------------------------------------------------------------------

# A process that trains goes on for so many events after the one it is to be killed at, and waits.
_SLACK = 2


class Counts(Callback):
    """Tells another process how far the training is, and waits for its end if it got too far.

    Events are counted over the whole fit, so that a process that goes on counts on.
    """

    def __init__(self, shared: mmap.mmap) -> None:
        self.shared = shared

    def tick(self) -> None:
        reached, limit = struct.unpack("qq", self.shared[:16])
        self.shared[:8] = struct.pack("q", reached + 1)
        while 0 < limit <= reached:
            time.sleep(1)  # until it is killed

    def on_epoch_begin(self, net, **kwargs):
        # Two events of a batch each; one where an epoch begins, one where it ends, two as it is
        # written.
        done = net.history[:-1]
        count = sum(2 * len(epoch["batches"]) + 4 for epoch in done)
        self.shared[:8] = struct.pack("q", count)
        self.tick()

    def on_batch_begin(self, net, training=False, **kwargs):
        if training:
            self.tick()

    def on_batch_end(self, net, training=False, **kwargs):
        if training:
            self.tick()

    def on_epoch_end(self, net, **kwargs):
        self.tick()


def train(name: str, folder: Path, shared: mmap.mmap, result: Path) -> None:
    """Fit in this process, counting, and keep what came of it."""
    counts, fsync, replace = Counts(shared), os.fsync, Path.replace

    def counted_fsync(file: int) -> None:
        fsync(file)
        counts.tick()

    def counted_replace(path: Path, target: Path) -> Path:
        found = replace(path, target)
        counts.tick()
        return found

    os.fsync, Path.replace = counted_fsync, counted_replace
    callbacks = [("counts", counts), ("resume", Resume(folder))]
    net = fit(classifier(name, callbacks), validates=CASES[name].validates)
    torch.save(outcome(net), result)


def forked(task: Callable[[], None]) -> int:
    """Start a task in a process of its own and return the process's number."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.setpgid(0, 0)  # so that loaders' workers are killed with it
        task()
        code = 0
    finally:
        sys.stderr.flush()
        os._exit(code)


def main(name: str, folder: Path, n_kills: int) -> None:
    """Train whole, then with kills."""
    torch.set_num_threads(1)
    fit(quick(Normed))  # what the first fit of a process imports and compiles is inherited
    shared = mmap.mmap(-1, 16)

    def start(state: str, limit: int) -> int:
        shared[:16] = struct.pack("qq", 0, limit)
        return forked(lambda: train(name, folder / state, shared, folder / f"{state}.pt"))

    def end(child: int) -> None:
        _, status = os.waitpid(child, 0)
        if status:
            raise RuntimeError(f"training ended with {status}")

    end(start("whole", 0))
    n_events = struct.unpack("q", shared[:8])[0]
    rng = random.Random(name)
    kills = sorted(rng.sample(range(1, n_events - _SLACK), n_kills))
    for kill in kills:
        child = start("killed", kill + _SLACK)
        while struct.unpack("q", shared[:8])[0] < kill:
            if os.waitpid(child, os.WNOHANG)[0]:
                raise RuntimeError(f"training ended before it was killed at event {kill}")
            time.sleep(0.0002)
        time.sleep(rng.random() * 0.003)  # in the midst of something
        os.killpg(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WTERMSIG(status) != signal.SIGKILL:
            raise RuntimeError(f"training ended with {status} before it was killed")
    end(start("killed", 0))
    (folder / "kills.txt").write_text(f"{kills} of {n_events}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
