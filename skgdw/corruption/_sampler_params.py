"""The samplers of an estimator by name, as parameters that a search can reach."""

from __future__ import annotations

from typing import Any, Self

from sklearn.base import BaseEstimator

from skgdw._steps import name_steps


class SamplerParams(BaseEstimator):
    """An estimator whose parameter `corruption` may be a list of samplers."""

    corruption: Any

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters.

        Parameters
        ----------
        deep : bool, default=True
            Whether to add those of the estimator and of the samplers.

        Returns
        -------
        dict
            Values by name.
        """
        params: dict[str, Any] = super().get_params(deep=deep)
        if deep and isinstance(self.corruption, list | tuple):
            for name, sampler in name_steps(self.corruption):
                params[f"corruption__{name}"] = sampler
                if hasattr(sampler, "get_params") and not isinstance(sampler, type):
                    inner = sampler.get_params(deep=True)
                    params |= {f"corruption__{name}__{key}": inner[key] for key in inner}
        return params

    def set_params(self, **params: Any) -> Self:
        """Set parameters, those of the estimator and of the samplers included.

        Parameters
        ----------
        **params
            Values by name. The whole goes before its parts: ``corruption``, then
            ``corruption__<name>``, then ``corruption__<name>__<parameter>``.

        Returns
        -------
        self : object
            The classifier.

        Raises
        ------
        ValueError
            If a name is no parameter.
        """
        if "corruption" in params:
            self.corruption = params.pop("corruption")
        if isinstance(self.corruption, list | tuple):
            inner = {key: params.pop(key) for key in [*params] if key.startswith("corruption__")}
            self._set_sampler_params(inner)
        super().set_params(**params)
        return self

    def _set_sampler_params(self, params: dict[str, Any]) -> None:
        """Set ``corruption__<name>`` and ``corruption__<name>__<parameter>`` in a list."""
        entries = list(self.corruption)
        named = name_steps(entries)
        positions = {name: i for i, (name, _) in enumerate(named)}
        parts = {key: key.removeprefix("corruption__").partition("__") for key in params}
        unknown = [key for key, (name, *_) in parts.items() if name not in positions]
        if unknown:
            raise ValueError(
                f"Invalid parameters {unknown}: the part after 'corruption__' must name a sampler "
                f"of `corruption`; got {[*positions]} there; name one of these."
            )
        for key in sorted(params, key=lambda key: parts[key][1]):  # whole samplers first
            name, delimiter, parameter = parts[key]
            i = positions[name]
            if delimiter:
                named[i][1].set_params(**{parameter: params[key]})
                continue
            named[i] = (name, params[key])
            entries[i] = named[i] if isinstance(entries[i], tuple) else params[key]
            # One of another class would go by another name, and no longer be reached by this one.
            keeps = [name for name, _ in name_steps(entries)] == [*positions]
            self.corruption = type(self.corruption)(entries if keeps else named)


def check_samplers(corruption: object) -> list[tuple[str, Any]]:
    """Return the (name, sampler) pairs that are switched on, or raise."""
    entries = corruption if isinstance(corruption, list | tuple) else [corruption]
    named = name_steps(entries)
    names = [name for name, _ in named]
    if len({*names}) < len(names) or any("__" in name for name in names):
        raise ValueError(
            "`corruption` must give each sampler a name of its own, without '__'; got "
            f"{names}; rename some of the (name, sampler) pairs."
        )
    named = [(name, sampler) for name, sampler in named if not _is_off(sampler)]
    wrong = [s for _, s in named if isinstance(s, type) or not hasattr(s, "fit_resample")]
    if wrong:
        raise TypeError(
            "`corruption` must be a sampler with fit_resample, or a list of samplers or of "
            f"(name, sampler) pairs; got {', '.join(map(repr, wrong))}; pass instances such as "
            "LabelNoise(noise_rate=0.2), pairs inside of a list."
        )
    return named


def _is_off(sampler: object) -> bool:
    return sampler is None or (isinstance(sampler, str) and sampler == "passthrough")
