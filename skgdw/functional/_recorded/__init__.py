"""Forward mode along the graph that a pass has recorded, without another pass.

A way to save time and nothing else: whatever is not covered here raises `NotCovered`, and dual
numbers give the same derivative for another pass.
"""

from skgdw.functional._recorded._rules import RULES
from skgdw.functional._recorded._walk import recorded_derivative

__all__ = ["RULES", "recorded_derivative"]
