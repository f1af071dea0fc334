"""Small networks with a training and a meta batch, one for each kind of trouble."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

N_ROWS, N_META, N_CLASSES = 6, 5, 3


class LSTMNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 4, batch_first=True)
        self.out = nn.Linear(4, N_CLASSES)

    def forward(self, X: Tensor) -> Tensor:
        return self.out(self.lstm(X)[0][:, -1])


class TransformerNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)
        self.out = nn.Linear(4, N_CLASSES)

    def forward(self, X: Tensor) -> Tensor:
        return self.out(self.layer(X).mean(dim=1))


class TiedNet(nn.Module):
    """One matrix used twice, under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.second.weight = self.first.weight
        self.out = nn.Linear(4, N_CLASSES)

    def forward(self, X: Tensor) -> Tensor:
        return self.out(torch.tanh(self.second(torch.tanh(self.first(X)))))


class RunningNet(nn.Module):
    """Uses in training what it keeps in a buffer: every pass moves it and depends on it."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(4))
        self.layers = tanh_mlp()

    def forward(self, X: Tensor) -> Tensor:
        if self.training:
            self.mean.mul_(0.5).add_(X.detach().mean(dim=0))
        return self.layers(X - self.mean)


class StoppedNet(nn.Module):
    """Divides by a size of its own that takes no part in the gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(4, N_CLASSES)

    def forward(self, X: Tensor) -> Tensor:
        logits = self.out(X)
        with torch.no_grad():
            size = logits.abs().mean()
        return logits / size


class OneWay(torch.autograd.Function):
    """The identity, differentiable once and backward only."""

    @staticmethod
    def forward(ctx, values: Tensor) -> Tensor:
        return values.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad: Tensor) -> Tensor:
        return grad.clone()


class OneWayNet(nn.Module):
    """Has neither forward mode nor double backward."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.out = nn.Linear(4, 6), nn.Linear(6, N_CLASSES)

    def forward(self, X: Tensor) -> Tensor:
        return self.out(OneWay.apply(torch.tanh(self.first(X))))


def tanh_mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, N_CLASSES))


def relu_mlp() -> nn.Module:
    return nn.Sequential(
        nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, N_CLASSES)
    )


def conv_net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1, bias=False),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.Conv2d(3, 2, 3, stride=2),
        nn.BatchNorm2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8, N_CLASSES),
    )


class Cosine(nn.Module):
    """A function that forward mode along the recorded graph does not know."""

    def forward(self, X: Tensor) -> Tensor:
        return torch.cos(X)


def unknown_net() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 6), Cosine(), nn.Linear(6, N_CLASSES))


def dropout_net() -> nn.Module:
    return nn.Sequential(
        nn.Linear(4, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 3)
    )


def frozen_net() -> nn.Module:
    module = tanh_mlp()
    module[0].weight.requires_grad_(False)
    return module


def spectral_net() -> nn.Module:
    return nn.Sequential(spectral_norm(nn.Linear(4, 6)), nn.Tanh(), nn.Linear(6, N_CLASSES))


def weight_norm_net() -> nn.Module:
    return nn.Sequential(weight_norm(nn.Linear(4, 6)), nn.Tanh(), nn.Linear(6, N_CLASSES))


class Case(NamedTuple):
    """How to make a network, and which ways to the meta gradient torch has for it.

    `exact` are those that need no finite difference; `math_attention` says that they need
    attention on torch's composite backend; `stops` that its backward treats something that
    depends on the parameters as constant, so that finite differences show another derivative;
    `kinks` that its derivative jumps.
    """

    make: Callable[[], nn.Module]
    row_shape: tuple[int, ...] = (4,)
    exact: Sequence[str] = ("forward", "unrolled")
    draws: bool = False
    math_attention: bool = False
    stops: bool = False
    kinks: bool = False


CASES = {
    "tanh": Case(tanh_mlp),
    "relu": Case(relu_mlp, kinks=True),
    "unknown": Case(unknown_net),
    "conv_batchnorm": Case(conv_net, (1, 6, 6), kinks=True),
    "running_mean": Case(RunningNet),
    "dropout": Case(dropout_net, draws=True),
    "frozen": Case(frozen_net),
    "lstm": Case(LSTMNet, (4, 3)),
    "transformer": Case(TransformerNet, (4, 4), math_attention=True),
    "spectral_norm": Case(spectral_net, exact=("unrolled",), stops=True),
    "weight_norm": Case(weight_norm_net, exact=("unrolled",)),
    "tied": Case(TiedNet),
}


class Problem(NamedTuple):
    """A network in training mode with its batches."""

    module: nn.Module
    X: Tensor
    y: Tensor
    X_meta: Tensor
    y_meta: Tensor


def seeded(make: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    """Make a network with initial weights of that seed, leaving the global state alone."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()


def batch(
    row_shape: Sequence[int], seed: int, *, n_rows: int = N_ROWS, n_classes: int = N_CLASSES
) -> tuple[Tensor, Tensor]:
    """Draw rows in float64 and labels in which every class occurs."""
    generator = torch.Generator().manual_seed(seed)
    X = torch.randn((n_rows, *row_shape), generator=generator, dtype=torch.float64)
    return X, torch.arange(n_rows) % n_classes


def problem(case: Case, *, dtype: torch.dtype = torch.float64, seed: int = 0) -> Problem:
    """Make the network of a case and its batches."""
    module = seeded(case.make, seed).to(dtype).train()
    X, y = batch(case.row_shape, 10 * seed + 1)
    X_meta, y_meta = batch(case.row_shape, 10 * seed + 2, n_rows=N_META)
    return Problem(module, X.to(dtype), y, X_meta.to(dtype), y_meta.flip(0))
