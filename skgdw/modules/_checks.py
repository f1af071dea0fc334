"""Checks of the sizes that networks are built from."""

from numbers import Integral


def check_count(name: str, value: object, *, minimum: int, remedy: str) -> int:
    """Return `value` as an int, or raise if it is no integer or below `minimum`."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(
            f"`{name}` must be an integer; got {value!r} of type {type(value).__name__}; {remedy}"
        )
    count = int(value)
    if count < minimum:
        raise ValueError(f"`{name}` must be at least {minimum}; got {count}; {remedy}")
    return count


def check_n_classes(n_classes: object) -> int:
    """Return the number of logits to give per row, checked."""
    return check_count(
        "n_classes", n_classes, minimum=1, remedy="pass the number of distinct labels"
    )


def check_in_channels(in_channels: object) -> int:
    """Return the number of channels of the input images, checked."""
    return check_count(
        "in_channels",
        in_channels,
        minimum=1,
        remedy="pass the second dimension of the images, as in `X.shape[1]`",
    )
