"""Training in stages: which rows, which step, how long, at what rate."""

from __future__ import annotations

from collections.abc import Iterable, Sized
from dataclasses import dataclass

from skgdw._intake._check_fit import TrainingData
from skgdw._intake._hold_out import Rows


@dataclass(frozen=True)
class Stage:
    """One stretch of training on one set of rows.

    Attributes
    ----------
    name : str
        As the history tells it.
    rows : Rows
        What is trained on.
    epochs : int
    is_weighted : bool
        Whether the weighting has its say; else the step is plain training.
    fine_tunes : bool
        Whether it goes on, from where the stage before ended, at a small share of the rates,
        which cross-validation within its rows chooses.
    judged_on : Rows or None
        The stage ends with the parameters of the epoch that was best on these rows; None keeps
        those of the last one.
    """

    name: str
    rows: Rows
    epochs: int
    is_weighted: bool = False
    fine_tunes: bool = False
    judged_on: Rows | None = None


FINE_TUNING_EPOCHS = 30


def make_plan(
    rows: TrainingData, *, epochs: int, is_weighted: bool, fine_tune: bool, keep_best: bool
) -> list[Stage]:
    """Return the stages of a fit.

    Parameters
    ----------
    rows : TrainingData
    epochs : int
        Of training; fine-tuning has `FINE_TUNING_EPOCHS`.
    is_weighted : bool
        Whether the weighting has its say.
    fine_tune : bool
        Whether fine-tuning on the meta rows follows, from the best epoch.
    keep_best : bool
        Whether the best epoch is kept: on the validation rows, or where there are none on the meta
        rows.

    Returns
    -------
    list of Stage
        In the order in which they are run.

    Raises
    ------
    ValueError
        If there are no rows to judge epochs on.
    """
    judged_on = (rows.valid or rows.meta) if keep_best or fine_tune else None
    if keep_best and judged_on is None:
        raise ValueError(
            "`keep_best` must have rows to judge epochs on; got no meta set and no `X_val`. Pass "
            "X_val and y_val with trusted labels, or X_meta and y_meta."
        )
    name = "weighted" if is_weighted else "plain"
    stages = [Stage(name, rows.train, epochs, is_weighted, judged_on=judged_on)]
    if fine_tune and rows.meta is not None:
        stages.append(Stage("fine_tune", rows.meta, FINE_TUNING_EPOCHS, fine_tunes=True))
    return stages


def warm_up_steps(share: float, loader: Iterable[object], epochs: int) -> int:
    """Return the steps of a warm-up over a share of all epochs: at least one, but not the last."""
    if not isinstance(loader, Sized):
        raise TypeError(
            "`iterator_train` must have a length where the weighting has a `warm_up`, which is a "
            f"share of all steps; got {type(loader).__name__}. Give it a `__len__`, or set "
            "`warm_up = 0` on the weighting."
        )
    n_steps = len(loader) * epochs
    return max(min(max(round(share * n_steps), 1), n_steps - 1), 0)
