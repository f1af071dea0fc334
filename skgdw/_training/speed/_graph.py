"""A whole update captured as a CUDA graph: one launch in place of hundreds."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer

from skgdw._feed._layout import Inputs
from skgdw._training._random import NullStream
from skgdw._training.step._meta_step import MetaStep
from skgdw._training.step._passes import Passes
from skgdw._training.step._plain_step import StepResult, Update
from skgdw.weighting import Evidence

logger = logging.getLogger("skgdw")

# Tensors, in tuples and mappings.
Tree: TypeAlias = Any

# Kernels are chosen and workspaces laid out in the first steps, which a graph cannot hold.
_WARM_UP = 3


class Recorder(Protocol):
    """Captures an action, to be replayed on whatever then stands in the same tensors.

    Attributes
    ----------
    capturable : bool
        Whether optimizers are asked for steps that can be captured.
    """

    capturable: bool

    def on_side_stream(self, action: Callable[[], StepResult]) -> StepResult:
        """Run the action where it will be captured."""

    def record(self, action: Callable[[], StepResult]) -> Callable[[], StepResult]:
        """Capture the action, changing no tensor, and return what replays it."""


class CudaRecorder:
    """Captures on a stream of its own, as torch asks for."""

    capturable = True

    def __init__(self) -> None:
        self._stream = torch.cuda.Stream()

    def on_side_stream(self, action: Callable[[], StepResult]) -> StepResult:
        """Run the action on the stream of the captures."""
        outer = torch.cuda.current_stream()
        self._stream.wait_stream(outer)
        with torch.cuda.stream(self._stream):
            result = action()
        outer.wait_stream(self._stream)
        return result

    def record(self, action: Callable[[], StepResult]) -> Callable[[], StepResult]:
        """Capture the action as a graph."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self._stream):
            result = action()

        def replay() -> StepResult:
            graph.replay()
            return result

        return replay


class StaticBatches(Iterator[Any]):
    """Meta batches that stand in the same tensors, one after the other.

    Parameters
    ----------
    source : iterator of (X_meta, y_meta)
    """

    def __init__(self, source: Iterator[Any]) -> None:
        self._source = source
        self._place = StaticInputs()

    def advance(self) -> bool:
        """Put the next batch in place; return whether the place is the same as before."""
        return self._place.put(next(self._source))

    def __next__(self) -> Any:
        """Return the batch in place."""
        return self._place.batch


class StaticInputs:
    """Tensors that keep their address while what stands in them changes."""

    batch: Tree = None

    def put(self, batch: Tree) -> bool:
        """Copy a batch here; return whether it fits the one before, else make room anew."""
        fits = self.batch is not None and _shapes(batch) == _shapes(self.batch)
        if fits:
            for there, here in zip(_tensors(batch), _tensors(self.batch), strict=True):
                here.copy_(there, non_blocking=True)
        else:
            self.batch = _copy(batch)
        return fits


def _tensors(batch: Tree) -> list[Tensor]:
    if isinstance(batch, Tensor):
        return [batch]
    if batch is None:
        return []
    parts = batch.values() if isinstance(batch, Mapping) else batch
    return [tensor for part in parts for tensor in _tensors(part)]


def _shapes(batch: Tree) -> list[torch.Size]:
    return [tensor.shape for tensor in _tensors(batch)]


def _copy(batch: Tree) -> Tree:
    if batch is None or isinstance(batch, Tensor):
        return None if batch is None else batch.clone()
    if isinstance(batch, Mapping):
        return {name: _copy(part) for name, part in batch.items()}
    return tuple(_copy(part) for part in batch)


class GraphRates:
    """Optimizers' learning rates as tensors, where a graph can read them.

    Schedules and callbacks go on to find plain numbers in the optimizers' groups.

    Parameters
    ----------
    optimizers : list of Optimizer
    device : torch.device
    capturable : bool
        Whether to ask optimizers that know it for steps that can be captured.
    """

    def __init__(
        self, optimizers: list[Optimizer], device: torch.device, *, capturable: bool
    ) -> None:
        self._groups = [group for optimizer in optimizers for group in optimizer.param_groups]
        self._device = device
        self._capturable = capturable
        self._tensors = [torch.empty((), device=device) for _ in self._groups]
        for optimizer in optimizers:
            for state in optimizer.state.values():
                if isinstance(state.get("step"), Tensor):  # of an earlier fit, perhaps on the CPU
                    state["step"] = state["step"].to(device)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Have the optimizers step by the tensors inside the block."""
        before = [group.copy() for group in self._groups]
        for group, tensor in zip(self._groups, self._tensors, strict=True):
            tensor.fill_(group["lr"])
            group["lr"] = tensor
            if self._capturable and "capturable" in group:
                group["capturable"] = True
        try:
            yield
        finally:
            for group, own in zip(self._groups, before, strict=True):
                group.update(own)


class GraphedUpdate:
    """An update that is captured after some steps and replayed from then on.

    Steps with and without a meta batch have a graph each. Batches of another size than the first,
    such as a last short one, are updated without.

    Parameters
    ----------
    update : callable
        Takes a batch, changes the module and returns the step's result.
    step : MetaStep
        What `update` calls; its meta batches are `meta_batches`.
    meta_batches : StaticBatches
    rates : GraphRates
    recorder : Recorder
    """

    def __init__(
        self,
        update: Update,
        step: MetaStep,
        meta_batches: StaticBatches,
        rates: GraphRates,
        recorder: Recorder,
    ) -> None:
        self.update = update
        self.step = step
        self.meta_batches = meta_batches
        self.rates = rates
        self.recorder: Recorder | None = recorder
        self._place = StaticInputs()
        self._seen: Counter[bool] = Counter()
        self._replays: dict[bool, Callable[[], StepResult]] = {}

    def __call__(
        self, X: Inputs, y: Tensor, rows: Tensor | None, batch: Sequence[object]
    ) -> StepResult:
        """Update the module on a batch."""
        has_meta = self.step.has_meta
        if has_meta and not self.meta_batches.advance() and self._replays:
            self._give_up("meta batches differ in size")
        with self.rates.in_place():
            if self.recorder is None or not self._takes((X, y, rows)):
                return self.update(X, y, rows, batch)
            return self._run(self.recorder, has_meta, batch)

    def _takes(self, held: Tree) -> bool:
        """Put the batch in place if it is of the size of the first."""
        place = self._place
        is_first = place.batch is None
        if not is_first and _shapes(held) != _shapes(place.batch):
            return False
        place.put(held)
        return True

    def _run(self, recorder: Recorder, has_meta: bool, batch: Sequence[object]) -> StepResult:
        X, y, rows = self._place.batch
        if self._seen[has_meta] < _WARM_UP:
            self._seen[has_meta] += 1
            # The next batch writes over the tensors of this one, which the ledger still holds.
            return _copied(recorder.on_side_stream(lambda: self.update(X, y, rows, batch)))
        count = self.step.count
        if has_meta not in self._replays:
            try:
                self._replays[has_meta] = recorder.record(lambda: self.update(X, y, rows, ()))
            except RuntimeError as error:
                self._give_up(str(error).strip().splitlines()[0][:160])
                self.step.count = count
                return self.update(X, y, rows, batch)
        result = self._replays[has_meta]()
        self.step.count = count + 1
        return _copied(result)  # the next replay writes over the tensors of this one

    def _give_up(self, reason: str) -> None:
        self.recorder = None
        self._replays.clear()
        log_fallback([reason])


def _copied(result: StepResult) -> StepResult:
    found = result.evidence
    evidence = Evidence(
        found.logits.clone(),
        found.y.clone(),
        found.row_loss,
        None if found.rows is None else found.rows.clone(),
    )
    known = (result.weight, result.meta_loss, result.posterior)
    copies = (None if part is None else part.clone() for part in known)
    return StepResult(result.loss.clone(), evidence, *copies)


def captured(
    update: Update,
    step: MetaStep,
    optimizers: Sequence[Optimizer],
    device: torch.device,
    recorder: Recorder,
) -> tuple[MetaStep, GraphedUpdate]:
    """Return the step made ready for captures, and the update that `recorder` captures."""
    held = StaticBatches(step.meta_batches)
    # As nothing is drawn, no random state need be changed, which a graph does not allow.
    passes = Passes(step.passes.stateless, NullStream())
    step = replace(step, meta_batches=held, passes=passes)
    rates = GraphRates(list(optimizers), device, capturable=recorder.capturable)
    return step, GraphedUpdate(update, step, held, rates, recorder)


def log_fallback(reasons: list[str]) -> None:
    """Say once why steps are not captured."""
    logger.warning("`cuda_graph` is not used: %s.", "; ".join(reasons))


def capture_faults(optimizer: Optimizer) -> list[str]:
    """Say what keeps an optimizer's step from being captured."""
    name = type(optimizer).__name__
    if isinstance(optimizer, SGD):
        is_fused = all(group["fused"] for group in optimizer.param_groups)
        return [] if is_fused else [f"{name} reads its rate on the host unless fused=True"]
    knows = all("capturable" in group for group in optimizer.param_groups)
    return [] if knows else [f"{name} has no `capturable`"]
