"""Updates captured and replayed: what a CUDA graph does, played by a recorder on the CPU."""

import logging

import numpy as np
import pytest
import torch
from skorch.callbacks import GradientNormClipping
from torch import nn

from cases import CASES
from classifier_cases import DropoutNet, Net, blobs, quick, weights
from skgdw._training._assembly import Assembly
from skgdw._training.speed._graph import GraphRates, StaticBatches, captured
from skgdw.exceptions import SkgdwWarning
from training_cases import CPU, start

DATA = blobs()
# Graphs read rates in single precision: those of the tests are the same there.
RATE = 2.0**-10


def tensors(result):
    """Return all that a step found out."""
    evidence = result.evidence
    parts = (evidence.logits, evidence.y, evidence.rows)
    return [result.loss, result.weight, result.meta_loss, *parts]


class Replays:
    """Captures nothing and runs the action at each replay, on what stands in its tensors then."""

    capturable = False

    def __init__(self):
        self.aside_runs = self.recorded = self.replayed = 0

    def on_side_stream(self, action):
        self.aside_runs += 1
        return action()

    def record(self, action):
        self.recorded += 1
        result = None

        def replay():
            # The same tensors every time, as out of a graph.
            nonlocal result
            self.replayed += 1
            new = action()
            if result is None:
                result = new
            for old, part in zip(tensors(result), tensors(new), strict=True):
                if old is not None:
                    old.copy_(part)
            return result

        return replay


class Refuses(Replays):
    def record(self, action):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")


def update_of(training, recorder):
    """Return an update of a training that the recorder captures."""

    def update(X, y, rows, batch):
        training.optimizer.zero_grad()
        result = training.step(X, y, rows)
        training.optimizer.step()
        return result

    optimizers = [training.optimizer, training.step.weighting_optimizer]
    training.step, graphed = captured(update, training.step, optimizers, CPU, recorder)
    return graphed


def state(training):
    parameters = [*training.module.parameters(), *training.weight_net.parameters()]
    return torch.cat([p.detach().ravel() for p in parameters])


def close(found, expected):
    # An optimizer that is not fused divides its rate in single precision then.
    return torch.allclose(found, expected, rtol=1e-5, atol=1e-8)


def begin(**options):
    training = start(CASES["relu"], **options)
    training.optimizer.param_groups[0]["lr"] = 0.125
    training.step.weighting_optimizer.param_groups[0]["lr"] = RATE
    return training


def run_both(recorder, *, sizes, **options):
    """Take the same steps with and without capture; the learning rate falls on the way."""
    eager, graphed = (begin(**options) for _ in range(2))
    update = update_of(graphed, recorder)
    for k, size in enumerate(sizes):
        for training in (eager, graphed):
            training.optimizer.param_groups[0]["lr"] = 0.5 ** (k % 5)
        X, y = eager.problem.X[:size] + 0.01 * k, eager.problem.y[:size]
        rows = torch.arange(len(y)) + k
        expected, found = eager.take(X, y, rows), update(X, y, rows, ())
        for wanted, part in zip(tensors(expected), tensors(found), strict=True):
            assert (wanted is None) == (part is None)
            assert wanted is None or close(part, wanted)
    assert close(state(graphed), state(eager))
    return update


@pytest.mark.parametrize("method", ["forward", "difference", "unrolled"])
def test_replays_are_the_steps_themselves(method):
    recorder = Replays()
    n = len(start(CASES["relu"]).problem.y)
    run_both(recorder, sizes=[n] * 6 + [n - 3] + [n] * 3, method=method)
    assert (recorder.aside_runs, recorder.recorded, recorder.replayed) == (3, 1, 6)


def test_steps_with_and_without_a_meta_batch_have_a_graph_each():
    recorder = Replays()
    n = len(start(CASES["relu"]).problem.y)
    run_both(recorder, sizes=[n] * 16, meta_every=3)
    assert (recorder.aside_runs, recorder.recorded, recorder.replayed) == (6, 2, 10)


def test_meta_batches_take_turns():
    problem = start(CASES["relu"]).problem
    pairs = [(problem.X_meta + k, problem.y_meta) for k in range(3)]

    def batches():
        while True:
            yield from pairs

    eager, graphed = (begin(meta_batches=batches()) for _ in range(2))
    update = update_of(graphed, Replays())
    for _ in range(7):
        expected = eager.take(problem.X, problem.y)
        assert close(update(problem.X, problem.y, None, ()).meta_loss, expected.meta_loss)


def test_a_capture_that_fails_leaves_the_steps_as_they_were(caplog):
    n = len(start(CASES["relu"]).problem.y)

    with caplog.at_level(logging.WARNING, logger="skgdw"):
        run_both(Refuses(), sizes=[n] * 8, meta_every=2)
    (record,) = caplog.records
    assert record.getMessage() == (
        "`cuda_graph` is not used: operation not permitted when stream is capturing."
    )


def test_meta_batches_of_other_sizes_end_the_capture(caplog):
    problem = start(CASES["relu"]).problem
    sizes = [4] * 5 + [3] * 3

    def batches():
        return iter([(problem.X_meta[:k], problem.y_meta[:k]) for k in sizes])

    eager, graphed = (begin(meta_batches=batches()) for _ in range(2))
    recorder = Replays()
    update = update_of(graphed, recorder)
    for _ in sizes:
        expected = eager.take(problem.X, problem.y)
        assert close(update(problem.X, problem.y, None, ()).weight, expected.weight)
    assert recorder.replayed == 2
    assert [r.getMessage() for r in caplog.records] == [
        "`cuda_graph` is not used: meta batches differ in size."
    ]


def test_results_are_not_written_over():
    problem = start(CASES["relu"]).problem
    update = update_of(start(CASES["relu"]), Replays())
    kept = [update(problem.X + k, problem.y, None, ()) for k in range(8)]
    losses = torch.stack([result.loss for result in kept])
    assert len(losses.unique()) == 8
    # Nor what is computed from the tensors when it is asked for.
    each = torch.stack([result.evidence.losses.mean() for result in kept])
    assert close(each, losses)


def test_rates_are_tensors_only_inside():
    parameter = nn.Parameter(torch.ones(2))
    sgd = torch.optim.SGD([{"params": [parameter], "lr": 0.25}], lr=0.5)
    adam = torch.optim.Adam([parameter], lr=0.5)
    rates = GraphRates([sgd, adam], torch.device("cpu"), capturable=True)
    with rates.in_place():
        first = sgd.param_groups[0]["lr"]
        assert torch.equal(first, torch.tensor(0.25))
        assert adam.param_groups[0]["capturable"]
    assert sgd.param_groups[0]["lr"] == 0.25
    assert not isinstance(sgd.param_groups[0]["lr"], torch.Tensor)
    assert not adam.param_groups[0]["capturable"]
    with pytest.raises(KeyError), rates.in_place():
        raise KeyError
    assert sgd.param_groups[0]["lr"] == 0.25
    sgd.param_groups[0]["lr"] = 0.125
    with rates.in_place():
        assert sgd.param_groups[0]["lr"] is first  # what a graph has read
        assert torch.equal(first, torch.tensor(0.125))


def test_counts_of_an_earlier_fit_follow_to_the_device():
    parameter = nn.Parameter(torch.ones(2))
    adam = torch.optim.Adam([parameter])
    parameter.grad = torch.ones(2)
    adam.step()
    GraphRates([adam], torch.device("meta"), capturable=True)
    assert adam.state[parameter]["step"].device.type == "meta"


def test_mappings_are_held_in_place():
    batches = [({"a": torch.full((2,), float(k))}, torch.full((2,), k)) for k in range(3)]
    held = StaticBatches(iter(batches))
    assert not held.advance()
    first = next(held)
    for k in (1, 2):
        assert held.advance()
        X, y = next(held)
        assert X["a"] is first[0]["a"]
        assert y is first[1]
        assert torch.equal(X["a"], batches[k][0]["a"])
        assert torch.equal(y, batches[k][1])
    assert torch.equal(batches[0][1], torch.zeros(2, dtype=torch.int64))


# --- the estimator --------------------------------------------------------------------------------


@pytest.mark.parametrize("meta_every", [1, 2])
def test_the_estimator_trains_the_same_way(monkeypatch, meta_every):
    options = {"max_epochs": 4, "batch_size": 10, "meta_every": meta_every, "lr": 0.125}
    options |= {"weight_net_optimizer__lr": RATE, "callbacks__lr_schedule": None}
    expected = quick(**options).fit(*DATA)
    recorder = Replays()

    def on_the_cpu(assembly, update, step):
        optimizers = [assembly.parts.optimizer, assembly.parts.weighting_optimizer]
        step, update = captured(update, step, optimizers, CPU, recorder)
        return update, step

    monkeypatch.setattr(Assembly, "captured", on_the_cpu)
    monkeypatch.setenv("SKGDW_CUDA_GRAPH", "1")
    found = quick(**options).fit(*DATA)
    assert recorder.replayed > 8
    assert np.array_equal(weights(found), weights(expected))
    assert np.array_equal(found.row_weights_, expected.row_weights_)
    for name, column in expected.row_ledger_.items():
        np.testing.assert_array_equal(found.row_ledger_[name], column)
    for name in ("train_loss", "meta_loss", "weight_given"):
        assert found.history[:, name] == expected.history[:, name]
    assert isinstance(found.optimizer_.param_groups[0]["lr"], float)


def test_what_cannot_be_captured_is_said_once_and_trained_all_the_same(caplog, monkeypatch):
    options = {
        "optimizer": torch.optim.Adagrad,
        "lr": 0.01,
        "weight_net_optimizer": torch.optim.SGD,
        "callbacks": [("clipping", GradientNormClipping(1.0))],
    }
    expected = quick(DropoutNet, **options).fit(*DATA)
    monkeypatch.setenv("SKGDW_CUDA_GRAPH", "1")
    found = quick(DropoutNet, device="cpu", **options).fit(*DATA)
    (record,) = caplog.records
    assert record.getMessage() == (
        "`cuda_graph` is not used: the device is cpu; DropoutNet draws random numbers, which "
        "passes of one step must share; callbacks listen to gradients: ['clipping']; Adagrad has "
        "no `capturable`; SGD reads its rate on the host unless fused=True."
    )
    assert np.array_equal(weights(found), weights(expected))


def test_plain_training_is_not_captured(caplog, monkeypatch):
    monkeypatch.setattr(Assembly, "captured", None)  # cannot be called
    monkeypatch.setenv("SKGDW_CUDA_GRAPH", "1")
    quick(Net, weighting="uniform", device="cpu").fit(DATA.X, DATA.y)
    assert not caplog.records


def test_compiled_modules_are_not_captured(caplog, monkeypatch):
    monkeypatch.setenv("SKGDW_CUDA_GRAPH", "1")
    options = {"compile": True, "compile__backend": "eager", "device": "cpu"}
    quick(**options).fit(*DATA)
    assert "Net is compiled" in caplog.text


def test_the_issued_warnings_are_those_of_plain_steps(recwarn, monkeypatch):
    monkeypatch.setenv("SKGDW_CUDA_GRAPH", "1")
    quick(device="cpu").fit(*DATA)
    assert not [w for w in recwarn if issubclass(w.category, SkgdwWarning)]
