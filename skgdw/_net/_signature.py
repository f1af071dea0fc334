"""Signatures that tell the parameters which `**kwargs` stands for."""

from __future__ import annotations

import inspect
from inspect import Parameter


def show_inherited(cls: type) -> None:
    """Give the constructor of a class, if it takes ``**kwargs``, a signature with inherited names.

    scikit-learn's displays look for defaults there: what stands in no signature counts as changed.
    The function itself stays as it is.

    Parameters
    ----------
    cls : type
    """
    own = vars(cls).get("__init__")
    if own is None:
        return
    signature = inspect.signature(own)
    found = dict(signature.parameters)
    rest = next((p for p in found.values() if p.kind is Parameter.VAR_KEYWORD), None)
    if rest is None:
        return
    for base in cls.__mro__[1:-1]:
        inherited = inspect.signature(vars(base)["__init__"]) if "__init__" in vars(base) else None
        for name, parameter in inherited.parameters.items() if inherited else ():
            # One without a default is no choice of the user's: the class gives it, as it does self.
            if parameter.default is not Parameter.empty:
                found.setdefault(name, parameter.replace(kind=Parameter.KEYWORD_ONLY))
    del found[rest.name]
    own.__signature__ = signature.replace(parameters=[*found.values(), rest])
