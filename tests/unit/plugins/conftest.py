"""Fixtures of the plugins' tests."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest


@pytest.fixture
def ssh(tmp_path: Path) -> Path:
    """An ssh that runs the command here, and fails as ssh does while the file "down" exists."""
    program = tmp_path / "ssh"
    program.write_text(
        "#!/bin/sh\n"
        f'[ -e {tmp_path}/down ] && {{ echo "ssh: connect to host x: No route" >&2; exit 255; }}\n'
        'for last; do :; done\nexec sh -c "$last"\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program
