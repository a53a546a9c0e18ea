"""A test may be skipped only where the CPU cannot run it."""

from __future__ import annotations

from typing import Any

import pytest
from no_silent_skips import allowed_here

AVX = {"test": "a.py::*", "reason": "no AVX-512", "unless_cpu": "avx512f"}
ARM = {"test": "b.py::test_c", "reason": "x86-64's bits", "unless_machine": "x86_64"}
ALWAYS = {"test": "d.py::test_e", "reason": "why"}
UNEXPLAINED = {"test": "f.py::*", "reason": ""}


@pytest.mark.parametrize(
    ("machine", "flags", "wanted"),
    [
        pytest.param("x86_64", {"avx512f", "fma"}, ["d.py::test_e"], id="all it takes"),
        pytest.param("x86_64", {"fma"}, ["a.py::*", "d.py::test_e"], id="without AVX-512"),
        pytest.param(
            "aarch64", {"asimd"}, ["a.py::*", "b.py::test_c", "d.py::test_e"], id="another machine"
        ),
    ],
)
def test_allowed_only_where_the_cpu_cannot(
    machine: str, flags: set[str], wanted: list[str]
) -> None:
    entries: list[dict[str, Any]] = [AVX, ARM, ALWAYS, UNEXPLAINED]
    assert allowed_here(entries, machine, flags) == wanted
