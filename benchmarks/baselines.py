"""What class-level weighting has to beat: fit on (X, y), meta rows beside, one protocol for all."""

from copy import deepcopy

import numpy as np
import torch
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedKFold
from skorch.callbacks import Callback

from skgdw import GDWClassifier

# Fine-tuning choices, taken by cross-validation on the meta rows; 0 is no fine-tuning.
FINE_TUNING_RATES = (0.0, 0.003, 0.01, 0.03)
FINE_TUNING_EPOCHS = 30


class BestOnMeta(Callback):
    """Keeps the parameters of the epoch with the best balanced accuracy on the meta rows."""

    def __init__(self, X_meta, y_meta):
        self.X_meta = X_meta
        self.y_meta = y_meta

    def on_train_begin(self, net, **kwargs):
        self.best_, self.module_ = -1.0, None

    def on_epoch_end(self, net, **kwargs):
        score = balanced_accuracy_score(self.y_meta, net.predict(self.X_meta))
        if score > self.best_:
            self.best_, self.module_ = score, deepcopy(net.module_)


def plain(X, y, X_meta, y_meta, **params):
    """Train on the given labels alone."""
    return GDWClassifier(weighting="uniform", verbose=0, **params).fit(X, y)


def meta_only(X, y, X_meta, y_meta, **params):
    """Train on the meta rows alone."""
    params = {"batch_size": 32, **params}
    classes = np.union1d(y, y_meta)
    net = GDWClassifier(weighting="uniform", verbose=0, classes=classes, **params)
    return net.fit(X_meta, y_meta)


def stop_and_fine_tune(X, y, X_meta, y_meta, *, random_state=0, **params):
    """Train plainly, keep the epoch that is best on the meta rows, fine-tune that on them."""
    watch = BestOnMeta(X_meta, y_meta)
    net = GDWClassifier(
        weighting="uniform", verbose=0, callbacks=[watch], random_state=random_state, **params
    ).fit(X, y)
    module, classes = watch.module_, net.classes_

    def tuned(rate, rows):
        return GDWClassifier(
            deepcopy(module),
            weighting="uniform",
            classes=classes,
            lr=rate,
            max_epochs=FINE_TUNING_EPOCHS if rate else 0,
            batch_size=32,
            callbacks__lr_schedule=None,
            verbose=0,
            random_state=random_state,
        ).fit(X_meta[rows], y_meta[rows])

    n_folds = min(5, np.unique(y_meta, return_counts=True)[1].min())
    if n_folds < 2:
        return tuned(0.0, np.arange(len(y_meta)))
    folds = list(
        StratifiedKFold(n_folds, shuffle=True, random_state=random_state).split(X_meta, y_meta)
    )
    scores = [
        np.mean([(tuned(r, a).predict(X_meta[b]) == y_meta[b]).mean() for a, b in folds])
        for r in FINE_TUNING_RATES
    ]
    return tuned(FINE_TUNING_RATES[int(np.argmax(scores))], np.arange(len(y_meta)))


def weighted(weighting, **own):
    """Return the method of that weighting, taught by the meta rows."""

    def train(X, y, X_meta, y_meta, **params):
        net = GDWClassifier(weighting=weighting, verbose=0, **own, **params)
        return net.fit(X, y, X_meta, y_meta)

    return train


METHODS = {
    "plain": plain,
    "meta rows alone": meta_only,
    "stopped early, fine-tuned": stop_and_fine_tune,
    "MW-Net": weighted("network"),
    "instance": weighted("instance"),
    "GDW": weighted("class"),
    "GDW, slow weighting net": weighted("class", weight_net_optimizer__lr=1e-4),
    "GDW, Adam at 1e-3": weighted("class", optimizer=torch.optim.Adam, lr=1e-3),
}
