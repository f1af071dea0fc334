"""How many passes a step takes: what its cost follows from, fixed without a clock."""

from collections import Counter
from itertools import cycle

import pytest
import torch

from cases import CASES, Case, relu_mlp
from skgdw._training._random import RandomStream
from skgdw._training.step._plain_step import PlainStep
from training_cases import start

# Passes forward over the training and over the meta rows, forward-mode passes among the former;
# walks back through the module, and through the weighting net.
COSTS = {
    # Along the graph of the live pass.
    "forward": {"train": 1, "dual": 0, "meta": 1, "back": 3, "teach": 1},
    "dual": {"train": 2, "dual": 1, "meta": 1, "back": 3, "teach": 1},
    "difference": {"train": 3, "dual": 0, "meta": 1, "back": 3, "teach": 1},
    # The third walk back goes on through the look-ahead's own.
    "unrolled": {"train": 1, "dual": 0, "meta": 1, "back": 4, "teach": 1},
}
BETWEEN = {"train": 1, "dual": 0, "meta": 0, "back": 1, "teach": 0}


@pytest.fixture
def count(monkeypatch):
    """Return a function that runs a step and counts its passes."""
    found = Counter()

    def watch(training):
        n = len(training.problem.y)

        def forward(module, inputs, output):
            found["train" if len(inputs[0]) == n else "meta"] += 1
            found["dual"] += torch.autograd.forward_ad.unpack_dual(output).tangent is not None

        training.module.register_forward_hook(forward)
        walk = torch.autograd.graph._engine_run_backward

        def backward(outputs, *args, **kwargs):
            found["teach" if outputs[0].shape == (n, 1) else "back"] += 1
            return walk(outputs, *args, **kwargs)

        monkeypatch.setattr(torch.autograd, "_engine_run_backward", backward)

    def run(training, step=None):
        found.clear()
        (step or training.step)(training.problem.X, training.problem.y)
        return {name: found[name] for name in BETWEEN}

    run.watch = watch
    return run


@pytest.mark.parametrize("weighting", ["class", "instance", "network"])
@pytest.mark.parametrize("method", COSTS)
def test_passes_of_a_step_with_a_meta_batch(count, method, weighting):
    training = start(CASES["relu"], method=method, weighting=weighting)
    count.watch(training)
    for _ in range(2):
        assert count(training) == COSTS[method]


@pytest.mark.parametrize("weighting", ["class", "instance", "network"])
def test_where_the_graph_is_not_known_forward_mode_makes_its_own_pass(count, weighting):
    training = start(CASES["unknown"], method="forward", weighting=weighting)
    count.watch(training)
    assert count(training) == COSTS["forward"] | {"train": 2, "dual": 1}


def test_passes_of_the_steps_between(count):
    training = start(Case(relu_mlp), method="forward", meta_every=3)
    count.watch(training)
    found = [count(training) for _ in range(6)]
    assert found == [COSTS["forward"], BETWEEN, BETWEEN] * 2


def test_passes_of_a_plain_step(count):
    training = start(Case(relu_mlp))
    count.watch(training)
    stream = RandomStream(0, torch.device("cpu"))
    loss = torch.nn.CrossEntropyLoss()
    row_loss = training.step.row_loss
    step = PlainStep(training.module, lambda logits, y, X: loss(logits, y), row_loss, stream)
    assert count(training, step) == BETWEEN


def test_where_passes_cannot_be_shared_the_look_ahead_makes_its_own(count):
    training = start(CASES["relu"], method="difference", meta_batches=None)
    training.step.look_ahead.shares_pass = False
    count.watch(training)
    # One for the look-ahead's graph, one to start the difference from.
    assert count(training) == COSTS["difference"] | {"train": 4}


def test_meta_batches_are_drawn_only_where_they_are_used():
    problem = start(CASES["relu"]).problem
    drawn = []
    batches = (drawn.append(1) or pair for pair in cycle([(problem.X_meta, problem.y_meta)]))
    training = start(CASES["relu"], meta_every=4, meta_batches=batches)
    for _ in range(8):
        training.take(problem.X, problem.y)
    assert len(drawn) == 2
