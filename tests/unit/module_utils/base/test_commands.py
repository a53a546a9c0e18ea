"""A command's end is told as it was; one that is not installed is no exception."""

from __future__ import annotations

from ansible.module_utils.dlrm_fleet.base.commands import run_command


def test_a_command_is_told_as_it_ended() -> None:
    script = "echo out; echo $LC_ALL >&2; cat; exit 3"
    assert run_command(["sh", "-c", script]) == (3, "out\n", "C\n")


def test_a_missing_command_ends_as_a_shell_would_tell() -> None:
    assert run_command(["no-such-command", "x"]) == (127, "", "no-such-command: not found")
