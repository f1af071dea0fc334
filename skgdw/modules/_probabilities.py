"""A fitted classifier's prediction as one torch module, to be exported."""

from collections.abc import Mapping
from typing import Any

import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from skgdw._tensors import deep_copy, is_narrow

# A class that is not there at all is not ruled out: the network may be certain of it.
LEAST_SHARE = 1e-6


class Probabilities(nn.Module):
    """What `GDWClassifier.predict_proba` computes, as a torch module.

    It is for tools that take a module and no classifier: ``torch.export``, ``torch.onnx.export``.
    The network is copied, so a later ``fit`` changes nothing here, and is in evaluation mode;
    ``class_prior`` counts as it is set now.

    Parameters
    ----------
    net : GDWClassifier
        A fitted one; of a pipeline the last step.

    Attributes
    ----------
    module : Module
        A copy of ``net.module_``.
    shares : Tensor of shape (n_classes,) or None
        How frequent the classes are where predictions are for, a buffer; None where the
        probabilities stay as the module's output has them.

    Raises
    ------
    TypeError
        If `net` is none of ours.
    NotFittedError
        If it is not fitted.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from skgdw import GDWClassifier
    >>> from skgdw.modules import Probabilities
    >>> X, y = np.eye(4, dtype=np.float32)[[0, 1, 2, 3] * 3], np.array([0, 0, 1, 1] * 3)
    >>> net = GDWClassifier(max_epochs=1, verbose=0, random_state=0).fit(X, y, X[:4] + 1, y[:4])
    >>> probability = Probabilities(net)(torch.from_numpy(X))
    >>> np.allclose(probability.numpy(), net.predict_proba(X))
    True
    """

    shares: Tensor | None

    def __init__(self, net: Any) -> None:
        super().__init__()
        if not hasattr(net, "_class_shares"):
            raise TypeError(
                f"`net` must be a fitted GDWClassifier; got {type(net).__name__}. Of a pipeline "
                "pass the last step, `pipe[-1]`; of a search that of `best_estimator_`."
            )
        check_is_fitted(net)
        # What torch.compile wraps: compiled code is not exported.
        module = getattr(net.module_, "_orig_mod", net.module_)
        self.module = deep_copy(module).requires_grad_(False)
        self._nonlinearity = net._get_predict_nonlinearity()
        shares = net._class_shares()
        on = next((p.device for p in module.parameters()), None)
        least = None if shares is None else torch.as_tensor(shares.clip(min=LEAST_SHARE), device=on)
        self.register_buffer("shares", least)
        self.eval()

    def forward(self, X: Tensor | Mapping[str, Tensor]) -> Tensor:
        """Return the probability of each class.

        Parameters
        ----------
        X : Tensor of shape (n, ...), or mapping of names to such
            Rows as the module takes them, in its dtype.

        Returns
        -------
        Tensor of shape (n, n_classes)
            One column for each entry of the classifier's ``classes_``.
        """
        output = self.module(**X) if isinstance(X, Mapping) else self.module(X)
        first: Tensor = output[0] if isinstance(output, (tuple, list)) else output
        # Logits of 16 bits are widened, as in `predict_proba`.
        wide = first.float() if is_narrow(first) else first
        probability: Tensor = self._nonlinearity(wide)
        if self.shares is None:
            return probability
        weighed = probability * self.shares.to(probability.dtype)
        return weighed / weighed.sum(dim=1, keepdim=True)
