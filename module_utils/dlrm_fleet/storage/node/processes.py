"""Work for several hosts at once, each in a process of its own with bounds of its own.

Whatever happens in one, the others go on: it is a line that says so.
"""

from __future__ import annotations

import json
import os
import resource
import selectors
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from ...base.errors import FleetError

# What a process says of its work, at most, and how much of it a line shows.
MOST_BYTES = 64 * 1024
MOST_SHOWN = 2000


@dataclass(frozen=True)
class Bounds:
    """Of one process and of what it starts. `seconds`: all its time; then its group is killed."""

    seconds: float = 1800.0
    # Bytes of its own memory. An answer of 16 MiB of JSON takes up to 0.4 GiB while it is parsed.
    memory: int = 1024**3
    # Bytes of one file it writes, until allow_file() says otherwise: records are smaller.
    file: int = 64 * 1024**2
    descriptors: int = 256


@dataclass(frozen=True)
class Work:
    """`run` returns the line to show; an exception's words are the line of a failure."""

    name: str
    run: Callable[[], str]


@dataclass(frozen=True)
class End:
    """Of the work of this name. `line`: what to show of it; `pid`: 0 if it was not started."""

    name: str
    line: str
    good: bool
    pid: int


@dataclass
class _Process:
    work: Work
    pid: int
    ends: float
    said: bytearray = field(default_factory=bytearray)


def run_apart(works: Sequence[Work], at_once: int, bounds: Bounds) -> Iterator[End]:
    """Each end, as they come."""
    waiting = deque(works)
    running: dict[int, _Process] = {}
    try:
        with selectors.DefaultSelector() as selector:
            while waiting or running:
                done = []
                while waiting and len(running) < max(1, at_once):
                    work = waiting.popleft()
                    try:
                        pipe, process = _start(work, bounds)
                    except OSError as error:
                        done.append((work.name, f"cannot start its process: {error}", False, 0))
                        continue
                    running[pipe] = process
                    selector.register(pipe, selectors.EVENT_READ)
                for pipe, line, good in _ended(running, selector, bounds):
                    process = running.pop(pipe)
                    selector.unregister(pipe)
                    os.close(pipe)
                    done.append((process.work.name, line, good, process.pid))
                for name, line, good, pid in done:
                    yield End(name, _shown(f"{name}: {line}"), good, pid)
    finally:
        for process in running.values():
            _kill(process.pid)


def allow_file(size: int) -> None:
    """In a process of run_apart, once it is known how large the largest file is going to be."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    _limit(resource.RLIMIT_FSIZE, max(size, Bounds.file), hard)


def _start(work: Work, bounds: Bounds) -> tuple[int, _Process]:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        # Nothing of this process may run in the child: neither its loop nor its exit.
        status = 1
        try:
            os.close(reader)
            status = _child(work, bounds, writer)
        finally:
            os._exit(status)
    os.close(writer)
    with suppress(OSError):
        os.setpgid(pid, pid)
    return reader, _Process(work, pid, time.monotonic() + bounds.seconds)


def _child(work: Work, bounds: Bounds, writer: int) -> int:
    with suppress(OSError):
        os.setpgid(0, 0)
    # Also when the process that watches this one was killed itself.
    signal.signal(signal.SIGALRM, lambda *_: os.killpg(0, signal.SIGKILL))
    signal.alarm(int(bounds.seconds) + 60)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _restrict(bounds)
    try:
        line, good = work.run(), True
    except (FleetError, OSError, KeyError, ValueError) as error:
        line, good = str(error), False
    except BaseException as error:
        line, good = f"it ended with {type(error).__name__}: {error}", False
    said = json.dumps([line[:MOST_SHOWN], good]).encode()
    while said:
        said = said[os.write(writer, said) :]
    return 0


def _restrict(bounds: Bounds) -> None:
    cpu = int(bounds.seconds) * (os.cpu_count() or 1) + 60
    unlimited = resource.RLIM_INFINITY
    _limit(resource.RLIMIT_CORE, 0, 0)
    _limit(resource.RLIMIT_DATA, bounds.memory, bounds.memory)
    _limit(resource.RLIMIT_CPU, cpu, cpu)
    _limit(resource.RLIMIT_NOFILE, bounds.descriptors, bounds.descriptors)
    _limit(resource.RLIMIT_FSIZE, bounds.file, unlimited)


def _limit(kind: int, soft: int, hard: int) -> None:
    """A limit that is lower already stays."""
    most = resource.getrlimit(kind)[1]
    if most != resource.RLIM_INFINITY:
        hard = most if hard == resource.RLIM_INFINITY else min(hard, most)
        soft = min(soft, hard)
    resource.setrlimit(kind, (soft, hard))


def _ended(
    running: dict[int, _Process], selector: selectors.BaseSelector, bounds: Bounds
) -> list[tuple[int, str, bool]]:
    """(pipe, line, whether it succeeded) of those that have ended or had to be ended."""
    now = time.monotonic()
    soonest = min((process.ends for process in running.values()), default=now)
    ended = []
    for key, _events in selector.select(max(0.0, soonest - now)):
        process = running[key.fd]
        block = os.read(key.fd, 1 << 16)
        process.said += block
        if not block or len(process.said) > MOST_BYTES:
            ended.append((key.fd, *_outcome(process, _kill(process.pid))))
    there = {pipe for pipe, *_ in ended}
    for pipe, process in running.items():
        if pipe not in there and time.monotonic() >= process.ends:
            _kill(process.pid)
            line = f"it did not end within {bounds.seconds:g} s; the next visit goes on"
            ended.append((pipe, line, False))
    return ended


def _outcome(process: _Process, status: int) -> tuple[str, bool]:
    try:
        line, good = json.loads(process.said)
    except ValueError:
        if os.WIFSIGNALED(status):
            name = signal.Signals(os.WTERMSIG(status)).name
            return f"its process was ended by {name}", False
        return f"its process ended with status {os.WEXITSTATUS(status)} and said nothing", False
    return str(line), bool(good)


def _kill(pid: int) -> int:
    """The process's wait status. It is not waited for: it has said its line or has to end."""
    for kill in (os.killpg, os.kill):
        with suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]


def _shown(line: str) -> str:
    """As any terminal and journal may show it: ASCII, the rest escaped, of bounded length."""
    plain = "".join(char if " " <= char <= "~" else ascii(char)[1:-1] for char in line)
    return plain if len(plain) <= MOST_SHOWN else f"{plain[: MOST_SHOWN - 3]}..."
