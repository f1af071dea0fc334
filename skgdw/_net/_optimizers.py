"""Optimizers out of what skorch collects for them, and words for what they do not take."""

from __future__ import annotations

from collections.abc import Callable

from torch.optim import Optimizer

_OF_GROUPS = "param_groups__"


def make_optimizer(
    name: str,
    factory: Callable[..., Optimizer],
    args: tuple[object, ...],
    kwargs: dict[str, object],
) -> Optimizer:
    """Build an optimizer.

    Parameters
    ----------
    name : str
        Of the classifier's parameter that holds `factory`.
    factory : callable
        An optimizer class.
    args, kwargs
        As skorch's ``get_params_for_optimizer`` gives them, settings of groups among them.

    Returns
    -------
    Optimizer

    Raises
    ------
    TypeError, ValueError
        If the optimizer does not take them.
    ValueError
        If it has no such group.
    """
    of_groups = {k: v for k, v in kwargs.items() if k.startswith(_OF_GROUPS)}
    kwargs = {k: v for k, v in kwargs.items() if k not in of_groups}
    try:
        optimizer = factory(*args, **kwargs)
    except (TypeError, ValueError) as error:  # what torch says tells no names of ours
        what, kind = getattr(factory, "__name__", name), type(error)
        rule = "of the types" if kind is TypeError else "values"
        raise kind(
            f"`{name}__...` must be {rule} that {what} takes; got {kwargs}: {error}. Correct "
            "the one that is not."
        ) from error
    groups = {str(index): group for index, group in enumerate(optimizer.param_groups)}
    for key, value in of_groups.items():
        index, _, option = key.removeprefix(_OF_GROUPS).partition("__")
        if option not in groups.get(index, ()):
            raise ValueError(
                f"`{name}__param_groups__...` must name a group, {', '.join(groups)}, and a "
                f"setting that it has; got `{name}__{key}`."
            )
        groups[index][option] = value
    return optimizer
