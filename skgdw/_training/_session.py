"""One training run: built from what skorch has made, it takes the steps and can be saved."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from skorch.history import History
from torch import Tensor, nn

from skgdw._feed._feed import Feed
from skgdw._feed._layout import Inputs
from skgdw._feed._rounds import Rounds
from skgdw._intake._check_fit import TrainingData
from skgdw._intake._hold_out import Rows
from skgdw._training._assembly import Assembly
from skgdw._training._fine_tune import FineTuner
from skgdw._training._keep_best import BestEpoch, balanced_accuracy
from skgdw._training._ledger import Ledger
from skgdw._training._metrics import weight_figures
from skgdw._training._parts import Parts, Settings
from skgdw._training._plan import Stage
from skgdw._training._precision import PRECISIONS, Precision
from skgdw._training._random import RandomStream
from skgdw._training._survey import Survey
from skgdw._training.speed._graph import Update
from skgdw._training.speed._switch import speed_in_use
from skgdw._training.step._meta_step import MetaStep
from skgdw._training.step._optimizing import forget_gradients, unfuse_where_incomplete
from skgdw._training.step._plain_step import PlainStep, StepResult
from skgdw._training.step._stateless import Stateless
from skgdw._training.trial._probe import TRIAL_ROWS, Probe, eager
from skgdw._training.trial._scaling import fit_input_scaling
from skgdw._validation import check_batch_statistics
from skgdw.weighting._row_loss import any_row_loss


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
        self.has_begun = False
        self.stage: Stage | None = None
        self.best: BestEpoch | None = None
        self.meta_gradient: str | None = None
        self.stream = RandomStream(seed, parts.device)
        self.precision = Precision(parts.device.type, PRECISIONS[settings.precision])
        self.stateless = Stateless(eager(parts.module), self.precision)
        self.ledger = Ledger(rows.n_rows, parts.device)
        self._prepare(check_logits)
        row_loss = any_row_loss(eager(parts.criterion), settings.n_classes)
        self.survey = Survey(self.stateless, feed, rows.train, rows.meta, row_loss, self.stream)
        self.plain_step = PlainStep(
            self.precision.wrap(parts.infer), parts.loss, row_loss, self.stream
        )
        self.weighted_step: MetaStep | None = None
        self.meta_rounds: Rounds | None = None
        self._update: Update = self._plain_update

    @property
    def is_weighted(self) -> bool:
        """Whether the weighting will have its say: it learns from a meta set, and there is one."""
        return self.parts.weighting.uses_meta and self.rows.meta is not None

    # What comes before the first step.

    def _prepare(self, check_logits: Callable[[Tensor, bool], None]) -> None:
        """Fit the input scaling and see what the module makes of a few rows."""
        parts, module = self.parts, self.stateless.module
        parts.set_training(True)
        X, _ = self.feed.first_training_rows(self.rows.train, TRIAL_ROWS)
        with self.stream.active(), self.stream.replay(self.stream.mark()):
            fit_input_scaling(module, self.rows.train.X, X)
        parts.set_training(True)
        takes_logits = parts.weighting.uses_meta or isinstance(parts.criterion, nn.CrossEntropyLoss)
        self.probe = Probe(self.stateless, self.stream)
        check_logits(self.probe.logits(X), takes_logits)
        meta = self.rows.meta
        n_meta = None if meta is None else min(self.feed.meta.rows_at_once, len(meta.rows))
        check_batch_statistics(module, self.feed.train.rows_at_once, n_meta)

    # Stages.

    @contextmanager
    def on(self, stage: Stage, seed: int) -> Iterator[None]:
        """Train on a stage inside the block; its best epoch is kept at the end of it.

        Parameters
        ----------
        stage : Stage
        seed : int
            Of what the stage draws for itself.
        """
        self.stage, self.best = stage, BestEpoch() if stage.judged_on is not None else None
        self._update = self._plain_update
        if stage.is_weighted and self.rows.meta is not None:
            self.parts.weighting.start(self.rows.n_rows, self.settings.n_classes)
            self._assemble(self.rows.meta)
        groups = self.parts.optimizer.param_groups
        rates = [{k: v for k, v in group.items() if k in ("lr", "initial_lr")} for group in groups]
        if stage.fine_tunes:
            rate = self._choose_rate(stage.rows, seed)
            self.parts.optimizer.state.clear()
            for group in groups:
                group["lr"] = rate
        try:
            yield
        finally:
            if self.best is not None:
                self.best.restore(self.stateless.module)
            if stage.fine_tunes:
                for group, before in zip(groups, rates, strict=True):
                    group.update(before)
            self.ledger.write()

    def _assemble(self, meta: Rows) -> None:
        speed = speed_in_use()
        assembly = Assembly(self.parts, self.settings, self.rows, self.feed, self.probe, speed)
        self.meta_rounds = self.feed.meta_batches(meta)
        self.weighted_step = assembly.weighted_step(self.meta_rounds)
        self._update = self._weighted_update
        self.meta_gradient = self.weighted_step.look_ahead.jvp.method
        if speed.cuda_graph:
            self._update, self.weighted_step = assembly.captured(self._update, self.weighted_step)

    def _choose_rate(self, rows: Rows, seed: int) -> float:
        tuner = FineTuner(
            self.stateless.module,
            self.parts.optimizer,
            self.parts.criterion,
            self.feed,
            self.survey,
        )
        with self.stream.active():
            return tuner.choose_rate(rows, self.settings.learning_rate, seed)

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
            history.record_batch("weight_given", figures.mean_given)
            history.record_batch("weight_other", figures.mean_other)
        if result.meta_loss is not None:
            history.record_batch("meta_loss", result.meta_loss)
        if self.stage is not None and self.stage.rows is self.rows.train:
            self.ledger.note(result.evidence, None if figures is None else figures.at_given)
        return result

    def _plain_update(
        self, X: Inputs, y: Tensor, rows: Tensor | None, batch: Sequence[object]
    ) -> StepResult:
        forget_gradients(self.parts.optimizer)
        return self._finish(self.plain_step(X, y, rows), batch)

    def _weighted_update(
        self, X: Inputs, y: Tensor, rows: Tensor | None, batch: Sequence[object]
    ) -> StepResult:
        assert self.weighted_step is not None  # made where this update is chosen
        forget_gradients(self.parts.optimizer)
        return self._finish(self.weighted_step(X, y, rows), batch)

    def _finish(self, result: StepResult, batch: Sequence[object]) -> StepResult:
        self.parts.on_gradients(batch)
        unfuse_where_incomplete(self.parts.optimizer)
        self.parts.optimizer.step()
        return result

    def end_epoch(self, history: History) -> None:
        """Close an epoch of training: the ledger is written, the best epoch judged."""
        self.ledger.write()
        stage = self.stage
        if stage is None:
            return
        if stage.is_weighted:
            self.parts.weighting.on_epoch_end(self.survey)
        if self.best is not None and stage.judged_on is not None:
            score = balanced_accuracy(self.survey.of(stage.judged_on))
            history.record("judged", score)
            self.best.hear(self.stateless.module, score, len(history))
