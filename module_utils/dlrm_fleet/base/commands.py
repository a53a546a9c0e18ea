"""Commands of this machine: run to their end, without a shell."""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from collections.abc import Callable

from .errors import FleetError

# Runs a command: (exit status, stdout, stderr). AnsibleModule.run_command is one, too.
Runner = Callable[[list[str]], "tuple[int, str, str]"]


def run_command(command: list[str]) -> tuple[int, str, str]:
    """(rc, stdout, stderr). What is inheritable is inherited: a lock lives as long as its rsync."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            close_fds=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except FileNotFoundError:
        return 127, "", f"{command[0]}: not found"
    return done.returncode, done.stdout, done.stderr


def run_bounded(command: list[str], seconds: float, most_bytes: int) -> tuple[int, bytes, str]:
    """(rc, stdout, stderr) of a command that asks another machine.

    FleetError where it does not end in time or says more than `most_bytes`; it is killed then.
    """
    what = f"cannot wait for {command[0]!r}"
    with (
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C"},
        ) as process,
        selectors.DefaultSelector() as selector,
    ):
        assert process.stdout is not None and process.stderr is not None
        out, err = process.stdout.fileno(), process.stderr.fileno()
        said = {out: bytearray(), err: bytearray()}
        for stream in said:
            selector.register(stream, selectors.EVENT_READ)
        ends = time.monotonic() + seconds
        try:
            while selector.get_map():
                ready = selector.select(max(0.0, ends - time.monotonic()))
                if not ready or time.monotonic() > ends:
                    raise FleetError(what, f"it did not end within {seconds:g} s")
                for key, _events in ready:
                    block = os.read(key.fd, 1 << 16)
                    said[key.fd] += block
                    if not block:
                        selector.unregister(key.fd)
                    if sum(map(len, said.values())) > most_bytes:
                        raise FleetError(what, f"it says more than {most_bytes} bytes")
            rc = process.wait(max(0.1, ends - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise FleetError(what, f"it did not end within {seconds:g} s") from None
        finally:
            process.kill()
    return rc, bytes(said[out]), said[err].decode(errors="replace")
