"""Long work shows how far it is, and can be watched as skorch's users do."""

from functools import partial

import numpy as np
from skorch.callbacks import ProgressBar, logging

from classifier_cases import blobs, quick, weights

DATA = blobs()


def test_progress_bar_counts_batches_and_changes_nothing(capfd, monkeypatch):
    at_once = partial(logging.tqdm.tqdm, mininterval=0)
    monkeypatch.setattr(logging.tqdm, "tqdm", at_once)
    bar = ProgressBar(postfix_keys=["train_batch_size"], detect_notebook=False)
    net = quick(max_epochs=2, batch_size=12, callbacks=[("bar", bar)]).fit(*DATA)
    shown = capfd.readouterr().err
    assert shown.count("4/4") >= 2
    assert "train_batch_size=12" in shown
    assert np.array_equal(weights(net), weights(quick(max_epochs=2, batch_size=12).fit(*DATA)))


def test_the_log_prints_an_epoch_a_line(capsys):
    quick(max_epochs=3, verbose=1).fit(*DATA)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["1", "2", "3"]
    assert {"train_loss", "meta_loss", "weight_given", "weight_other"} <= set(lines[0].split())
