"""Commands of this machine: run to their end, without a shell."""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress

from .errors import FleetError

# Runs a command: (exit status, stdout, stderr). AnsibleModule.run_command is one, too.
Runner = Callable[[list[str]], "tuple[int, str, str]"]
# rsync says a line for each file at most.
MOST_SAID = 1024**2
# rsync(1): "received SIGUSR1 or SIGINT".
INTERRUPTED = 20
# So long rsync gets to end its own ssh, before it is killed.
END_SECONDS = 5.0
# POSIX counts in blocks of 512 bytes. No core file: it would hold what the other side sent.
BLOCK_BYTES = 512
LIMIT = 'ulimit -c 0; ulimit -f "$0" && exec "$@"'


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


def with_file_limit(command: list[str], size: int) -> list[str]:
    """The command, ended by the kernel (SIGXFSZ) when it writes a file larger than `size` bytes.

    The file then has more than `size` bytes, at most 512 more.
    """
    return ["sh", "-c", LIMIT, str(size // BLOCK_BYTES + 1), *command]


def run_bounded(command: list[str], seconds: float, most_bytes: int) -> tuple[int, bytes, str]:
    """(rc, stdout, stderr) of a command that asks another machine.

    FleetError where it does not end in time or says more than `most_bytes`; it is killed then.
    """
    ends = time.monotonic() + seconds

    def left(_pid: int) -> float:
        rest = ends - time.monotonic()
        if rest <= 0:
            raise FleetError(_waiting(command), f"it did not end within {seconds:g} s")
        return rest

    return _listen(command, most_bytes, left, inherit=False)


def run_while_growing(
    command: list[str], size: Callable[[int], int], seconds: float, least_bytes: int
) -> tuple[int, str, str]:
    """As run_command, while `size` grows by `least_bytes` within each `seconds`; then it is ended.

    `size`: bytes transferred so far, given the command's process id; 0: not started yet. One that
    says more than MOST_SAID bytes is ended, too. The exit status is then INTERRUPTED.
    """
    seen, looks = size(0), time.monotonic() + seconds

    def left(pid: int) -> float:
        nonlocal seen, looks
        rest = looks - time.monotonic()
        if rest <= 0:
            now = size(pid)
            if now - seen < least_bytes:
                raise FleetError(
                    _waiting(command), f"fewer than {least_bytes} bytes arrived in {seconds:g} s"
                )
            seen, looks, rest = now, looks + seconds, seconds
        return rest

    try:
        rc, out, err = _listen(command, MOST_SAID, left, inherit=True)
    except FileNotFoundError:
        return 127, "", f"{command[0]}: not found"
    except FleetError as error:
        return INTERRUPTED, "", error.why
    return rc, out.decode(errors="replace"), err


def _listen(
    command: list[str], most_bytes: int, left: Callable[[int], float], inherit: bool
) -> tuple[int, bytes, str]:
    """`left`: seconds until it wants to be asked again, given the command's process id; it raises
    when the command has to end."""
    with (
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            close_fds=not inherit,
            env={**os.environ, "LC_ALL": "C"},
        ) as process,
        selectors.DefaultSelector() as selector,
    ):
        assert process.stdout is not None and process.stderr is not None
        out, err = process.stdout.fileno(), process.stderr.fileno()
        said = {out: bytearray(), err: bytearray()}
        for stream in said:
            selector.register(stream, selectors.EVENT_READ)
        try:
            while selector.get_map():
                for key, _events in selector.select(left(process.pid)):
                    block = os.read(key.fd, 1 << 16)
                    said[key.fd] += block
                    if not block:
                        selector.unregister(key.fd)
                    if sum(map(len, said.values())) > most_bytes:
                        raise FleetError(_waiting(command), f"it says more than {most_bytes} bytes")
            while process.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(left(process.pid))
        finally:
            _end(process)
    return process.returncode, bytes(said[out]), said[err].decode(errors="replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)
    process.kill()


def _waiting(command: list[str]) -> str:
    return f"cannot wait for {command[0]!r}"
