"""Escapes what other machines say before Ansible prints it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ansible.plugins.callback import CallbackBase
from ansible.utils import color

DOCUMENTATION = r"""
name: dlrm_terminal
type: aggregate
short_description: Escape what other machines say before it is printed
description:
  - A message of a machine, a container or an SSH server may hold control characters that clear or
    rewrite the screen, set its title or turn the direction of writing. They are printed escaped,
    as C(\x1b). Lines and tabs stay, and so do the colours that Ansible itself prints.
"""

COLOUR = r"\x1b\[[0-9]{1,2}(?:;[0-9]{1,3}){0,4}m"
OTHER = r"[^\x20-\x7e\n\t]"
WITH_COLOURS = re.compile(f"({COLOUR})|{OTHER}")
PLAIN = re.compile(OTHER)


def escaped(text: str, colours: bool) -> str:
    """`colours`: whether Ansible prints them, so that they may stay."""
    return (WITH_COLOURS if colours else PLAIN).sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    found = match[0]
    # As base/wording.printable; plugins import nothing of ours.
    return found if len(found) > 1 or found.isprintable() else ascii(found)[1:-1]


def guard(display: Any) -> None:
    """From now on, all that this Display prints is escaped."""
    plain: Callable[..., None] = display.display

    def display_escaped(msg: str, *arguments: Any, **named: Any) -> None:
        plain(
            escaped(msg, color.ANSIBLE_COLOR) if isinstance(msg, str) else msg, *arguments, **named
        )

    if not hasattr(display, "dlrm_terminal"):
        display.display = display_escaped
        display.dlrm_terminal = True


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "dlrm_terminal"

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        guard(self._display)
