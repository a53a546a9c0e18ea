"""The one line of a failed build becomes the lines the build printed."""

from __future__ import annotations

import pytest
from ansible.module_utils.dlrm_fleet.container.build_output import output_lines

HEAD = "Error building dlrm-bench - code: 1, message: The command 'x' returned 1"


def test_each_printed_line_stands_alone() -> None:
    printed = ["Step 1/9 : FROM x\n", "it's\ttorn", 'a "quoted" \\n word', "two\nlines", "grün"]
    assert output_lines(f"{HEAD}, logs: {printed}") == [
        HEAD,
        "Step 1/9 : FROM x",
        "it's\ttorn",
        'a "quoted" \\n word',
        "two",
        "lines",
        "grün",
    ]


@pytest.mark.parametrize(
    ("said", "lines"),
    [
        ("", []),
        ("cannot connect\nat all", ["cannot connect", "at all"]),
        (f"{HEAD}, logs: []", [HEAD]),
        # No list after all: nothing of it is lost.
        (f"{HEAD}, logs: [cut", [f"{HEAD}, logs: [cut"]),
    ],
)
def test_what_is_no_list_stays_as_it_was_said(said: str, lines: list[str]) -> None:
    assert output_lines(said) == lines
