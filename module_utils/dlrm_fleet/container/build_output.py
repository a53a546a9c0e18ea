"""The lines of a failed build, from the one line in which the engine's module returns them."""

from __future__ import annotations

import ast

# How many lines of the output a message shows: the failing command and its error.
LAST_LINES = 8
LOGS = ", logs: ["


def output_lines(said: str) -> list[str]:
    """What community.docker.docker_image says, and then each line the build printed.

    It says `Error building NAME - ..., logs: [...]`, the list as Python writes a list of strings.
    """
    head, found, logs = said.partition(LOGS)
    try:
        printed = ast.literal_eval(f"[{logs}") if found else []
    except (ValueError, SyntaxError):
        return said.splitlines()
    return [line for text in (head, *printed) for line in str(text).splitlines()]
