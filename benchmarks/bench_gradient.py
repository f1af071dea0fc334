"""How far the ways to the weight gradient are from double backward, in float32, as a fit goes on.

ResNet-32 on digits scaled up to 32 x 32 pixels, batch 100, meta batch 100. Before some steps of a
fit the weight gradient of a batch is computed in all ways; the relative distance to "unrolled" is
printed in per cent, and a JSON line.

usage: bench_gradient.py [--lr RATE ...] [--threads N]
"""

import argparse
import json

import numpy as np
import torch
from machine import describe
from sklearn.datasets import load_digits
from skorch.callbacks import Callback
from torch.func import functional_call

from skgdw import GDWClassifier
from skgdw.corruption import LabelNoise
from skgdw.functional import logit_gradient, weight_gradient
from skgdw.model_selection import split_meta
from skgdw.modules import ResNet32

STEPS = (0, 1, 2, 5, 10, 20, 40)
DUAL, SINGLE = "forward, dual numbers", "difference, single"
METHODS = ("forward", DUAL, "difference", SINGLE)


class Compare(Callback):
    """Computes the weight gradient in all ways before some of the steps."""

    def __init__(self, X_meta, y_meta):
        self.X_meta = torch.from_numpy(X_meta)
        self.y_meta = torch.from_numpy(y_meta)

    def on_train_begin(self, net, **kwargs):
        self.count_, self.found_ = 0, []

    def on_batch_begin(self, net, batch, **kwargs):
        if self.count_ in STEPS:
            self.found_.append((self.count_, self.errors(net, *batch)))
        self.count_ += 1

    def errors(self, net, X, y):
        """Return the relative distance to "unrolled" in per cent, by method."""
        module = net.module_
        params = dict(module.named_parameters())

        def logits(values, rows):
            dtype = next(iter(values.values())).dtype
            buffers = {
                name: buffer.to(dtype, copy=True) if buffer.is_floating_point() else buffer.clone()
                for name, buffer in module.named_buffers()
            }
            return functional_call(module, {**values, **buffers}, (rows.to(dtype),))

        def train_logits(values):
            return logits(values, X)

        def meta_loss(values):
            return torch.nn.functional.cross_entropy(logits(values, self.X_meta), self.y_meta)

        with torch.no_grad():
            weight_grad = logit_gradient(logits(params, X), y)
        (rate,) = {group["lr"] for group in net.optimizer_.param_groups}
        gradients = {
            method: weight_gradient(
                train_logits,
                meta_loss,
                params,
                torch.full_like(weight_grad, 0.5),
                weight_grad,
                lookahead_lr=rate,
                method=method.partition(",")[0],
                # As a fit does: forward mode then goes along the graph of the pass.
                logits=train_logits(params) if method == "forward" else None,
                wide_logits=train_logits if method == "difference" else None,
            ).weight_grad
            for method in ("unrolled", *METHODS)
        }
        expected = gradients["unrolled"]
        return {
            method: 100 * float((gradients[method] - expected).norm() / expected.norm())
            for method in METHODS
        }


def main():
    """Fit once at each learning rate and print the distances."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lr", type=float, nargs="+", default=[0.1, 0.01])
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    digits = load_digits()
    images = np.kron(digits.images, np.ones((4, 4)))[:, None].astype(np.float32) / 16
    X, y, X_meta, y_meta = split_meta(images, digits.target, 100, random_state=0)
    X, y = LabelNoise(noise_rate=0.4, random_state=0).fit_resample(X, y)
    print(f"ResNet-32, float32, {describe(args.threads)}")
    rows = []
    for lr in args.lr:
        compare = Compare(X_meta, y_meta)
        GDWClassifier(
            ResNet32,
            weighting="class",
            module__n_classes=10,
            module__in_channels=1,
            lr=lr,
            batch_size=100,
            max_epochs=3,
            callbacks=[compare],
            random_state=0,
            verbose=0,
        ).fit(X, y, X_meta, y_meta)
        print(f"lr {lr}; off by, in %")
        print("step".ljust(24) + "".join(f"{step:>9}" for step, _ in compare.found_))
        for method in METHODS:
            cells = (f"{errors[method]:9.2g}" for _, errors in compare.found_)
            print(method.ljust(24) + "".join(cells))
        rows += [{"lr": lr, "step": step, **errors} for step, errors in compare.found_]
    print(json.dumps({"bench": "gradient", "rows": rows}))


if __name__ == "__main__":
    main()
