"""From rows that were checked to batches of what the module takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self, cast

import numpy as np
import torch
from skorch import NeuralNet
from skorch.dataset import Dataset as SkorchDataset
from torch import Tensor, nn
from torch.utils.data import Dataset

from skgdw._feed._dataset import RowDataset
from skgdw._feed._feed import Loading
from skgdw._feed._loader import make_loader
from skgdw._rows import RowContainer
from skgdw._validation import check_numbers, explain_shapes, loader_options
from skgdw.modules._standardize import SelfScaling

# Rows a prediction step: large, so that a row's prediction does not depend on its neighbours
# (matrix products of different heights round differently), and fast.
_PREDICT_ROWS = 1024


class FedNet(NeuralNet):
    """A skorch net whose rows are tensors of the module's dtype, read a whole batch at a time."""

    _row_names: tuple[str, ...] | None
    _row_columns: Mapping[str, tuple[Any, ...]]
    _row_shapes: Mapping[str, tuple[int, ...]]

    def get_dataset(self, X: RowContainer, y: np.ndarray | Tensor | None = None) -> Dataset:
        """Return a dataset that hands out whole batches, or the user's own kind."""
        if isinstance(X, Dataset) or self.dataset is not SkorchDataset:
            return super().get_dataset(X, y)
        checked = cast("np.ndarray | Tensor | dict[str, np.ndarray | Tensor]", X)
        if isinstance(checked, dict):
            check_numbers(checked)
        rows: Tensor | dict[str, Tensor] = (
            {name: self._to_tensor(value) for name, value in checked.items()}
            if isinstance(checked, dict)
            else self._to_tensor(checked)
        )
        return RowDataset(rows, None if y is None else torch.as_tensor(y))

    def partial_fit(self, X: RowContainer, y: Any = None, *args: Any, **fit_params: Any) -> Self:
        """Train on rows that were checked."""
        try:
            super().partial_fit(X, y, *args, **fit_params)
        except RuntimeError as error:
            if (data := vars(self).get("_data")) is not None:
                beside = {"X_meta": data.meta, "X_val": data.valid}
                found = {name: rows.X for name, rows in beside.items() if rows is not None}
                explain_shapes(self, error, X=X, **found)
            raise
        return self

    def validation_step(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Return loss and output of a batch of validation rows."""
        try:
            step: dict[str, Any] = super().validation_step(batch, **fit_params)
        except RuntimeError as error:
            name = "train_split" if self.train_split else "X_val"
            explain_shapes(self, error, **{name: batch[0]})
            raise
        return step

    def forward_iter(
        self, X: RowContainer, training: bool = False, device: Any = "cpu"
    ) -> Iterator[Any]:
        """Yield what the module returns for each batch of rows that were checked.

        Parameters
        ----------
        X : array-like, mapping or Dataset
        training : bool, default=False
        device : str or torch.device, default="cpu"
            Where the results are wanted.

        Yields
        ------
        Tensor, or what else the module returns

        Raises
        ------
        RuntimeError
            As the module does.
        """
        try:
            yield from super().forward_iter(X, training, device)
        except RuntimeError as error:
            explain_shapes(self, error, X=X)
            raise

    def evaluation_step(self, batch: Any, training: bool = False) -> Any:
        """Return the module's output for a batch, which need not hold labels: `fit` takes them so.

        Parameters
        ----------
        batch : pair, or what a loader makes of rows alone
        training : bool, default=False

        Returns
        -------
        Tensor, or what else the module returns
        """
        return super().evaluation_step(_as_pair(batch), training)

    def _to_tensor(self, X: np.ndarray | Tensor) -> Tensor:
        if isinstance(X, Tensor):
            tensor = X
        else:
            array = np.require(X, X.dtype.newbyteorder("="), requirements=["C", "W"])
            tensor = torch.from_numpy(array)
        if tensor.is_floating_point() or not self._takes_codes():
            # Tables reach our own networks in double precision where they have it: these centre
            # them first, and large offsets (timestamps) would be rounded away.
            is_kept = tensor.ndim == 2 and tensor.dtype is torch.float64
            if not (is_kept and isinstance(self.module_, SelfScaling)):
                tensor = tensor.to(self._module_dtype())
        return tensor

    def _module_dtype(self) -> torch.dtype:
        floating = (p.dtype for p in self.module_.parameters() if p.is_floating_point())
        return next(floating, torch.get_default_dtype())

    def _takes_codes(self) -> bool:
        """Tell whether integers are codes to the module, to be looked up, and no numbers."""
        tables = (nn.Embedding, nn.EmbeddingBag)
        return any(isinstance(layer, tables) for layer in self.module_.modules())

    def _input_dtype(self) -> tuple[type[np.floating], type[np.floating]] | str:
        """Return the dtypes that arrays may have; others become one of them."""
        # What a module of the user's takes is only known once it is built.
        return (np.float32, np.float64) if isinstance(self.module, str) else "numeric"

    def _order_seed(self) -> int:
        """Return the seed of the training rows' order."""
        return self._seed()

    def get_iterator(self, dataset: Dataset, training: bool = False) -> Iterable:
        """Return the loader of a dataset: shuffled for training, in large batches otherwise."""
        name = "iterator_train" if training else "iterator_valid"
        options: dict[str, Any] = {
            "batch_size": self.batch_size if training else max(self.batch_size, _PREDICT_ROWS),
            "shuffle": training,
            **loader_options(self, name),
        }
        if options["batch_size"] == -1:
            options["batch_size"] = len(dataset)  # type: ignore[arg-type]
        generator = torch.Generator()
        generator.manual_seed(self._order_seed() if training else 0)
        # Rows of many passes are placed on the device once; prediction sees each a single time.
        device = torch.device((self.device if training else None) or "cpu")
        rows = self._row_numbers(dataset) if training else None
        options = {"generator": generator, **options}
        return make_loader(getattr(self, name), dataset, rows=rows, device=device, **options)

    def _loading(self, part: str) -> Loading:
        options = loader_options(self, f"iterator_{part}")
        size: Any = options.get("batch_size", self.batch_size)
        return Loading(getattr(self, f"iterator_{part}"), size, options)

    def _row_numbers(self, dataset: Dataset) -> Tensor | None:
        """Return where rows that are trained on stand in what ``fit`` was given, if known."""
        return None


def _as_pair(batch: Any) -> tuple[Any, Any]:
    """Return inputs and labels: the first of what an item holds are the inputs."""
    if not isinstance(batch, list | tuple):
        return batch, None
    return batch[0], batch[1] if len(batch) > 1 else None
