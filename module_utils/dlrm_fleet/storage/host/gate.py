"""What a fleet key may do on a host: sshd runs this in place of the command that was sent.

read ROOT    send single files below ROOT with rsync; list what a run left ("dlrm-fleet result ID")
write ROOT   receive single files into ROOT/incoming with rsync
Anything else is refused. Only rsync itself is executed, never a shell. It gets open files and
folders in place of paths: the root's owner may swap a path for a link once it was checked.
"""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ...base.errors import FleetError
from ...base.opening import FOLDER, open_folder, open_regular
from ...runs.run_id import RUN_ID

MODES = ("read", "write")
# No blank, no glob, no quote: a shell leaves the name as it is. '..' is resolved before the check.
PATH = re.compile(r"/[A-Za-z0-9_./:+@=,%-]+")
# The options of our own commands (rsync.py). R: relative names, L: follow a link, e: the protocol.
SHORT = {
    "read": re.compile(r"-[vqRLW]*(e[0-9.]*[A-Za-z]*)?"),
    "write": re.compile(r"-[vqW]*(e[0-9.]*[A-Za-z]*)?"),
}
LONG = re.compile(r"--(append|inplace|no-implied-dirs|timeout=[0-9]{1,5})")
RESULT = "result"
INCOMING = "incoming"
OPEN = "/proc/self/fd"


def allowed(command: str, mode: str, root: str) -> list[str]:
    """The words of an allowed command. Raises FleetError for every other."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise _refused(f"the command cannot be read ({error})") from None
    if mode not in MODES:
        raise _refused(f"mode {mode!r} is not one of {', '.join(MODES)}")
    if words[:1] == ["dlrm-fleet"] and mode == "read":
        return _question(words)
    if words[:2] != ["rsync", "--server"]:
        raise _refused("only rsync's server side may be started")
    _transfer(words[2:], mode, root)
    return words


def _transfer(rest: list[str], mode: str, root: str) -> None:
    if (rest[:1] == ["--sender"]) != (mode == "read"):
        raise _refused("this key may only read" if mode == "read" else "this key may only write")
    if "." not in rest:
        raise _refused("the command names no path")
    end = rest.index(".")
    for option in rest[int(mode == "read") : end]:
        if not (SHORT[mode].fullmatch(option) or LONG.fullmatch(option)):
            raise _refused(f"rsync's option {option!r} is not allowed")
    paths = rest[end + 1 :]
    if not paths or (mode == "write" and len(paths) != 1):
        raise _refused("at least one path is wanted" if mode == "read" else "one path is wanted")
    for path in paths:
        _path(path, mode, root)


def _question(words: list[str]) -> list[str]:
    if len(words) == 3 and words[1] == RESULT and RUN_ID.fullmatch(words[2]):
        return words
    raise _refused("the question is not known")


def _path(path: str, mode: str, root: str) -> None:
    if not PATH.fullmatch(path):
        raise _refused(f"{path!r} is not a plain absolute path")
    top = os.path.realpath(root)
    found = os.path.realpath(path)
    if mode == "write":
        # A link is refused, too: what arrives must lie where the host verifies it.
        if found != str(Path(top) / INCOMING):
            raise _refused(f"this key may only write into {root}/incoming")
        return
    if not found.startswith(f"{top.rstrip('/')}/"):
        raise _refused(f"{path!r} is outside {root}")
    if Path(found).is_dir():
        raise _refused(f"{path!r} is a folder; only single files are sent")
    if ".." in path.split("/"):
        raise _refused(f"{path!r} has a part '..'")


@contextmanager
def opened(words: list[str], mode: str, root: str) -> Iterator[list[str]]:
    """rsync's words as allowed() returned them, with what is open in place of each path.

    Descriptors are inherited by rsync. Raises FleetError and OSError.
    """
    first = words.index(".", 2) + 1
    with ExitStack() as held:
        top = open_folder(Path(root))
        held.callback(os.close, top)
        if mode == "write":
            folder = os.open(INCOMING, FOLDER | os.O_NOFOLLOW, dir_fd=top)
            held.callback(os.close, folder)
            os.set_inheritable(folder, True)
            yield [*words[:first], f"{OPEN}/{folder}/"]
            return
        # rsync names what it sends by its path. So each file has a link under that path.
        links = held.enter_context(tempfile.TemporaryDirectory(prefix="dlrm-gate."))
        for path in dict.fromkeys(words[first:]):
            _link(held, Path(links + path), path, top)
        yield [*words[:3], "--copy-links", *words[3:first], *(links + p for p in words[first:])]


def _link(held: ExitStack, link: Path, path: str, top: int) -> None:
    """`link` leads to the open file; to nothing where there is none, and rsync says so."""
    if os.path.lexists(link):
        return
    link.parent.mkdir(parents=True, exist_ok=True)
    try:
        file = open_regular(path, follow=True)
    except FileNotFoundError:
        return
    except PermissionError:
        # rsync then says so, of a file that nobody may read.
        link.touch(mode=0)
        return
    held.callback(os.close, file)
    if not _real(file).startswith(f"{_real(top).rstrip('/')}/"):
        raise _refused(f"{path!r} is outside {_real(top)}")
    os.set_inheritable(file, True)
    link.symlink_to(f"{OPEN}/{file}")


def _real(descriptor: int) -> str:
    return str(Path(f"{OPEN}/{descriptor}").readlink())


def _refused(why: str) -> FleetError:
    return FleetError("dlrm-fleet: refused", why)
