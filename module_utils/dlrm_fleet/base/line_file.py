"""Files of lines that others write, too: known_hosts, authorized_keys. Only our lines change."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from .documents import write_atomic
from .errors import FleetError
from .locks import exclusive_lock

MOST_BYTES = 16 * 1024**2
PATIENCE_SECONDS = 30.0
PAUSE_SECONDS = 0.1


def replaced(content: bytes, is_ours: Callable[[bytes], bool], lines: Sequence[str]) -> bytes:
    """`content` with `lines` in place of ours, at the end; all other lines keep their bytes.

    Nothing moves if exactly these lines are there already.
    """
    *whole, rest = content.split(b"\n")
    found = [line for line in [*whole, rest] if is_ours(line)]
    wanted = [line.encode() for line in lines]
    if found == wanted and not is_ours(rest):
        return content
    kept = b"".join(line + b"\n" for line in whole if not is_ours(line))
    if rest and not is_ours(rest):
        kept += rest + (b"\n" if wanted else b"")
    return kept + b"".join(line + b"\n" for line in wanted)


def edit(
    path: Path, change: Callable[[bytes], bytes], mode: int = 0o600, check: bool = False
) -> tuple[bytes, bytes]:
    """(before, after) of a file that need not exist; `check`: nothing is written.

    A link at `path` stays: the file that it names is replaced. Raises FleetError for anything
    but a regular file of at most MOST_BYTES, and if others hold the lock for PATIENCE_SECONDS.
    """
    target = Path(os.path.realpath(path))
    before = read(target)
    after = change(before)
    if check or after == before:
        return before, after
    with _locked(target):
        before = read(target)
        after = change(before)
        if after != before:
            write_atomic(target, after, mode)
    return before, after


def read(path: Path) -> bytes:
    """Empty if there is no such file. It neither follows a link nor waits for a pipe's writer."""
    what = f"cannot read {str(path)!r}"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise FleetError(what, error.strerror or str(error)) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FleetError(what, "it is not a regular file", "Remove it")
    with os.fdopen(descriptor, "rb") as handle:
        content = handle.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise FleetError(what, f"it has more than {MOST_BYTES} bytes")
    return content


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    """The lock lies beside the file: machines that share a home share it. It is removed after."""
    lock = target.with_name(f".{target.name}.dlrm-fleet.lock")
    ends = time.monotonic() + PATIENCE_SECONDS
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(exclusive_lock(lock, wait=False, mode=0o600))
                break
            except BlockingIOError:
                if time.monotonic() > ends:
                    raise FleetError(
                        f"cannot change {str(target)!r}",
                        f"another process has held {str(lock)!r} for {PATIENCE_SECONDS:g} s",
                        "Run again when it has ended",
                    ) from None
                time.sleep(PAUSE_SECONDS)
            except OSError as error:
                # Some network file systems have no locks. The rename is whole without one, too.
                if error.errno != errno.ENOLCK:
                    raise
                break
        yield
        with suppress(OSError):
            lock.unlink()
