"""The version of the package, for every room to read."""

__version__ = "0.1.0.dev0"
