"""What is to be seen of a fit in a terminal, in a notebook, in a file: a bar, and a table."""

import contextlib
import io
import os
import pickle
import pty
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from skorch.callbacks import Callback, EarlyStopping, EpochScoring, ProgressBar
from skorch.dataset import ValidSplit
from torch import nn

from classifier_cases import blobs, quick

DATA = blobs()
WEIGHTINGS = ("class_pair", "class", "instance", "network", "uniform")
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def open_terminal(monkeypatch):
    """Return what stands for stdout and stderr, both of one terminal."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    return stream


def screen(text):
    """Return the lines that a terminal shows after a text."""
    lines, row, column = [[]], 0, 0
    for character in COLOURS.sub("", text):
        if character == "\r":
            column = 0
        elif character == "\n":
            row, column = row + 1, 0
            lines.append([])
        else:
            line = lines[row]
            line += " " * (column + 1 - len(line))
            line[column] = character
            column += 1
    return [line for line in ("".join(line).rstrip() for line in lines) if line]


def shown(**params):
    """Return a classifier whose bar does not wait, and whose table has no times in it."""
    given = {
        "verbose": 1,
        "max_epochs": 3,
        "batch_size": 8,
        "callbacks__progress__delay": 0.0,
        "callbacks__epoch_timer": None,
    }
    return quick(**{**given, **params})


# --- the bar ------------------------------------------------------------------------------------


def test_the_table_reads_as_it_does_without_a_bar(monkeypatch):
    terminal = open_terminal(monkeypatch)
    shown(fine_tune=True).fit(*DATA)
    with_bar = terminal.getvalue()
    terminal.seek(0)
    terminal.truncate()
    quick(
        fine_tune=True,
        verbose=1,
        max_epochs=3,
        batch_size=8,
        callbacks__epoch_timer=None,
        callbacks__progress=None,
    ).fit(*DATA)
    assert "batches" in with_bar
    assert "batches" not in terminal.getvalue()
    assert screen(with_bar) == screen(terminal.getvalue())
    assert len(screen(with_bar)) >= 5


def in_a_pseudo_terminal(script):
    """Run a script whose output goes to a terminal that does not say how wide it is."""
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("COLUMNS", None)
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=follower,
        env=environment,
    )
    os.close(follower)
    text = b""
    # Linux reports the end of a terminal as an error.
    with contextlib.suppress(OSError):
        while part := os.read(leader, 65536):
            text += part
    os.close(leader)
    assert process.wait() == 0, text
    return text.decode()


def test_a_real_terminal_of_unknown_size():
    text = in_a_pseudo_terminal(
        "from classifier_cases import blobs, quick\n"
        "quick(verbose=1, max_epochs=2, callbacks__progress__delay=0.0).fit(*blobs())\n"
    )
    assert "epoch 2/2" in text
    assert len(screen(text)) == 4


def test_a_short_fit_shows_the_table_alone(monkeypatch):
    terminal = open_terminal(monkeypatch)
    shown(callbacks__progress__delay=5.0).fit(*DATA)
    assert "\r" not in terminal.getvalue()
    assert len(screen(terminal.getvalue())) == 5


def test_by_default_a_fit_of_seconds_shows_no_bar(monkeypatch):
    terminal = open_terminal(monkeypatch)
    quick(verbose=1).fit(*DATA)
    assert "\r" not in terminal.getvalue()


def test_a_notebook_has_the_bar_among_its_output(monkeypatch):
    notebook = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})()
    monkeypatch.setattr(sys, "stdout", notebook)
    shown().fit(*DATA)
    assert "epoch 3/3" in notebook.getvalue()
    assert len(screen(notebook.getvalue())) == 5


def test_output_to_a_file_has_no_bar(capsys):
    shown().fit(*DATA)
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "\r" not in captured.out


def test_verbose_0_writes_nothing(monkeypatch):
    terminal = open_terminal(monkeypatch)
    shown(verbose=0).fit(*DATA)
    assert terminal.getvalue() == ""


def test_threads_show_no_bar(monkeypatch):
    terminal = open_terminal(monkeypatch)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: shown(verbose=1).fit(*DATA), range(2)))
    assert "batches" not in terminal.getvalue()


def test_workers_show_no_bar(monkeypatch):
    open_terminal(monkeypatch)

    def stream_in_a_terminal():
        from skgdw._training._progress import visible_stream

        class Terminal(io.StringIO):
            def isatty(self):
                return True

        kept, sys.stderr = sys.stderr, Terminal()
        try:
            return visible_stream() is not None
        finally:
            sys.stderr = kept

    assert stream_in_a_terminal()
    assert Parallel(n_jobs=2)([delayed(stream_in_a_terminal)()]) == [False]


def test_a_search_in_this_process_leaves_a_clean_screen(monkeypatch):
    terminal = open_terminal(monkeypatch)
    meta = {"X_meta": (DATA.X_meta,), "y_meta": (DATA.y_meta,)}
    cross_val_score(shown(), DATA.X, DATA.y, cv=2, params=meta)
    assert len(screen(terminal.getvalue())) == 2 * 5


def test_partial_fit_has_a_bar_each_time(monkeypatch):
    terminal = open_terminal(monkeypatch)
    net = shown(max_epochs=1)
    for _ in range(2):
        net.partial_fit(*DATA[:2], X_meta=DATA.X_meta, y_meta=DATA.y_meta)
    assert terminal.getvalue().count("epoch 1/1") >= 2
    assert not any("batches" in line for line in screen(terminal.getvalue()))


# --- ends of a fit ------------------------------------------------------------------------------


class Raises(Callback):
    def __init__(self, error):
        self.error = error

    def on_batch_end(self, net, training=False, **kwargs):
        if len(net.history) == 2:
            raise self.error


def test_an_interrupt_takes_the_bar_away(monkeypatch):
    terminal = open_terminal(monkeypatch)
    net = shown(callbacks=[Raises(KeyboardInterrupt())]).fit(*DATA)
    assert "epoch 2/3" in terminal.getvalue()
    assert len(screen(terminal.getvalue())) == 3
    assert net.predict(DATA.X).shape == (48,)


def test_an_error_takes_the_bar_away(monkeypatch):
    terminal = open_terminal(monkeypatch)
    with pytest.raises(RuntimeError, match="of the user's"):
        shown(callbacks=[Raises(RuntimeError("of the user's"))]).fit(*DATA)
    assert "epoch 2/3" in terminal.getvalue()
    assert len(screen(terminal.getvalue())) == 3


def test_stopping_early_takes_the_bar_away(monkeypatch):
    terminal = open_terminal(monkeypatch)
    stop = EarlyStopping("train_loss", patience=1, threshold=10.0, threshold_mode="abs")
    shown(callbacks=[stop], max_epochs=9).fit(*DATA)
    lines = screen(terminal.getvalue())
    assert "epoch 2/9" in terminal.getvalue()
    assert lines[-1].startswith("Stopping since")
    assert len(lines) == 2 + 1 + 1  # skorch prints no line for the epoch that stops


# --- copies -------------------------------------------------------------------------------------


class Pickles(Callback):
    """Pickles the net in the midst of an epoch, as a checkpoint of a user's own may."""

    def on_batch_end(self, net, training=False, **kwargs):
        type(self).loaded = pickle.loads(pickle.dumps(net))


def test_a_net_can_be_pickled_while_its_bar_is_up(monkeypatch):
    terminal = open_terminal(monkeypatch)
    shown(callbacks=[Pickles()], max_epochs=1).fit(*DATA)
    assert "epoch 1/1" in terminal.getvalue()
    losses = [batch["train_loss"] for batch in Pickles.loaded.history_[-1]["batches"]]
    assert {type(loss) for loss in losses} == {float}
    assert np.isfinite(Pickles.loaded.predict_proba(DATA.X)).all()


@pytest.mark.parametrize("copied", [clone, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_keep_what_was_set_of_the_bar(copied, monkeypatch):
    terminal = open_terminal(monkeypatch)
    net = shown(verbose=0).fit(*DATA)
    assert "callbacks__progress__delay" in net.get_params()
    copied(net).set_params(verbose=1).fit(*DATA)
    assert "batches" in terminal.getvalue()
    open_terminal(monkeypatch)
    copied(net).set_params(verbose=1, callbacks__progress__delay=99.0).fit(*DATA)
    assert "batches" not in sys.stderr.getvalue()


# --- numbers ------------------------------------------------------------------------------------


def in_float64():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).double()


KINDS = {
    "float32": {},
    "float64": {"module": in_float64()},
    "bf16": {"precision": "bf16"},
    "two stages": {"fine_tune": True, "max_epochs": 2},
    "validation": {"keep_best": True, "train_split": ValidSplit(3, stratified=True)},
}
PLAIN = (bool, int, float, str)


class Records(Callback):
    """Records figures the way users do."""

    def on_epoch_end(self, net, **kwargs):
        net.history.record("of a tensor", torch.tensor(0.5))
        net.history.record("of numpy", np.float32(0.5))


@pytest.mark.parametrize("params", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_all_that_is_printed_and_kept_is_plain(weighting, params, capsys):
    callbacks = [Records(), EpochScoring("balanced_accuracy", name="balanced", on_train=True)]
    net = quick(**{"weighting": weighting, "verbose": 1, "callbacks": callbacks, **params})
    net.fit(*DATA)
    printed = capsys.readouterr().out
    assert "tensor" not in COLOURS.sub("", printed).replace("of a tensor", "")
    assert "of a tensor" in printed
    for epoch in net.history_:
        figures = {name: value for name, value in epoch.items() if name != "batches"}
        batches = {name: value for batch in epoch["batches"] for name, value in batch.items()}
        assert {name: type(v) for name, v in figures.items() if type(v) not in PLAIN} == {}
        assert {name: type(v) for name, v in batches.items() if type(v) not in PLAIN} == {}
    assert "float64" not in repr(net.history_[:, "train_loss"])


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_skorchs_own_bar_shows_numbers(monkeypatch, weighting):
    terminal = open_terminal(monkeypatch)
    keys = ["train_loss", "meta_loss", "weight_given"]
    bar = ProgressBar(detect_notebook=False, postfix_keys=keys)
    net = quick(weighting=weighting, verbose=0, batch_size=8, callbacks=[bar])
    net.fit(*DATA)
    text = terminal.getvalue()
    assert "batches" not in text  # ours has made way
    assert "tensor" not in text


@pytest.mark.parametrize("verbose", [0, 1], ids=["without", "with"])
def test_no_number_is_asked_for_between_the_batches(monkeypatch, verbose):
    """A figure that is read makes the host wait for the device."""
    terminal = open_terminal(monkeypatch)
    asked = []
    for name in ("item", "tolist", "cpu", "numpy", "__float__", "__bool__", "__int__"):
        ask = getattr(torch.Tensor, name)

        def asks(tensor, *args, ask=ask, name=name):
            asked.append(name)
            return ask(tensor, *args)

        monkeypatch.setattr(torch.Tensor, name, asks)
    shown(verbose=0).fit(*DATA)
    without, asked[:] = list(asked), []
    shown(verbose=verbose).fit(*DATA)
    assert ("batches" in terminal.getvalue()) is bool(verbose)
    assert asked == without
