"""What is to be seen of a fit while it runs: a bar, and the table of its epochs."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from multiprocessing import parent_process
from typing import Any, ClassVar, Protocol, TextIO

from skorch.callbacks import Callback, PrintLog
from skorch.history import History
from tqdm import tqdm

from skgdw._training._metrics import make_plain
from skgdw._training._plan import Stage

# Of a terminal, for bars that stand below bars of a user's.
_ROWS = 24


class _Epochs(Protocol):
    loader: object


class _Session(Protocol):
    """What is asked of a session: where it is."""

    stage: Stage | None
    epochs: _Epochs | None
    n_epochs: int


class _Net(Protocol):
    """What is asked of the classifier."""

    verbose: int
    _running: _Session


class _Logged(Protocol):
    history: History


class _Bar(tqdm):
    """A bar of tqdm's that starts no thread and makes no lock between processes for a fit."""

    monitor_interval: ClassVar[float] = 0
    _lock = threading.RLock()

    @property
    def is_shown(self) -> bool:
        """Whether anything of it has been written and not been closed."""
        is_on = not self.disable
        return is_on and bool(self.last_print_t >= self.start_t + self.delay)


class Progress(Callback):
    """A bar that counts the batches of a fit, where someone can see it.

    That is in a terminal or a notebook, in the main thread of the main process, and with
    ``verbose`` on. It counts on the host and never asks the device for a number.

    Parameters
    ----------
    delay : float, default=5.0
        Seconds that a stage of training has to take before its bar is shown.
    """

    _bar: _Bar | None = None
    _stage: Stage | None = None
    _stream: TextIO | None = None

    def __init__(self, delay: float = 5.0) -> None:
        self.delay = delay

    def on_train_begin(self, net: _Net, **kwargs: Any) -> None:
        """Find out whether and where the bar can be seen."""
        self.forget()
        self._stream = visible_stream() if net.verbose else None

    def on_epoch_begin(self, net: _Net, **kwargs: Any) -> None:
        """Start the bar of a stage with its first epoch; put it back after the table's line."""
        session = net._running
        stage, epochs = session.stage, session.epochs
        if self._stream is None or stage is None or epochs is None:
            return
        if self._bar is None or self._stage is not stage:
            self._close()
            self._stage = stage
            n_batches = _length(epochs.loader)
            n_left = stage.epochs - session.n_epochs
            self._bar = _Bar(
                total=None if n_batches is None else n_batches * n_left,
                file=self._stream,
                delay=self.delay,
                leave=False,
                ncols=_width(),
                nrows=_ROWS,
                mininterval=0.5,  # notebooks keep all that is ever written
                miniters=1,
                unit=" batches",
            )
        self._bar.ncols = _width()
        name = "fine-tuning, epoch" if stage.fine_tunes else "epoch"
        self._bar.set_description(f"{name} {session.n_epochs + 1}/{stage.epochs}", refresh=False)
        if self._bar.is_shown:
            self._bar.refresh()

    def on_batch_end(self, net: _Net, training: bool = False, **kwargs: Any) -> None:
        """Count a training batch."""
        if training and self._bar is not None:
            self._bar.update()

    def on_epoch_end(self, net: _Net, **kwargs: Any) -> None:
        """Leave the line to who prints now."""
        if self._bar is not None and self._bar.is_shown:
            self._bar.clear()

    def on_train_end(self, net: _Net, **kwargs: Any) -> None:
        """Take the bar away."""
        self.forget()

    def forget(self) -> None:
        """Take the bar away, also where the training ended with an error."""
        self._close()
        for name in ("_stage", "_stream"):
            self.__dict__.pop(name, None)

    def _close(self) -> None:
        bar: _Bar | None = self.__dict__.pop("_bar", None)
        if bar is not None:
            bar.close()

    def __getstate__(self) -> dict[str, object]:
        """Leave out what belongs to the terminal and to one run."""
        passing = ("_bar", "_stage", "_stream")
        return {key: value for key, value in vars(self).items() if key not in passing}


class FitLog(PrintLog):
    """skorch's table, of plain numbers: what callbacks have recorded as tensors is made such."""

    def on_epoch_end(self, net: _Logged, **kwargs: Any) -> None:
        """Print the line of an epoch."""
        make_plain(net.history)
        super().on_epoch_end(net, **kwargs)


def visible_stream() -> TextIO | None:
    """Return where a bar can be seen by someone, None where it would only be in the way.

    Returns
    -------
    text stream or None
        ``sys.stdout`` of a notebook, or ``sys.stderr`` where it is a terminal. None in workers,
        whose bars would write over each other, and where the output goes to a file.
    """
    if parent_process() is not None or threading.current_thread() is not threading.main_thread():
        return None
    # What a notebook has for stdout is no terminal, but knows how to overwrite a line.
    if type(sys.stdout).__module__.partition(".")[0] == "ipykernel":
        return sys.stdout
    stream = sys.stderr
    try:
        is_terminal = stream.isatty()
    except (AttributeError, ValueError):  # none at all, one of a user's, one that is closed
        return None
    return stream if is_terminal and os.environ.get("TERM") != "dumb" else None


def _width() -> int:
    # Not by tqdm, which writes nothing where a terminal does not say how wide it is.
    return shutil.get_terminal_size().columns - 1


def _length(loader: object) -> int | None:
    try:
        return len(loader)  # type: ignore[arg-type]
    except (TypeError, NotImplementedError):
        return None
