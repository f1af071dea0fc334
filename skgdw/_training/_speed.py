"""Which ways to be faster are in use: all of them change results by rounding at most."""

from __future__ import annotations

import os
from dataclasses import dataclass

# "0" turns all of them off; what graphs save is not measured: they have to be asked for.
_ALL, _GRAPHS = "SKGDW_SPEED", "SKGDW_CUDA_GRAPH"


@dataclass(frozen=True)
class Speed:
    """What may be done to be faster.

    Attributes
    ----------
    recorded : bool
        Forward mode along recorded graphs, where it agrees with dual numbers.
    channels_last : bool
        Images in the order of memory that suits convolutions on a CPU.
    fused : bool
        An optimizer's step as one kernel, where torch has one.
    cuda_graph : bool
        Steps captured as CUDA graphs.
    """

    recorded: bool = True
    channels_last: bool = True
    fused: bool = True
    cuda_graph: bool = False


def speed_in_use() -> Speed:
    """Read the environment: ``SKGDW_SPEED=0`` turns all off, ``SKGDW_CUDA_GRAPH=1`` graphs on."""
    if os.environ.get(_ALL) == "0":
        return Speed(recorded=False, channels_last=False, fused=False)
    return Speed(cuda_graph=os.environ.get(_GRAPHS) == "1")
