"""The word for what a way to a derivative does not cover."""

from __future__ import annotations


class NotCovered(NotImplementedError):
    """Forward mode along the recorded graph does not cover what the graph holds.

    Parameters
    ----------
    what : str
        What is not covered, in words that complete "does not cover ...".
    """

    def __init__(self, what: str) -> None:
        super().__init__(what)

    def __str__(self) -> str:
        return (
            f"forward mode along the recorded graph does not cover {self.args[0]}; "
            'dual numbers (method="forward") need no graph.'
        )
