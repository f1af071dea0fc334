"""What a figure has to be read with: the machine and the versions."""

import platform
from pathlib import Path

import skorch
import torch


def describe(threads):
    """Return processor, threads and versions in one line."""
    info = Path("/proc/cpuinfo")
    names = [
        line.split(":", 1)[1].strip()
        for line in (info.read_text().splitlines() if info.exists() else [])
        if line.startswith("model name")
    ]
    processor = names[0] if names else platform.machine()
    versions = f"torch {torch.__version__}, skorch {skorch.__version__}"
    return f"{processor}, {threads} threads, {versions}"
