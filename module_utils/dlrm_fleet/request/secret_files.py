"""Files of secrets on the controller: which variable names one, and whether it can be used."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from ..base.errors import FleetError
from ..wire.secret_file import LARGEST_FILE, read_secret

# Source -> the variable that names the file of its secrets.
SECRET_FILES = {"weights_source": "weights_secret_file", "data_source": "data_secret_file"}
PRIVATE_MODE = 0o600


def how_to_give(source: str) -> str:
    """What to do with a source that holds a secret."""
    variable = SECRET_FILES[source]
    return (
        f"give {source} without it, and the secret in a file of mode 0600 on the controller:"
        f" -e {variable}=/path/of/the/file. Or let the machine's own cloud identity fetch it, with"
        " a remote such as :s3,provider=AWS,env_auth=true:bucket/path"
        " (docs/inventories.md, 'How do I give a secret?')"
    )


def checked_files(variables: dict[str, Any], sources: dict[str, Any]) -> dict[str, str]:
    """Source -> absolute path of its file, for those given; FleetError when one cannot be used.

    `sources`: typed, as in the request.
    """
    files: dict[str, str] = {}
    for source, variable in SECRET_FILES.items():
        given = variables.get(variable)
        if given is None or str(given).strip() == "":
            continue
        path = Path(str(given).strip()).expanduser()
        what = f"{variable}: cannot use {str(path)!r}"
        if not path.is_absolute():
            raise FleetError(what, "it is a relative path", "Give an absolute path, or one below ~")
        if sources[source] is None:
            raise FleetError(what, f"{source} is not given", f"Give {source}, or leave this out")
        read_secret(_private_text(path, what), sources[source], what)
        files[source] = str(path)
    return files


def _private_text(path: Path, what: str) -> str:
    """The content of a file that nobody but its owner can read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise FleetError(what, error.strerror or str(error)) from None
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise FleetError(what, "it is no regular file")
    with os.fdopen(descriptor, "rb") as handle:
        mode = stat.S_IMODE(found.st_mode)
        if mode & ~PRIVATE_MODE:
            raise FleetError(what, f"its mode is {mode:04o}", f"Say chmod 600 {str(path)!r}")
        if found.st_uid not in (os.geteuid(), 0):
            raise FleetError(what, "it belongs to another user", "Use a file of your own")
        content = handle.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise FleetError(what, f"it has more than {LARGEST_FILE} bytes")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise FleetError(what, "it is not UTF-8") from None
