"""Going on with a fit that was cut off."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, Self

from skorch.callbacks import Callback

from skgdw._training._checkpoint import Saved, check_belongs, read, sweep, write

_FILE = "resume.pt"


class _Net(Protocol):
    """What is asked of the classifier: everything that a fit can go on from."""

    _is_partial_fit: bool

    def fingerprint(self) -> dict[str, str]:
        """Return what a saved state must have been made with."""

    def saved_state(self, fingerprint: dict[str, str]) -> Saved:
        """Return the state between two epochs."""


class Resume(Callback):
    """Writes the state of a fit after each epoch, and goes on from it when it is called again.

    A fit that is cut off at any moment and called again with the same parameters and data gives
    what it would have given: the same parameters, predictions and losses, to the last bit on the
    same machine. It trains for ``max_epochs`` in all. Called once more after it has ended, it only
    reads the result.

    Parameters
    ----------
    dirname : str or path
        Where ``resume.pt`` is kept; made if it is not there. One fit has one directory: in a search
        or cross-validation the fits would meet in it.

    Raises
    ------
    ValueError
        In ``fit``, if the directory holds the state of a fit with other parameters or other data;
        in ``partial_fit``, which has no end to go on to.
    TypeError, OSError
        In ``fit``, if `dirname` is no path, or no directory can be made of it.

    Notes
    -----
    The file is replaced in one step, so that it is whole at any moment. It holds tensors, numbers
    and texts, and is read without unpickling any code. Of other callbacks the attributes that end
    in an underscore are kept, where they are plain; a fit that one of them stopped early has ended.
    What callbacks record in the history goes through JSON: tuples become lists, and keys texts.

    Parameters and data are compared with those of the fit that was cut off, and all that differ are
    named. ``verbose``, ``device`` and other callbacks may differ, but for schedules of the rate. Of
    a Dataset only the class, the number of rows and labels that come beside it are compared; of
    modules and weightings given as instances all but parameters whose first values were drawn; of a
    RandomState nothing, as every fit moves it.

    Rows that a user's own loader, sampler, split or Dataset draws from a source of its own, torch's
    or numpy's global one among them, may differ from what would have been drawn.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.datasets import load_iris
    >>> from skgdw import GDWClassifier
    >>> from skgdw.callbacks import Resume
    >>> from skgdw.model_selection import split_meta
    >>> data = split_meta(*load_iris(return_X_y=True), 30, random_state=0)
    >>> with tempfile.TemporaryDirectory() as dirname:
    ...     callbacks = [("resume", Resume(dirname))]
    ...     net = GDWClassifier(max_epochs=2, callbacks=callbacks, random_state=0, verbose=0)
    ...     epochs = len(net.fit(*data).history_), len(net.fit(*data).history_)
    >>> epochs
    (2, 2)
    """

    def __init__(self, dirname: str | Path) -> None:
        self.dirname = dirname

    def initialize(self) -> Self:
        """Make the directory."""
        try:
            Path(self.dirname).mkdir(parents=True, exist_ok=True)
        except (TypeError, OSError) as error:
            why = "" if isinstance(error, TypeError) else f" ({error.strerror})"
            if isinstance(error, FileExistsError | NotADirectoryError):
                why = ", where a file is"
            raise type(error)(
                "`dirname` must be the path of a directory, or of one that can be made; got "
                f"{self.dirname!r}{why}. Pass another."
            ) from error
        return self

    @property
    def path(self) -> Path:
        """Where the state is kept."""
        return Path(self.dirname) / _FILE

    def load(self, net: _Net) -> Saved | None:
        """Return the saved state of this fit, None where there is none yet."""
        if net._is_partial_fit:
            raise ValueError(
                "`Resume` must stand among the callbacks of `fit`; got `partial_fit`, which has no "
                "end to go on to. Take the callback out: callbacks__resume=None."
            )
        # Once a fit: callbacks may set parameters, and large data take their time.
        self.fingerprint_ = net.fingerprint()
        sweep(self.path)
        if not self.path.exists():
            return None
        saved = read(self.path)
        check_belongs(saved, self.fingerprint_, self.path)
        return saved

    def save(self, net: _Net) -> None:
        """Write the state between two epochs."""
        write(self.path, net.saved_state(self.fingerprint_))
