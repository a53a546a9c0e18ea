"""What one core can do of a precision's multiply-accumulates: peak.cpp, compiled and called."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from dlrm_bench.int8.model import quantized_layers
from dlrm_bench.network.dlrm import OVER, over_name, weight_shapes

SECONDS = 0.1


def load_peak(precision: str, folder: Path) -> Callable[[], float]:
    """Multiply-accumulates a second of the calling core, 0 without such an instruction.

    The library is compiled into `folder`.
    """
    if not shutil.which("g++"):
        raise SystemExit("No g++ here to compile peak.cpp: install it, or use `make bench`.")
    library = folder / "libpeak.so"
    source = Path(__file__).parent / "peak.cpp"
    subprocess.run(["g++", "-O2", "-shared", "-fPIC", source, "-o", library], check=True)
    peak = ctypes.CDLL(str(library)).peak
    peak.argtypes, peak.restype = [ctypes.c_char_p, ctypes.c_double], ctypes.c_double
    return lambda: float(peak(precision.encode(), SECONDS))


def macs(precision: str) -> int:
    """Multiply-accumulates of a pair that are done in this precision."""
    shapes = weight_shapes([1] * 26)
    last = over_name(len(OVER) - 2)
    names = {
        "int8": quantized_layers(),
        "fp32": [name.removesuffix(".weight") for name in shapes if _is_layer(name)],
        "bf16": [n.removesuffix(".weight") for n in shapes if _is_layer(n) and last not in n],
    }[precision]
    return sum(shapes[f"{name}.weight"][0] * shapes[f"{name}.weight"][1] for name in names)


def _is_layer(name: str) -> bool:
    return name.endswith(".weight") and "embedding_bags" not in name
