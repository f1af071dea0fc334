"""What a module does, found out by passes over a few rows that change nothing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from skgdw._feed._layout import Inputs, channels_last
from skgdw._training._random import NullStream, RandomStream
from skgdw._training.step._jvp import Jvp, WideDifference
from skgdw._training.step._meta_step import LookAhead
from skgdw._training.step._passes import Passes, TrainingPass
from skgdw._training.step._rates import LookAheadRates
from skgdw._training.step._stateless import Stateless, evaluating
from skgdw.weighting import Evidence
from skgdw.weighting._row_loss import RowLoss

# Rows on which output and derivatives are tried out.
TRIAL_ROWS = 8

# How far a second trial moves parameters, relative to what usual initial values are.
_NUDGE = 0.1


def eager(module: nn.Module) -> nn.Module:
    """Return what torch.compile wrapped, or the module itself."""
    wrapped: nn.Module = getattr(module, "_orig_mod", module)
    return wrapped


def wake(device: torch.device) -> None:
    """Let autograd's thread of a GPU begin with something simple.

    Where it begins with a matrix product, as a gradient by logits does, torch warns that the thread
    has no context of the GPU yet.
    """
    if device.type == "cuda":
        with torch.enable_grad():
            one = torch.ones((), device=device, requires_grad=True)
            torch.autograd.grad(one * one, one)


@dataclass(frozen=True)
class Probe:
    """Passes of a module that change nothing, and what they tell.

    Parameters
    ----------
    stateless : Stateless
    stream : RandomStream or NullStream
    """

    stateless: Stateless
    stream: RandomStream | NullStream

    def logits(self, X: Inputs) -> Tensor:
        """Return what the module makes of X."""
        with torch.no_grad(), self.stream.undone():
            return self.stateless.on_copies(X)

    def logits_with_graph(self, X: Inputs) -> Tensor:
        """Return the same as `logits`, with what gradients need."""
        with torch.enable_grad(), self.stream.undone():
            return self.stateless.on_copies(X)

    def gains_by_channels_last(self, X: Inputs) -> bool:
        """Tell whether the module convolves images, on a CPU, and takes them with channels last.

        Convolutions run a good deal faster then; the numbers are the same but for rounding. A
        module that asks for a `view` of the other order raises, one that reads memory as it lies
        gives other numbers; both get the other order.

        Returns
        -------
        bool
            False where that would not be faster, or does not work.
        """
        if not isinstance(X, Tensor) or X.ndim != 4 or X.device.type != "cpu":
            return False
        if not any(isinstance(part, nn.Conv2d) for part in self.stateless.module.modules()):
            return False
        try:
            self.logits(channels_last(X))
            with evaluating(self.stateless.module):  # without dropout, which draws in either order
                one, other = self.logits(X), self.logits(channels_last(X))
        except RuntimeError:
            return False
        eps, norm = self.stateless.precision.eps, torch.linalg.vector_norm
        rounding = (torch.finfo(one.dtype).eps if eps is None else eps) ** 0.5
        return not norm(one - other) > rounding * torch.maximum(norm(one), norm(other))

    def repeats_itself(self, X: Inputs, logits: Tensor) -> bool:
        """Tell whether a pass with a graph gives these logits of one without, to the last bit."""
        return torch.equal(self.logits_with_graph(X).detach(), logits)

    def draws_numbers(self, X: Inputs) -> bool:
        """Tell whether a pass of the module draws random numbers."""
        with torch.no_grad(), self.stream.active():
            before = self.stream.rng_state()
            with self.stream.replay(before):
                self.stateless.on_copies(X)
                after = self.stream.rng_state()
        return not all(map(torch.equal, before, after))


@dataclass(frozen=True)
class Trial:
    """Whole look-aheads on a few rows, that change nothing.

    Parameters
    ----------
    passes : Passes
    row_loss : RowLoss
    rates : LookAheadRates
    batch, meta_batch : tuple of inputs and class codes
        A few rows.
    shares_pass : bool
        Whether the look-ahead goes back through the pass, as in the step.
    """

    passes: Passes
    row_loss: RowLoss
    rates: LookAheadRates
    batch: tuple[Inputs, Tensor]
    meta_batch: tuple[Inputs, Tensor]
    shares_pass: bool = True

    def __call__(self, jvp: Jvp) -> Tensor:
        """Compute a weight gradient (n, c) that way to J g; raise where torch cannot."""
        X, y = self.batch
        stream, stateless = self.passes.stream, self.passes.stateless
        with stream.active(), jvp.attention():
            start = self.passes.start()
            with stream.replay(start.rng_state):
                logits = stateless.on_copies(X)
                evidence = Evidence(logits.detach(), y, self.row_loss)
                tried = TrainingPass(self.passes, start, X, logits)
                if isinstance(jvp, WideDifference):
                    tried.check_wide()
                look_ahead = LookAhead(self.rates, jvp, self.shares_pass)
                _, gradient = look_ahead(tried, evidence, evidence.logit_grad, self.meta_batch)
        return gradient.by_weight

    def nearby(self, jvp: Jvp) -> Tensor:
        """Compute the same at parameters a little away, which then are as before.

        Returns
        -------
        Tensor of shape (n, c)
            In it a branch that starts at zero has its say.
        """
        params = [*self.rates()[0].values()]
        own = [p.detach().clone() for p in params]
        source = torch.Generator().manual_seed(0)
        try:
            for p in params:
                fan_in = p[0].numel() if p.ndim > 1 else 1
                noise = torch.randn(p.shape, generator=source) / max(fan_in, 1) ** 0.5
                p.data.add_(noise.to(p), alpha=_NUDGE)
            return self(jvp)
        finally:
            for p, before in zip(params, own, strict=True):
                p.data.copy_(before)
