"""Networks that reach every rule of forward mode along the recorded graph, and what they give."""

import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from cases import CASES, seeded
from oracles import draws_from
from skgdw.functional import directional_derivative
from skgdw.functional._recorded import recorded_derivative
from skgdw.modules import MLP, SmallResNet


class Of(nn.Module):
    """A function between two linear layers, both of which learn."""

    def __init__(self, function, width=6):
        super().__init__()
        self.first, self.function, self.out = nn.Linear(4, 6), function, nn.Linear(width, 3)

    def forward(self, X):
        return self.out(self.function(self.first(X)))


class OfImages(nn.Module):
    """A function between a convolution and a linear layer."""

    def __init__(self, function, width):
        super().__init__()
        self.conv, self.function = nn.Conv2d(1, 4, 3, padding=1), function
        self.out = nn.Linear(width, 3)

    def forward(self, X):
        return self.out(self.function(self.conv(X)).flatten(1))


class Scaled(nn.Module):
    """Products and sums of learnt things, of several shapes."""

    def __init__(self):
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.rand(6)), nn.Parameter(torch.rand(1, 6))

    def forward(self, X):
        return X * self.scale + self.shift + (self.scale * 2 + torch.ones_like(X)) * X


class Frozen(nn.Module):
    """Wraps a module, some of whose parameters do not learn."""

    def __init__(self, module, *names):
        super().__init__()
        self.module = module
        for name in names:
            module.get_parameter(name).requires_grad_(False)

    def forward(self, X):
        return self.module(X)


def conv(**options):
    return nn.Conv2d(4, 4, 3, **options)


ENTRYWISE = [
    nn.ReLU,
    nn.LeakyReLU,
    nn.ELU,
    nn.GELU,
    nn.SiLU,
    nn.Hardtanh,
    nn.Hardswish,
    nn.Mish,
    nn.Softplus,
    nn.Tanh,
    nn.Sigmoid,
]

TABLES = {
    **{kind.__name__: lambda kind=kind: Of(kind()) for kind in ENTRYWISE},
    "inplace ReLU": lambda: Of(nn.ReLU(inplace=True)),
    "inplace LeakyReLU": lambda: Of(lambda X: F.leaky_relu_(2 * X)),
    "inplace ELU": lambda: Of(lambda X: F.elu_(2 * X)),
    "differences": lambda: Of(lambda X: (X - torch.tanh(X)) - 1 + (1 - X) + (-X) + (2 - X) / 3),
    "with factors": lambda: Of(
        lambda X: torch.add(X, torch.sub(X, torch.tanh(X), alpha=0.5), alpha=3)
    ),
    "from a constant": lambda: Of(lambda X: torch.ones(6, dtype=X.dtype) - X),
    "minus a constant": lambda: Of(lambda X: X - torch.ones(1, 6, dtype=X.dtype)),
    "rsub": lambda: Of(lambda X: torch.rsub(X, 2.0, alpha=3)),
    "over a tensor": lambda: Of(lambda X: X / torch.full((7, 1, 6), 2.0, dtype=X.dtype)[0]),
    "concatenation": lambda: Of(lambda X: torch.cat([X, torch.tanh(X)], dim=-1), width=12),
    "sums": lambda: Of(lambda X: X.view(-1, 2, 3).sum(-2), width=3),
    "kept sums": lambda: Of(lambda X: X * X.sum(1, keepdim=True)),
    "permuted": lambda: Of(lambda X: X.view(-1, 2, 3).permute(0, -1, 1).reshape(-1, 6)),
    "open slices": lambda: Of(lambda X: torch.ops.aten.slice(X, 1, None, 3), width=3),
    "cropped": lambda: Of(lambda X: F.pad(X, (-1, 2)), width=7),
    "GELU by tanh": lambda: Of(nn.GELU(approximate="tanh")),
    "dropout": lambda: Of(nn.Dropout()),
    "native dropout": lambda: Of(lambda X: torch.native_dropout(X, 0.5, True)[0]),
    "no bias": lambda: Of(nn.Linear(6, 6, bias=False)),
    "products": lambda: Of(Scaled()),
    "residual": lambda: Of(lambda X: X + torch.tanh(X)),
    "squares": lambda: Of(lambda X: X * X),
    "shapes": lambda: Of(lambda X: X.view(-1, 2, 3).reshape(-1, 6).unsqueeze(1).squeeze(1)),
    "squeeze": lambda: Of(lambda X: X.unsqueeze(0).squeeze()),
    "slices": lambda: Of(lambda X: X[:, 1:5:2], width=2),
    "slices from the end": lambda: Of(lambda X: torch.ops.aten.slice(X, -1, -5, -1), width=4),
    "pad": lambda: Of(lambda X: F.pad(X, (1, 2)), width=9),
    "batch norm": lambda: Of(nn.BatchNorm1d(6)),
    "batch norm by its averages": lambda: Of(nn.BatchNorm1d(6).eval()),
    "batch norm without parameters": lambda: Of(nn.BatchNorm1d(6, affine=False)),
    "frozen slope": lambda: Frozen(Of(nn.BatchNorm1d(6)), "function.weight"),
    "frozen shift": lambda: Frozen(Of(nn.BatchNorm1d(6)), "function.bias"),
    "frozen matrix": lambda: Frozen(Of(nn.Tanh()), "out.weight"),
    "only a bias": lambda: Frozen(Of(nn.Tanh()), "first.weight", "out.weight", "out.bias"),
    "nothing but the end": lambda: Frozen(Of(nn.Tanh()), "first.weight", "first.bias"),
    "MLP": lambda: MLP(4, 3, hidden=(5, 6)),
    "tied": CASES["tied"].make,
}

IMAGES = {
    "convolution": lambda: OfImages(conv(padding=1), 144),
    "strides": lambda: OfImages(conv(stride=2, dilation=2, padding=2, groups=2), 36),
    "no bias in convolution": lambda: OfImages(conv(bias=False), 64),
    "transposed": lambda: OfImages(nn.ConvTranspose2d(4, 2, 3, stride=2, output_padding=1), 392),
    "frozen kernel": lambda: Frozen(OfImages(conv(), 64), "function.weight"),
    "frozen convolution": lambda: Frozen(
        OfImages(conv(), 64), "conv.weight", "conv.bias", "out.weight"
    ),
    "only a bias of images": lambda: Frozen(
        OfImages(nn.Tanh(), 144), "conv.weight", "out.weight", "out.bias"
    ),
    "batch norm of images": lambda: OfImages(nn.BatchNorm2d(4), 144),
    "channels last": lambda: OfImages(
        lambda X: X.contiguous(memory_format=torch.channels_last).clone(), 144
    ),
    "largest of matrices": lambda: OfImages(
        lambda X: F.max_pool2d(X.flatten(0, 1), 2).view(-1, 4, 9), 36
    ),
    "largest, rounded up": lambda: OfImages(
        nn.MaxPool2d(3, stride=2, dilation=2, ceil_mode=True), 16
    ),
    "averages": lambda: OfImages(nn.AvgPool2d(2), 36),
    "averages, rounded up": lambda: OfImages(
        nn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True, count_include_pad=False), 64
    ),
    "cropped images": lambda: OfImages(lambda X: F.pad(X, (-1, 1, 0, -2)), 96),
    "LeNet": lambda: nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 3)
    ),
    "largest": lambda: OfImages(nn.MaxPool2d(2), 36),
    "overlapping largest": lambda: OfImages(nn.MaxPool2d(3, stride=1, padding=1), 144),
    "mean": lambda: OfImages(lambda X: X.mean(dim=(2, 3)), 4),
    "kept mean": lambda: OfImages(lambda X: X.mean(dim=-1, keepdim=True), 24),
    "adaptive pool": lambda: OfImages(nn.AdaptiveAvgPool2d(2), 16),
    "adaptive pool to one": lambda: OfImages(nn.AdaptiveAvgPool2d(1), 4),
    "padded channels": lambda: OfImages(lambda X: F.pad(X[:, :, ::2, ::2], (0, 0, 0, 0, 1, 2)), 63),
    "SmallResNet": lambda: SmallResNet(3, in_channels=1),
}


class Passes:
    """A network with rows, a direction, and the logits with their graph."""

    def __init__(self, make, row_shape=(4,), *, n=5, dtype=torch.float64):
        self.module = seeded(make).to(dtype)
        generator = torch.Generator().manual_seed(3)

        def draw(shape):
            return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

        self.X = draw((n, *row_shape))
        self.params = {k: p for k, p in self.module.named_parameters() if p.requires_grad}
        self.tangent = {name: draw(p.shape) for name, p in self.params.items()}
        self.buffers = {name: buffer.clone() for name, buffer in self.module.named_buffers()}
        self.calls = 0
        self.logits = self(self.params)
        self.calls = 0

    def __call__(self, params):
        self.calls += 1
        fresh = {name: buffer.clone() for name, buffer in self.buffers.items()}
        with draws_from(1):
            return functional_call(self.module, {**params, **fresh}, (self.X,))

    def recorded(self):
        return recorded_derivative(self.logits, self.params, self.tangent)

    def dual(self):
        return directional_derivative(self, self.params, self.tangent)


def passes(name):
    if name in TABLES:
        return Passes(TABLES[name])
    return Passes(IMAGES[name], (1, 8, 8) if name == "SmallResNet" else (1, 6, 6))
