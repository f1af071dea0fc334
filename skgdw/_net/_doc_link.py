"""The link to the documentation in the display of a classifier in notebooks."""

from __future__ import annotations

from functools import cache
from importlib import metadata

_LABEL = "Documentation"


@cache
def documentation() -> str:
    """Return where the documentation stands, by the package's metadata; empty where they say none.

    Returns
    -------
    str
        An address without a slash at its end.
    """
    try:
        found = metadata.metadata("skgdw").get_all("Project-URL") or []
    except metadata.PackageNotFoundError:  # run from its sources
        return ""
    pairs = (entry.partition(",") for entry in found)
    return next((url.strip().rstrip("/") for name, _, url in pairs if name == _LABEL), "")


class DocLinked:
    """Links to the page of its class, where the package's metadata tell an address."""

    def _get_doc_link(self) -> str:
        """Return the address that scikit-learn's display links to; empty for none."""
        room, _, _ = type(self).__module__.partition("._")
        root = documentation()
        if not root or room.partition(".")[0] != "skgdw":  # a subclass has no page of ours
            return ""
        return f"{root}/generated/{room}.{type(self).__name__}.html"
