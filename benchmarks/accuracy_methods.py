"""What bench_accuracy.py compares: class-pair weights, and all they have to beat.

Every method is a function of the rows of a run that returns something fitted, with ``classes_`` and
``predict_proba``. Networks have the module, optimizer, schedule and epochs of their family.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from accuracy_cells import with_true_labels
from baselines import meta_only, plain, stop_and_fine_tune, weighted
from sklearn.ensemble import HistGradientBoostingClassifier
from torch import nn
from torch.nn import functional as F

OURS = "class pairs"
BOUND = "clean labels"


def joined(rows):
    """Return the same rows, meta rows among the training rows too."""
    X, y = np.concatenate([rows.X, rows.X_meta]), np.concatenate([rows.y, rows.y_meta])
    return replace(rows, X=X, y=y)


def network(train):
    """Return a method of baselines.py as one of ours."""

    def fit(rows, seed, params):
        return train(rows.X, rows.y, rows.X_meta, rows.y_meta, random_state=seed, **params)

    return fit


def plain_joined(rows, seed, params):
    """Train on training and meta rows alike."""
    return network(plain)(joined(rows), seed, params)


def clean_labels(rows, seed, params):
    """Train on the true labels: a bound, for nobody has them."""
    return network(plain)(with_true_labels(rows), seed, params)


class BalancedSoftmax(nn.CrossEntropyLoss):
    """Cross-entropy of logits that the log of the given frequencies is added to.

    Ren et al., NeurIPS 2020. Prediction goes by the logits without them.
    """

    def __init__(self, log_frequency):
        super().__init__()
        self.register_buffer("log_frequency", log_frequency)

    def forward(self, logits, y):
        """Return the mean loss."""
        return super().forward(logits + self.log_frequency, y)


def balanced_softmax(rows, seed, params):
    """Train plainly under the balanced softmax."""
    counts = np.unique(rows.y, return_counts=True)[1]
    log_frequency = torch.tensor(np.log(counts / counts.sum()), dtype=torch.float32)
    own = {"criterion": BalancedSoftmax, "criterion__log_frequency": log_frequency}
    return network(plain)(rows, seed, {**own, **params})


def corrected_loss(logits, y, is_meta, confusion):
    """Return the mean loss of a batch: cross-entropy where trusted, else through the confusion.

    Parameters
    ----------
    logits : Tensor of shape (n, c)
    y : Tensor of shape (n,), int64
        Given classes.
    is_meta : Tensor of shape (n,), bool
        Which rows have trusted labels.
    confusion : Tensor of shape (c, c)
        Probability of each given class (columns) of each true one (rows).
    """
    log_p = F.log_softmax(logits, dim=1)
    given = torch.logsumexp(log_p + confusion.log().T[y], dim=1)
    trusted = log_p.gather(1, y[:, None])[:, 0]
    return -torch.where(is_meta, trusted, given).mean()


def gold_loss_correction(rows, seed, params):
    """Train through the confusions that a plainly trained network shows on the meta rows.

    Hendrycks et al., NeurIPS 2018. The second network starts, and its rates fall, as in plain
    training; meta rows are joined to the training rows.
    """
    params = {**params, "classes": np.arange(rows.n_classes)}
    first = network(plain)(rows, seed, params)
    p = first.predict_proba(rows.X_meta)
    means = [p[rows.y_meta == k].mean(axis=0) for k in range(rows.n_classes)]
    confusion = torch.tensor(np.array(means), dtype=torch.float32).clamp(min=1e-7)

    both, own = joined(rows), {**params, "max_epochs": 0, "callbacks__lr_schedule": None}
    net = network(plain)(both, seed, own)  # built, not trained
    X, y = torch.as_tensor(both.X), torch.as_tensor(both.y)
    is_meta = torch.arange(len(y)) >= len(rows.y)
    epochs = first.max_epochs
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(net.optimizer_, T_max=epochs)
    order = torch.Generator().manual_seed(seed)
    device = next(net.module_.parameters()).device
    confusion = confusion.to(device)
    net.module_.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(y), generator=order).split(net.batch_size):
            if len(batch) == 1:  # BatchNorm has nothing to go by
                continue
            X_batch, y_batch, trusted = (part[batch].to(device) for part in (X, y, is_meta))
            net.optimizer_.zero_grad()
            corrected_loss(net.module_(X_batch), y_batch, trusted, confusion).backward()
            net.optimizer_.step()
        schedule.step()
    return net


def boosting(rows, seed, params):
    """Fit scikit-learn's gradient boosting to training and meta rows."""
    both = joined(rows)
    return HistGradientBoostingClassifier(random_state=seed, **params).fit(both.X, both.y)


def clean_learning(rows, seed, params):
    """Fit the same after cleanlab has left out rows whose labels look wrong."""
    from cleanlab.classification import CleanLearning

    both = joined(rows)
    booster = HistGradientBoostingClassifier(random_state=seed)
    learner = CleanLearning(booster, seed=seed, **params).fit(both.X, both.y)
    learner.classes_ = learner.clf.classes_
    return learner


@dataclass(frozen=True)
class Method:
    """A way to train. ``takes`` tells for which cells it is there.

    ``resumes`` tells whether it is one fit of a classifier, which can go on where it was cut off.
    """

    fit: Callable
    is_network: bool = True
    resumes: bool = True
    takes: Callable = lambda cell: True


def is_table(cell):
    """Tell whether the rows of a cell are a table."""
    return cell.family.is_table


METHODS = {
    "plain": Method(network(plain)),
    "meta rows alone": Method(network(meta_only)),
    "stopped early, fine-tuned": Method(network(stop_and_fine_tune)),
    "plain, meta rows joined": Method(plain_joined),
    "balanced softmax": Method(balanced_softmax, takes=lambda cell: cell.is_uneven),
    "gold loss correction": Method(gold_loss_correction, resumes=False),
    "MW-Net": Method(network(weighted("network"))),
    "instance": Method(network(weighted("instance"))),
    "GDW (paper)": Method(network(weighted("class"))),
    OURS: Method(network(weighted("class_pair"))),
    "HistGradientBoosting": Method(boosting, is_network=False, resumes=False, takes=is_table),
    "CleanLearning": Method(clean_learning, is_network=False, resumes=False, takes=is_table),
    BOUND: Method(clean_labels, takes=lambda cell: cell.noise is not None),
}


def probabilities(fitted, X, n_classes):
    """Return class probabilities, with a column for classes that were not learnt too."""
    found = np.asarray(fitted.predict_proba(X), dtype=np.float64)
    p = np.zeros((len(X), n_classes))
    p[:, np.asarray(fitted.classes_, dtype=int)] = found
    return p
