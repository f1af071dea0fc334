"""What was seen of each row: recounted from the batches, one by one."""

import math

import numpy as np
import pytest
import torch

from classifier_cases import DropoutNet, blobs, quick
from skgdw import GDWClassifier
from skgdw._training import _ledger
from skgdw._training._ledger import COLUMNS, Ledger
from skgdw.weighting import Evidence

N_ROWS, N_CLASSES = 12, 3
CPU = torch.device("cpu")


def batches(n_batches, *, weighted=True, believing=False, seed=0):
    """Draw evidence of some rows each, one of them twice, with weights and posteriors."""
    generator = torch.Generator().manual_seed(seed)
    for k in range(n_batches):
        n = 3 + k % 3
        rows = torch.randperm(N_ROWS - 2, generator=generator)[:n]
        rows = torch.cat([rows, rows[:1]])  # of a row that comes twice the later one is the last
        logits = torch.randn((n + 1, N_CLASSES), generator=generator)
        y = torch.randint(N_CLASSES, (n + 1,), generator=generator)
        weight = torch.rand(n + 1, generator=generator) if weighted else None
        scores = torch.randn((n + 1, N_CLASSES), generator=generator)
        yield Evidence(logits, y, rows=rows), weight, scores.softmax(1) if believing else None


def recount(found, n_rows=N_ROWS):
    """Go through the rows one by one."""
    seen = {row: [] for row in range(n_rows)}
    for evidence, weight, posterior in found:
        for i, row in enumerate(evidence.rows.tolist()):
            z, y = evidence.logits[i].double(), int(evidence.y[i])
            probability = float(torch.softmax(z, dim=0)[y])
            own = math.nan if weight is None else float(weight[i])
            believed = (math.nan, -1, math.nan)
            if posterior is not None:
                best = int(posterior[i].argmax())
                believed = (float(posterior[i, y]), best, float(posterior[i, best]))
            seen[row].append((own, -math.log(probability), probability, int(z.argmax()), believed))
    columns = {name: [] for name in COLUMNS}
    for times in seen.values():
        found = zip(*times, strict=True) if times else [[]] * 5
        weights, losses, probabilities, predictions, beliefs = found
        columns["last_weight"].append(weights[-1] if times else math.nan)
        columns["mean_weight"].append(sum(weights) / len(times) if times else math.nan)
        columns["last_loss"].append(losses[-1] if times else math.nan)
        mean = sum(probabilities) / len(times) if times else math.nan
        columns["mean_given_probability"].append(mean)
        columns["last_prediction"].append(predictions[-1] if times else -1)
        columns["times_seen"].append(len(times))
        known = [each for each in beliefs if each[1] >= 0] or [(math.nan, -1, math.nan)]
        for name, value in zip(COLUMNS[-3:], known[-1], strict=True):
            columns[name].append(value)
    return columns


def assert_columns(found, expected):
    assert list(found) == list(COLUMNS)
    for name, column in expected.items():
        np.testing.assert_allclose(found[name], column, 1e-5, 1e-6, err_msg=name)


@pytest.mark.parametrize(
    ("weighted", "believing"), [(True, False), (False, False), (True, True), (False, True)]
)
@pytest.mark.parametrize("n_batches", [0, 1, 5, 31, 32, 33, 70])
def test_columns_are_a_recount(n_batches, weighted, believing):
    found = list(batches(n_batches, weighted=weighted, believing=believing))
    ledger = Ledger(N_ROWS, CPU)
    for batch in found:
        ledger.note(*batch)
    assert_columns(ledger.columns(), recount(found))
    assert_columns(ledger.columns(), recount(found))  # asking changes nothing


@pytest.mark.parametrize("sizes", [(1, 10**6), (4, 10**6), (10**6, 1), (10**6, 40), (10**6, 10**6)])
def test_when_it_is_written_does_not_matter(monkeypatch, sizes):
    monkeypatch.setattr(_ledger, "_BATCHES_AT_ONCE", sizes[0])
    monkeypatch.setattr(_ledger, "_LOGITS_AT_ONCE", sizes[1])
    ledger, found = Ledger(N_ROWS, CPU), list(batches(20))
    for k, batch in enumerate(found):
        ledger.note(*batch)
        if k == 7:
            ledger.write()
    assert_columns(ledger.columns(), recount(found))


def test_rows_that_were_never_seen():
    ledger = Ledger(N_ROWS, CPU)
    for batch in batches(40, believing=True):
        ledger.note(*batch)
    columns = ledger.columns()
    assert all(column.shape == (N_ROWS,) for column in columns.values())
    for row in (N_ROWS - 2, N_ROWS - 1):  # none of the batches holds them
        values = {name: float(column[row]) for name, column in columns.items()}
        assert values.pop("times_seen") == 0
        assert values.pop("last_prediction") == values.pop("best_class") == -1
        assert all(map(math.isnan, values.values()))
    assert int(columns["times_seen"].sum()) == sum(len(e.y) for e, *_ in batches(40))


def test_batches_without_places_are_passed_over():
    ledger = Ledger(N_ROWS, CPU)
    evidence, weight, _ = next(batches(1))
    ledger.note(Evidence(evidence.logits, evidence.y), weight)
    assert int(ledger.columns()["times_seen"].sum()) == 0


def test_a_ledger_goes_on_from_its_state():
    whole, first, second = (Ledger(N_ROWS, CPU) for _ in range(3))
    # Beliefs begin between the two, as where a warm-up ends.
    found = [*batches(5, seed=1), *batches(5, believing=True)]
    for k, batch in enumerate(found):
        whole.note(*batch)
        if k < 6:
            first.note(*batch)
    state = {name: value.clone() for name, value in first.state_dict().items()}
    second.load_state_dict(state)
    for batch in found[6:]:
        second.note(*batch)
    assert_columns(whole.columns(), recount(found))
    for name, column in whole.columns().items():
        torch.testing.assert_close(second.columns()[name], column, equal_nan=True, msg=name)


# Of a fit.


@pytest.mark.parametrize("weighting", ["class", "network", "uniform"])
@pytest.mark.parametrize("batch_size", [7, 48])
def test_the_ledger_of_a_fit_is_a_recount_of_its_batches(monkeypatch, weighting, batch_size):
    data = blobs(n=48)
    heard = []
    note = Ledger.note

    def overheard(ledger, evidence, given_weight, posterior):
        assert evidence.rows is not None
        weight = None if given_weight is None else given_weight.clone()
        kept = Evidence(evidence.logits.clone(), evidence.y.clone(), rows=evidence.rows.clone())
        heard.append((kept, weight, None if posterior is None else posterior.clone()))
        note(ledger, evidence, given_weight, posterior)

    monkeypatch.setattr(Ledger, "note", overheard)
    mask = np.arange(48) >= 45
    net = quick(DropoutNet, weighting=weighting, max_epochs=3, batch_size=batch_size)
    net.fit(data.X, data.y, meta_mask=mask)
    is_weighted = weighting != "uniform"
    assert all((weight is not None) is is_weighted for _, weight, _ in heard)
    assert not any(posterior is not None for *_, posterior in heard)
    found = net.row_ledger_
    assert_columns(found, recount(heard, 48))
    # Every row once an epoch; the meta rows never.
    assert found["times_seen"].tolist() == [3] * 45 + [0] * 3
    if is_weighted:
        np.testing.assert_array_equal(net.row_weights_, found["last_weight"])
    else:
        assert net.row_weights_ is None
    for evidence, *_ in heard:
        assert (evidence.y.numpy() == data.y[evidence.rows.numpy()]).all()


@pytest.mark.parametrize("batch_size", [7, 48])
def test_class_pairs_tell_the_posterior_of_the_true_class(batch_size):
    data = blobs(n=48)
    mask = np.arange(48) >= 39
    kwargs = {"batch_size": batch_size, "iterator_meta__batch_size": 9, "verbose": 0}
    net = GDWClassifier(max_epochs=5, random_state=0, **kwargs).fit(data.X, data.y, meta_mask=mask)
    ledger = net.row_ledger_
    trained, best = ~mask, ledger["best_class"][~mask]
    assert (ledger["best_class"][mask] == -1).all()
    assert np.isnan(ledger["given_posterior"][mask]).all()
    assert (best >= 0).all()
    assert (best < 3).all()
    given, most = ledger["given_posterior"][trained], ledger["best_posterior"][trained]
    assert (given <= most).all()
    assert (most >= 1 / 3).all()
    same = best == data.y[trained]
    np.testing.assert_array_equal(given[same], most[same])
    assert (given[~same] + most[~same] <= 1 + 1e-6).all()
