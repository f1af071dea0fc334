"""What a weighting is: what is sent back for a batch, and how that is learnt from the meta set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

from numpy.typing import NDArray
from torch import Tensor, nn

from skgdw.functional import PullGradient, zero_mean
from skgdw.weighting._evidence import Evidence
from skgdw.weighting._step_defaults import StepDefaults


class Pull(NamedTuple):
    """What is sent back through the logits of a batch.

    Attributes
    ----------
    weight : Tensor of shape (n, c)
        Class-level weights, as history and ledger report them.
    grad : Tensor of shape (n, c)
        What takes the place of the logit gradient; its rows sum to zero.
    posterior : Tensor of shape (n, c) or None
        How probable each class is to be the true one, of weightings that know; for the ledger.
    """

    weight: Tensor
    grad: Tensor
    posterior: Tensor | None = None


class Survey(Protocol):
    """Passes over whole sets of rows, in evaluation mode and without a graph."""

    @property
    def copies(self) -> Sequence[Survey]:
        """At the end of the warm-up, surveys of the copies, that of fold 1 first."""

    @property
    def n_training_rows(self) -> int:
        """Return how many training rows there are: trusted rows of a mask are none."""

    def training_rows(self) -> Iterator[Evidence]:
        """Yield the training rows, batch by batch."""

    def meta_rows(self) -> Iterator[Evidence]:
        """Yield the meta rows, batch by batch; y holds their trusted labels."""


class Weighting(nn.Module):
    """Base class of all weightings: how much each class's gradient of each row counts.

    A weighting is a torch module: its parameters are stepped by ``weight_net_optimizer``, its
    buffers are its memory, and both move, save and load with it. One method has to be written,
    `forward`; the others have defaults that fit most purposes. A step calls them in this order:

    1. ``first = weighting(evidence)``: the first weights, with a graph to the parameters.
    2. On steps with a meta batch, `trial_pull` gives what the look-ahead follows; the meta loss
       after it is differentiated by what was sent back, `learn` puts the gradient of that into the
       parameters, the optimizer steps, and `refine` gives the second weights.
    3. `pull` turns weights into what is sent back; `remember` hears of it.

    Attributes
    ----------
    uses_meta : bool
        Whether it learns from a meta set at all. Where not, none is taken out of the training rows.
    warm_up : float
        Share of a fit's steps, in [0, 1), that come before the first weighted one; see
        `warm_up_pull`.
    is_warm : bool
        Whether the warm-up is over; ``partial_fit`` goes on without another.

    Examples
    --------
    Rows count by how sure the network is of their label; one exponent is learnt.

    >>> import torch
    >>> from skgdw.weighting import Evidence, Weighting
    >>> class Focus(Weighting):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.exponent = torch.nn.Parameter(torch.tensor(0.5))
    ...
    ...     def forward(self, evidence):
    ...         return evidence.given_probability.unsqueeze(1) ** self.exponent
    >>> evidence = Evidence(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
    >>> Focus()(evidence).detach()
    tensor([[0.7071]])
    """

    uses_meta: ClassVar[bool] = True
    warm_up: float = 0.0
    is_warm: bool = False

    def step_defaults(self, n_rows: int, n_meta: int) -> StepDefaults:
        """Return what steps are like where the estimator's parameters leave it open.

        Parameters
        ----------
        n_rows, n_meta : int
            Training rows and meta rows.

        Returns
        -------
        StepDefaults
            By default a meta batch in every step, which teaches the weights alone, as in the paper;
            and at least a tenth of the gradient.
        """
        return StepDefaults(meta_every=1, meta_weight=0.0, min_gradient_share=0.1)

    def in_a_stream(self, defaults: StepDefaults) -> StepDefaults:
        """Return what steps are like in ``partial_fit``; by default the same.

        Parameters
        ----------
        defaults : StepDefaults
            What `step_defaults` has returned.

        Returns
        -------
        StepDefaults
        """
        return defaults

    def start(self, n_rows: int, n_classes: int) -> None:
        """Make ready for a call of ``fit`` or ``partial_fit``; row memory is made here.

        Parameters
        ----------
        n_rows : int
            Rows in what ``fit`` was given; ``evidence.rows`` lies in ``0 .. n_rows - 1``.
        n_classes : int
        """

    def parameter_groups(self) -> Iterable[dict[str, object]]:
        """Return the parameter groups of the optimizer; by default one, of all parameters.

        A group may set the optimizer's options for itself, such as ``lr``.

        Returns
        -------
        iterable of dict
            As torch's optimizers take them.
        """
        return [{"params": list(self.parameters())}]

    def forward(self, evidence: Evidence) -> Tensor:
        """Return the first weights.

        Parameters
        ----------
        evidence : Evidence
            Of a training batch of n rows and c classes.

        Returns
        -------
        Tensor of shape (n, c) or (n, 1)
            One weight for each class, or for all classes of a row. Any sign. The entry at the given
            label is never looked at where there are c: it follows from the others, so that a row
            balances.
        """
        raise NotImplementedError(
            "A `Weighting` must define `forward(evidence)`; "
            f"{type(self).__name__} does not. Return weights of shape (n, c) or (n, 1)."
        )

    def trial_pull(self, evidence: Evidence, weight: Tensor) -> Tensor:
        """Return what the look-ahead follows, shape (n, c), differentiable by the weights."""
        return self.pull(evidence, weight).grad

    def learn(self, evidence: Evidence, weight: Tensor, gradient: PullGradient) -> None:
        """Put the gradient of the meta loss into the ``.grad`` of the parameters.

        Parameters
        ----------
        evidence : Evidence
        weight : Tensor
            What `forward` returned, with its graph.
        gradient : PullGradient
            How the meta loss after the look-ahead changes with what was sent back.
        """
        self.trial_pull(evidence, weight).backward(gradient.by_pull)

    def refine(self, evidence: Evidence, weight: Tensor, gradient: PullGradient) -> Tensor:
        """Return the second weights; by default those of the updated parameters.

        Called without gradients. `weight` is what `forward` returned before the update.

        Returns
        -------
        Tensor of shape (n, c) or (n, 1)
            What `pull` is then asked with.
        """
        refined: Tensor = self(evidence)
        return refined

    def pull(self, evidence: Evidence, weight: Tensor) -> Pull:
        """Return what is sent back for weights (n, c) or (n, 1): by default W * D, balanced.

        Override it to send back something else than weighted logit gradients; rows of the result
        must sum to zero.

        Returns
        -------
        Pull
            The gradient by the logits, and the weights it stands for.
        """
        logit_grad = evidence.logit_grad
        weight = zero_mean(weight.expand_as(logit_grad), logit_grad, evidence.y)
        return Pull(weight, weight * logit_grad)

    def n_folds(self, n_rows: int) -> int:
        """Return how many networks go through the warm-up, each with rows of its own held out.

        With more than one, copies of the network go along, which `warm_up_pull` is asked for with
        their number, and which `on_warm_up_end` finds beside the survey: cross-fitting.

        Parameters
        ----------
        n_rows : int
            Training rows.

        Returns
        -------
        int
            By default 1: none but the network itself.
        """
        return 1

    def warm_up_pull(self, evidence: Evidence, fold: int = 0) -> Tensor:
        """Return what is sent back for a batch of the warm-up, called without gradients.

        Parameters
        ----------
        evidence : Evidence
        fold : int, default=0
            Of the network that is asked for; 0 is that which stays.

        Returns
        -------
        Tensor of shape (n, c)
            By default plain training, the logit gradient without a cap. Rows sum to zero.
        """
        return evidence.row_loss.logit_grad(evidence.logits, evidence.y, cap=1.0)

    def remember(self, evidence: Evidence, pull: Pull) -> None:
        """Hear what was sent back for a batch, after it was."""

    def on_warm_up_end(self, survey: Survey) -> None:
        """Hear that the warm-up has ended, before the first weighted step."""

    def on_epoch_end(self, survey: Survey) -> None:
        """Hear that an epoch has ended."""

    def transition_matrix(self) -> NDArray[Any] | None:
        """Return how labels come of true classes, which stand in the rows, shape (c, c).

        Returns
        -------
        ndarray or None
            By default None: it is not estimated.
        """
        return None

    def class_prior(self) -> NDArray[Any] | None:
        """Return the share of each true class among the training rows, shape (c,).

        Returns
        -------
        ndarray or None
            By default None: it is not estimated, and is left in the logits.
        """
        return None
