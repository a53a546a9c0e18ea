"""What a fleet key may do on a host: sshd runs this in place of the command that was sent.

read ROOT    send single files below ROOT with rsync; list what a run left ("dlrm-fleet result ID")
write ROOT   receive single files into ROOT/incoming with rsync
Anything else is refused. Only rsync itself is executed, never a shell.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

from ...base.errors import FleetError
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
        if found != str(Path(top) / "incoming"):
            raise _refused(f"this key may only write into {root}/incoming")
        return
    if not found.startswith(f"{top.rstrip('/')}/"):
        raise _refused(f"{path!r} is outside {root}")
    if Path(found).is_dir():
        raise _refused(f"{path!r} is a folder; only single files are sent")


def _refused(why: str) -> FleetError:
    return FleetError("dlrm-fleet: refused", why)
