"""JSON from another machine, container or user: bounded, strict, never followed, never awaited."""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base.errors import FleetError


@dataclass(frozen=True)
class Limits:
    """`nodes` counts every value and every name of a field."""

    size: int = 16 * 1024**2
    depth: int = 32
    nodes: int = 500_000
    # A sentence, a log's last line, an md5 list.
    text: int = 1024**2
    digits: int = 40


DEFAULT = Limits()


class Malformed(FleetError):
    """What another side said cannot be used: `what` names it, `why` the place in it."""


def parse(content: bytes, what: str, limits: Limits = DEFAULT) -> Any:
    """RFC 8259 without repeated names, NaN and infinities; Malformed for anything else."""
    if len(content) > limits.size:
        raise Malformed(what, f"it has more than {limits.size} bytes")
    # Values that are never kept would still be built: a comma or bracket stands before each.
    if sum(map(content.count, (b",", b"[", b"{"))) > 2 * limits.nodes:
        raise Malformed(what, f"it has more than {limits.nodes} values")
    hooks = _Hooks(what, limits)
    try:
        document = json.loads(
            content.decode("utf-8"),
            parse_constant=hooks.constant,
            parse_int=hooks.integer,
            parse_float=hooks.real,
            object_pairs_hook=hooks.fields,
        )
    except RecursionError:
        raise Malformed(what, f"it is nested deeper than {limits.depth} levels") from None
    except UnicodeDecodeError as error:
        why = f"it is not UTF-8 ({error.reason} at byte {error.start})"
        raise Malformed(what, why) from None
    except ValueError as error:
        raise Malformed(what, f"it is not JSON ({error})") from None
    bounded(document, what, limits)
    return document


class _Hooks:
    """What json.loads asks of each number and object."""

    def __init__(self, what: str, limits: Limits) -> None:
        self.what = what
        self.limits = limits

    def constant(self, name: str) -> Any:
        raise Malformed(self.what, f"{name} is not a number of JSON")

    def integer(self, digits: str) -> int:
        if len(digits) > self.limits.digits:
            why = f"an integer has {len(digits)} digits, at most {self.limits.digits} are read"
            raise Malformed(self.what, why)
        return int(digits)

    def real(self, digits: str) -> float:
        value = float(digits) if len(digits) <= self.limits.digits else math.inf
        if not math.isfinite(value):
            raise Malformed(self.what, f"the number {shown(digits)} is out of range")
        return value

    def fields(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        document = dict(pairs)
        if len(document) != len(pairs):
            seen: set[str] = set()
            for name, _ in pairs:
                if name in seen:
                    why = f"the field {shown(name)} stands twice in one object"
                    raise Malformed(self.what, why)
                seen.add(name)
        return document


def bounded(document: Any, what: str, limits: Limits = DEFAULT) -> None:
    """Malformed where parse() would have refused: for JSON that Ansible has parsed already."""
    largest = 10**limits.digits
    for count, (value, depth) in enumerate(_walk(document), 1):
        if depth > limits.depth:
            raise Malformed(what, f"it is nested deeper than {limits.depth} levels")
        if count > limits.nodes:
            raise Malformed(what, f"it has more than {limits.nodes} values")
        if isinstance(value, str):
            if len(value) > limits.text:
                raise Malformed(what, f"a text has more than {limits.text} characters")
            if not is_writable(value):
                raise Malformed(what, f"the text {shown(value)} has half a character")
        elif isinstance(value, float) and not math.isfinite(value):
            raise Malformed(what, f"{value} is not a number of JSON")
        elif isinstance(value, int) and abs(value) >= largest:
            raise Malformed(what, f"an integer has more than {limits.digits} digits")


def is_writable(text: str) -> bool:
    """False for half a surrogate pair: it fits into no file and onto no terminal."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _walk(document: Any) -> Iterator[tuple[Any, int]]:
    waiting = [(document, 0)]
    while waiting:
        value, depth = waiting.pop()
        yield value, depth
        if isinstance(value, dict):
            waiting += [(inner, depth + 1) for pair in value.items() for inner in pair]
        elif isinstance(value, list):
            waiting += [(inner, depth + 1) for inner in value]


def shown(text: str) -> str:
    """A foreign text as a terminal may show it: quoted, escaped, short."""
    whole = ascii(text)
    return whole if len(whole) <= 80 else f"{whole[:76]}...{whole[0]}"


def read(path: Path, limits: Limits = DEFAULT) -> Any:
    """The JSON in a regular file. FileNotFoundError where there is none; Malformed otherwise.

    It neither follows a link at `path` nor waits for a pipe's other end.
    """
    return parse(read_bytes(path, limits.size), f"cannot read {str(path)!r}", limits)


def read_bytes(path: Path, size: int) -> bytes:
    """The content of a regular file of at most `size` bytes; Malformed for any other."""
    what = f"cannot read {str(path)!r}"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        if path.is_symlink():
            raise Malformed(what, "it is a link, a regular file is wanted") from None
        raise Malformed(what, error.strerror or str(error)) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Malformed(what, "it is no regular file")
    with os.fdopen(descriptor, "rb") as handle:
        # What grows while it is read is bounded as well.
        content = handle.read(size + 1)
    if len(content) > size:
        raise Malformed(what, f"it has more than {size} bytes")
    return content
