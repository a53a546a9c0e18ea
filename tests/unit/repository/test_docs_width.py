"""Which lines of a page tools/docs_width.py finds too wide."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[3] / "tools/docs_width.py"
WIDE = "x" * 121


def too_wide(text: str) -> list[int]:
    spec = importlib.util.spec_from_file_location("docs_width", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: list[int] = module.too_wide(text)
    return found


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("x" * 120, id="120 columns"),
        pytest.param("µ" * 120, id="columns, not bytes"),
        pytest.param(f"| {WIDE} |", id="table"),
        pytest.param(f"    {WIDE}", id="indented code"),
        pytest.param(f"```\n{WIDE}\n```", id="fenced code"),
        pytest.param(f"see [this]({WIDE})", id="link"),
        pytest.param(f"<!-- bench:a -->\n{WIDE}\n<!-- /bench:a -->", id="report's"),
    ],
)
def test_what_may_stand(text: str) -> None:
    assert too_wide(text) == []


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        pytest.param(f"a\n{WIDE}\nb\n{WIDE}", [2, 4], id="lines"),
        pytest.param(f"```\na\n```\n{WIDE}", [4], id="behind code"),
        pytest.param(
            f"<!-- bench:a -->\na\n<!-- /bench:a -->\n- {WIDE}", [4], id="behind report's"
        ),
    ],
)
def test_what_is_too_wide_is_named(text: str, lines: list[int]) -> None:
    assert too_wide(text) == lines
