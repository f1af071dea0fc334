"""What class-level weighting has to beat: fit on (X, y), meta rows beside, one protocol for all."""

import numpy as np
import torch

from skgdw import GDWClassifier


def plain(X, y, X_meta, y_meta, **params):
    """Train on the given labels alone."""
    return GDWClassifier(weighting="uniform", verbose=0, **params).fit(X, y)


def meta_only(X, y, X_meta, y_meta, **params):
    """Train on the meta rows alone."""
    params = {"batch_size": 32, **params}
    classes = np.union1d(y, y_meta)
    net = GDWClassifier(weighting="uniform", verbose=0, classes=classes, **params)
    return net.fit(X_meta, y_meta)


def stop_and_fine_tune(X, y, X_meta, y_meta, **params):
    """Train plainly, keep the epoch that is best on the meta rows, fine-tune that on them."""
    net = GDWClassifier(weighting="uniform", fine_tune=True, verbose=0, **params)
    return net.fit(X, y, X_meta, y_meta)


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
