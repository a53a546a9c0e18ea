"""Leaves to the log what Ansible's own callback prints."""

from __future__ import annotations

from typing import Any


class Printed:
    """Stands in for Ansible's Display in what callback 'default' prints.

    It goes to the log, with -v also to the terminal. Warnings go their usual way.
    """

    def __init__(self, display: Any) -> None:
        self._display = display

    def __getattr__(self, name: str) -> Any:
        return getattr(self._display, name)

    def display(self, msg: str, *arguments: Any, **named: Any) -> None:
        if self._display.verbosity:
            self._display.display(msg, *arguments, **named)
        elif not named.get("screen_only"):
            self._display.display(msg, *arguments, **{**named, "log_only": True})

    # These two of Display call `display` of ours.

    def banner(self, *arguments: Any, **named: Any) -> None:
        type(self._display).banner(self, *arguments, **named)

    def _error(self, *arguments: Any, **named: Any) -> None:
        type(self._display)._error(self, *arguments, **named)
