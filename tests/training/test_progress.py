"""Where a bar can be seen, what it counts, and that its traces go away."""

import io
import pickle
import sys
import threading
from types import SimpleNamespace

import pytest
import torch
from skorch.history import History

from skgdw._training._plan import Stage
from skgdw._training._progress import FitLog, Progress, visible_stream


class Terminal(io.StringIO):
    def isatty(self):
        return True


def as_notebook():
    kind = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})
    return kind()


def open_terminal(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    return stream


def test_a_terminal_and_a_notebook_show_a_bar(monkeypatch):
    terminal = open_terminal(monkeypatch)
    assert visible_stream() is terminal
    notebook = as_notebook()
    monkeypatch.setattr(sys, "stdout", notebook)
    assert visible_stream() is notebook


@pytest.mark.parametrize("stream", [io.StringIO(), None, object()], ids=["file", "none", "own"])
def test_what_is_no_terminal_shows_none(monkeypatch, stream):
    open_terminal(monkeypatch)
    monkeypatch.setattr(sys, "stderr", stream)
    assert visible_stream() is None


def test_a_closed_terminal_shows_none(monkeypatch):
    class Closing(io.StringIO):
        def isatty(self):
            raise ValueError("I/O operation on closed file")

    monkeypatch.setattr(sys, "stderr", Closing())
    assert visible_stream() is None


def test_a_terminal_that_cannot_overwrite_lines_shows_none(monkeypatch):
    open_terminal(monkeypatch)
    monkeypatch.setenv("TERM", "dumb")
    assert visible_stream() is None


def test_a_worker_process_shows_none(monkeypatch):
    open_terminal(monkeypatch)
    monkeypatch.setattr("skgdw._training._progress.parent_process", lambda: object())
    assert visible_stream() is None


def test_a_second_thread_shows_none(monkeypatch):
    open_terminal(monkeypatch)
    seen = []
    thread = threading.Thread(target=lambda: seen.append(visible_stream()))
    thread.start()
    thread.join()
    assert seen == [None]


def net_at(loader, *, epochs=3, done=0, verbose=1, fine_tunes=False):
    stage = Stage("stage", None, epochs, fine_tunes=fine_tunes)
    session = SimpleNamespace(stage=stage, epochs=SimpleNamespace(loader=loader), n_epochs=done)
    return SimpleNamespace(verbose=verbose, _running=session)


def begun(net, delay=0.0):
    bar = Progress(delay=delay)
    bar.on_train_begin(net)
    bar.on_epoch_begin(net)
    return bar


def test_all_batches_of_a_stage_are_counted(monkeypatch):
    terminal = open_terminal(monkeypatch)
    net = net_at([0] * 4)
    bar = begun(net)
    for _ in range(4):
        bar.on_batch_end(net, training=True)
    bar.on_batch_end(net, training=False)
    assert (bar._bar.n, bar._bar.total) == (4, 12)
    assert "epoch 1/3" in terminal.getvalue()
    bar.on_train_end(net)
    assert bar._bar is None


def test_a_fit_that_goes_on_counts_what_is_left(monkeypatch):
    terminal = open_terminal(monkeypatch)
    bar = begun(net_at([0] * 4, done=2))
    assert bar._bar.total == 4
    assert "epoch 3/3" in terminal.getvalue()
    bar.forget()


def test_a_second_stage_has_a_bar_of_its_own(monkeypatch):
    terminal = open_terminal(monkeypatch)
    net = net_at([0] * 4)
    bar = begun(net)
    first = bar._bar
    later = net_at([0] * 2, epochs=30, fine_tunes=True)
    bar.on_epoch_begin(later)
    assert first.disable
    assert bar._bar.total == 60
    assert "fine-tuning, epoch 1/30" in terminal.getvalue()
    bar.forget()


def no_length():
    class Loader:
        def __len__(self):
            raise NotImplementedError

    return Loader()


@pytest.mark.parametrize("loader", [iter(()), no_length()], ids=["iterator", "refuses"])
def test_a_loader_without_length_has_a_bar_without_end(monkeypatch, loader):
    open_terminal(monkeypatch)
    bar = begun(net_at(loader))
    assert bar._bar.total is None
    bar.forget()


def test_nothing_is_written_before_the_delay(monkeypatch):
    terminal = open_terminal(monkeypatch)
    net = net_at([0])
    bar = begun(net, delay=1000.0)
    for _ in range(3):
        bar.on_batch_end(net, training=True)
        bar.on_epoch_end(net)
        bar.on_epoch_begin(net)
    bar.on_train_end(net)
    assert terminal.getvalue() == ""


def test_verbose_0_has_no_bar(monkeypatch):
    open_terminal(monkeypatch)
    assert begun(net_at([0], verbose=0))._bar is None


def test_no_thread_is_started(monkeypatch):
    open_terminal(monkeypatch)
    before = threading.active_count()
    bar = begun(net_at([0]))
    assert threading.active_count() == before
    bar.forget()


def test_a_running_bar_is_not_pickled(monkeypatch):
    open_terminal(monkeypatch)
    bar = begun(net_at([0]), delay=7.0)
    loaded = pickle.loads(pickle.dumps(bar))
    bar.forget()
    assert vars(loaded) == {"delay": 7.0}


def test_the_table_has_plain_numbers(capsys):
    log = FitLog().initialize()
    net = SimpleNamespace(history=History(), verbose=1)
    net.history.new_epoch()
    net.history.record("epoch", 1)
    net.history.record("mine", torch.tensor(0.25))
    log.on_epoch_end(net)
    assert capsys.readouterr().out.split()[-2:] == ["1", "0.2500"]
    assert type(net.history[-1, "mine"]) is float
