"""Datasets and loaders that the tests of the feed share."""

import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

from skgdw._feed._dataset import RowDataset
from skgdw._feed._loader import make_loader


def dataset(n=9, *, mapping=False, trusted=False):
    """Make n rows whose numbers are 0, 10, 20, ..."""
    X = torch.arange(2.0 * n).reshape(n, 2)
    inputs = {"a": X, "b": X + 100} if mapping else X
    is_trusted = torch.arange(n) % 4 == 1 if trusted else None
    return RowDataset(inputs, torch.arange(n) % 3, torch.arange(n) * 10, is_trusted)


class Single(Dataset):
    """A dataset of the user's own: one row at a time."""

    def __init__(self, n=9):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        return torch.full((2,), float(index)), index % 3


class Stream(IterableDataset):
    def __iter__(self):
        return iter(Single()[index] for index in range(9))


def loader_of(data, *, batch_size=4, shuffle=False, seed=0, iterator=DataLoader, **kwargs):
    generator = torch.Generator().manual_seed(seed)
    return make_loader(
        iterator, data, batch_size=batch_size, shuffle=shuffle, generator=generator, **kwargs
    )


def one_by_one(samples):
    """Collate as a user would."""
    return torch.stack([x for x, _ in samples]), torch.tensor([int(y) for _, y in samples])
