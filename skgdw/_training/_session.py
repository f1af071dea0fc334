"""One training run: built from what skorch has made, it takes the steps and can be saved."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from skorch.history import History
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import Dataset

from skgdw._feed._feed import TRAIN, Feed
from skgdw._feed._layout import Inputs
from skgdw._feed._rounds import Epochs, Rounds
from skgdw._intake._check_fit import TrainingData
from skgdw._intake._hold_out import Rows
from skgdw._training._assembly import Assembly, try_module
from skgdw._training._fine_tune import BATCH_ROWS, FineTuner, put_rates_back, rates_of, set_rates
from skgdw._training._keep_best import BestEpoch, balanced_accuracy
from skgdw._training._ledger import Ledger, has_codes
from skgdw._training._metrics import as_figure, weight_figures
from skgdw._training._parts import Parts, Settings
from skgdw._training._plan import Stage, warm_up_steps
from skgdw._training._precision import PRECISIONS, Precision
from skgdw._training._random import RandomStream
from skgdw._training._speed import speed_in_use
from skgdw._training._state import SessionState, load_state, state_of
from skgdw._training._survey import Survey
from skgdw._training._warm_up import WarmUp, begin_warm_up
from skgdw._training.step._meta_step import MetaStep
from skgdw._training.step._optimizing import take_step
from skgdw._training.step._plain_step import PlainStep, Step, StepResult, Update
from skgdw._training.step._sample_weights import SampleWeights
from skgdw._training.step._stateless import Stateless
from skgdw._training.trial._probe import Probe, eager
from skgdw.weighting._row_loss import plain_row_loss


class Session:
    """One call of ``fit`` or ``partial_fit``, from the first trial to the last step.

    Parameters
    ----------
    parts : Parts
    settings : Settings
    rows : TrainingData
    feed : Feed
    seed : int
        Of what the module draws.
    check_logits : callable
        Raises where the module's output for a few rows will not do; hears whether logits are what
        is expected.

    Raises
    ------
    ModuleOutputError, CriterionError, ValueError
        If module, criterion or weighting do not fit the data.
    """

    # What the first stage holds out of its rows to be scored; scored in later stages as well.
    held_out: Dataset[Any] | None = None

    def __init__(
        self,
        parts: Parts,
        settings: Settings,
        rows: TrainingData,
        feed: Feed,
        seed: int,
        check_logits: Callable[[Tensor, bool], None],
    ) -> None:
        self.parts, self.settings, self.rows, self.feed = parts, settings, rows, feed
        self.has_begun = self.has_ended = self.has_stages = False
        self.stage: Stage | None = None
        self.best: BestEpoch | None = None
        self.meta_gradient: str | None = None
        self.stream = RandomStream(seed, parts.device)
        self.precision = Precision(parts.device.type, PRECISIONS[settings.precision])
        self.stateless = Stateless(eager(parts.module), self.precision)
        self.ledger = Ledger(rows.n_rows, parts.device)
        self.probe = Probe(self.stateless, self.stream)
        self.first_rows = try_module(parts, rows, feed, self.probe, check_logits)
        row_loss = plain_row_loss(eager(parts.criterion))
        self.weights = SampleWeights.placed(rows.sample_weight, parts.device)
        self.survey = Survey(
            self.stateless, feed, rows.train, rows.meta, row_loss, self.stream, self.weights
        )
        infer = self.precision.wrap(parts.infer)
        self.plain_step = PlainStep(infer, parts.loss, row_loss, self.stream)
        self.weighted_step: MetaStep | None = None
        self.meta_rounds: Rounds | None = None
        self.epochs: Epochs | None = None
        self.was_stopped, self.n_epochs = False, 0
        self._plain_update = self._update = self._by(lambda: self.plain_step)
        self._warm_up: WarmUp | None = None
        self._saved: SessionState | None = None
        self._rates: list[dict[str, float]] = []

    @property
    def is_weighted(self) -> bool:
        """Whether the weighting will have its say: it learns from a meta set, and there is one."""
        return self.parts.weighting.uses_meta and self.rows.meta is not None

    # Stages.

    @contextmanager
    def on(self, stage: Stage, seed: int, saved: SessionState | None = None) -> Iterator[int]:
        """Train on a stage inside the block; its best epoch is kept at the end, if one is judged.

        Parameters
        ----------
        stage : Stage
        seed : int
            Of what the stage draws for itself.
        saved : SessionState, optional
            Of this stage, to go on from.

        Yields
        ------
        int
            Epochs to train for.
        """
        self.stage, self.epochs, self.n_epochs = stage, None, 0
        self._saved, self._warm_up = saved, None
        self.best = BestEpoch() if stage.judged_on is not None else None
        self._update = self._plain_update
        trains = stage.rows is self.rows.train  # meta rows have no weights
        self.plain_step.weights = self.weights if trains else SampleWeights()
        # Also for a later stage that is gone on with: its memory has to be there to be read into.
        if self.is_weighted and (stage.is_weighted or saved is not None):
            with self.stream.active():
                self.parts.weighting.start(self.rows.n_rows, self.settings.n_classes)
            self.parts.weighting.to(self.parts.device)
        if stage.is_weighted and self.rows.meta is not None:
            self._assemble(self.rows.meta)
        groups = self.parts.optimizer.param_groups
        begun_at = self._rates
        self._rates = rates_of(self.parts.optimizer)
        epochs = stage.epochs
        if stage.fine_tunes:
            if saved is None:
                # Without a schedule a rate may have fallen all the same.
                for group, begun in zip(groups, begun_at, strict=False):
                    group.setdefault("initial_lr", begun["lr"])
                share = self._choose_share(stage.rows, seed)
                epochs = stage.epochs if share else 0  # at no rate BatchNorm would still move
                self.parts.optimizer.state.clear()
                set_rates(self.parts.optimizer, share)
            self.parts.on_new_rate()
        if saved is not None:
            self.load_state_dict(saved)
            epochs = 0 if saved["was_stopped"] else epochs - self.n_epochs
        try:
            yield epochs
        finally:
            if self.best is not None:
                self.best.restore(self.stateless.module)
            if stage.fine_tunes:
                put_rates_back(self.parts.optimizer, self._rates)
            self.ledger.write()

    def _assemble(self, meta: Rows) -> None:
        speed = speed_in_use()
        assembly = Assembly(
            self.parts,
            self.settings,
            self.plain_step.infer,
            self.feed,
            self.probe,
            speed,
            self.first_rows,
        )
        self.meta_rounds = self.feed.meta_batches(meta)
        self.weighted_step = assembly.weighted_step(
            self.rows.train, meta, self.meta_rounds, self.weights
        )
        self._update = self._by(lambda: self.weighted_step)
        self.meta_gradient = self.weighted_step.look_ahead.jvp.method
        if speed.cuda_graph:
            self._update, self.weighted_step = assembly.captured(self._update, self.weighted_step)

    def _choose_share(self, rows: Rows, seed: int) -> float:
        parts, module = self.parts, self.stateless.module
        own = (parts.optimizer, parts.loss, self.feed, self.survey, parts.set_modes)
        with self.stream.active():
            return FineTuner(module, *own).choose_share(rows, seed)

    def begin(self, loader: Iterable[Any]) -> Epochs:
        """Take the loader of the stage's epochs; how long the warm-up is depends on its length."""
        self.epochs, stage = Epochs(loader, (self.feed.meta_seed, TRAIN)), self.stage
        weighting, step = self.parts.weighting, self.weighted_step
        if stage is not None and stage.is_weighted and weighting.warm_up and not weighting.is_warm:
            n_steps = warm_up_steps(weighting.warm_up, loader, stage.epochs)
            if n_steps and step is not None:
                n_rows = len(self.rows.train.rows)
                self._warm_up = begin_warm_up(self.parts, self.stateless, step, n_steps, n_rows)
                self._weighted, self._update = self._update, self._warming_update
        if self._saved is not None:
            if self._warm_up is not None and self._saved["warm_up"] is not None:
                self._warm_up.load_state_dict(self._saved["warm_up"])
            self.epochs.load_state_dict(self._saved["train"])
            self._saved = None
        return self.epochs

    def fine_tuning_loader(self, seed: int) -> Iterable[Any]:
        """Return the loader of a stage that fine-tunes."""
        assert self.stage is not None  # which says the rows
        return self.feed.shuffled(self.stage.rows, BATCH_ROWS, seed)

    # Saving.

    def _saved_parts(self) -> dict[str, nn.Module | Optimizer]:
        parts = self.parts
        found: dict[str, nn.Module | Optimizer | None] = {
            "module": self.stateless.module,
            "criterion": eager(parts.criterion),
            "weighting": parts.weighting,
            "optimizer": parts.optimizer,
            "weighting_optimizer": parts.weighting_optimizer,
        }
        return {
            name: part
            for name, part in found.items()
            if part is not None and hasattr(part, "state_dict")
        }

    def state_dict(self) -> SessionState:
        """Return the state between two epochs of a stage."""
        stage, epochs, step = self.stage, self.epochs, self.weighted_step
        if stage is None or epochs is None:
            raise RuntimeError("A session has a state between the epochs of a stage; none began.")
        return SessionState(
            stage=stage.name,
            n_epochs=self.n_epochs,
            was_stopped=self.was_stopped,
            parts=state_of(self._saved_parts()),
            channels_last=self.feed.layout.channels_last,
            rates=self._rates,
            stream=self.stream.state_dict(),
            train=epochs.state_dict(),
            meta=None if self.meta_rounds is None else self.meta_rounds.state_dict(),
            n_steps=0 if step is None else step.count,
            meta_gradient=self.meta_gradient,
            is_recorded=step is not None and step.look_ahead.is_recorded,
            is_warm=self.parts.weighting.is_warm,
            warm_up=None if self._warm_up is None else self._warm_up.state_dict(),
            ledger=self.ledger.state_dict(),
            best=None if self.best is None else self.best.state_dict(),
        )

    def load_state_dict(self, saved: SessionState) -> None:
        """Go on from a saved state of this stage; the order of the rows follows with the loader."""
        load_state(self._saved_parts(), saved["parts"])
        self.feed.layout.channels_last = saved["channels_last"]
        rates = saved["parts"]["states"]["optimizer"]["param_groups"]
        for group, before in zip(self.parts.optimizer.param_groups, rates, strict=True):
            group.update({k: v for k, v in before.items() if k in ("lr", "initial_lr")})
        self.n_epochs, self._rates = saved["n_epochs"], saved["rates"]
        self.parts.weighting.is_warm = saved["is_warm"]
        if self.meta_rounds is not None and saved["meta"] is not None:
            self.meta_rounds.load_state_dict(saved["meta"])
        self.meta_gradient = saved["meta_gradient"]
        if self.weighted_step is not None:
            self.weighted_step.count = saved["n_steps"]
            if not saved["is_recorded"]:
                self.weighted_step.look_ahead.leave_recorded()
        self.ledger.load_state_dict(saved["ledger"])
        if self.best is not None and saved["best"] is not None:
            self.best.load_state_dict(saved["best"])
        self.stream.load_state_dict(saved["stream"])

    # Steps.

    def take(self, batch: Sequence[object], history: History) -> StepResult:
        """Take one optimizer step on a training batch, and note what was seen."""
        self.has_begun = True
        if not self.parts.module.training:  # a callback has predicted
            self.parts.set_training(True)
        X, y = self.feed.layout(batch)
        rows: Tensor | None = getattr(batch, "rows", None)
        if rows is not None:
            rows = rows.to(y.device, non_blocking=True)
        result = self._update(X, y, rows, batch)
        figures = None
        if result.weight is not None:
            figures = weight_figures(result.weight, y)
            history.record_batch("weight_given", as_figure(figures.mean_given))
            history.record_batch("weight_other", as_figure(figures.mean_other))
        if result.meta_loss is not None:
            history.record_batch("meta_loss", as_figure(result.meta_loss))
        trains = self.stage is not None and self.stage.rows is self.rows.train
        if trains and has_codes(y):
            given_weight = None if figures is None else figures.at_given
            self.ledger.note(result.evidence, given_weight, result.posterior)
        return result

    def _by(self, step: Callable[[], Step | None]) -> Update:
        """Return the update by a step, which is looked up each time: capturing puts another in."""

        def update(
            X: Inputs, y: Tensor, rows: Tensor | None, batch: Sequence[object]
        ) -> StepResult:
            results: list[StepResult] = []

            def backward() -> Tensor:
                now = step()
                assert now is not None  # made where this update is chosen
                results.append(now(X, y, rows))
                self.parts.on_gradients(batch)
                return results[-1].loss

            take_step(self.parts.optimizer, backward)
            return results[0]

        return update

    def _warming_update(
        self, X: Inputs, y: Tensor, rows: Tensor | None, batch: Sequence[object]
    ) -> StepResult:
        warm_up = self._warm_up
        assert warm_up is not None  # made where this update is chosen
        result = self._by(lambda: warm_up)(X, y, rows, batch)
        warm_up.n_left -= 1
        if not warm_up.n_left:
            self.parts.weighting.is_warm = True
            with self.stream.active():
                self.parts.weighting.on_warm_up_end(warm_up.survey(self.survey))
            self._update, self._warm_up = self._weighted, None
        return result

    def end_epoch(self, history: History) -> None:
        """Close an epoch of training: the ledger is written, the best epoch judged."""
        self.ledger.write()
        self.n_epochs += 1
        if (stage := self.stage) is None:
            return
        if stage.is_weighted and self._warm_up is None:
            with self.stream.active():
                self.parts.weighting.on_epoch_end(self.survey)
        score = math.nan
        if self.best is not None and stage.judged_on is not None:
            score = balanced_accuracy(self.survey.of(stage.judged_on))
            self.best.hear(self.stateless.module, score, len(history))
        if self.settings.judges:  # in stages without, too: the log is a table
            history.record("keep_best_score", score)
