"""Pure functions of the parameters of each case, for look-aheads and what follows from them."""

import torch
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

import oracles
from cases import CASES, problem
from oracles import draws_from
from skgdw.functional import logit_gradient, weight_gradient

RATE = 0.7
SEED = 5


class Passes:
    """Pure functions of the parameters: buffers cloned, random numbers replayed."""

    def __init__(self, case, problem):
        self.case, self.problem, module = case, problem, problem.module
        self.params = {k: p for k, p in module.named_parameters() if p.requires_grad}
        self.buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
        self.y = problem.y
        self.logits = self.train_logits(self.params)
        self.logit_grad = logit_gradient(self.logits.detach(), self.y)
        generator = torch.Generator().manual_seed(9)
        weight = torch.rand(self.logits.shape, generator=generator, dtype=torch.float64)
        self.weight = weight.to(problem.X.dtype)

    def _call(self, params, X, seed):
        fresh = {name: buffer.clone() for name, buffer in self.buffers.items()}
        with draws_from(seed), sdpa_kernel(SDPBackend.MATH):
            return functional_call(self.problem.module, {**params, **fresh}, (X,))

    def train_logits(self, params):
        return self._call(params, self.problem.X, SEED)

    def meta_loss(self, params):
        logits = self._call(params, self.problem.X_meta, SEED + 1)
        return F.cross_entropy(logits, self.problem.y_meta)

    def gradient(self, method, *, rate=RATE, **kwargs):
        return weight_gradient(
            self.train_logits,
            self.meta_loss,
            self.params,
            self.weight,
            self.logit_grad,
            lookahead_lr=rate,
            method=method,
            **kwargs,
        )

    def oracle(self, rate_of):
        batches = (self.problem.X, self.problem.X_meta, self.problem.y_meta)
        module = self.problem.module
        with sdpa_kernel(SDPBackend.MATH):
            return oracles.weight_gradient(
                module, self.weight, self.logit_grad, batches, rate_of, seed=SEED
            )


def passes(name, dtype=torch.float64):
    return Passes(CASES[name], problem(CASES[name], dtype=dtype))
