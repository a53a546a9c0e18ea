"""What a hostile peer makes of a document: each place of it, with each wrong value."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

Place = tuple[Any, ...]
SHA = "ab" * 32
DEEP: Any = 1
for _ in range(60):
    DEEP = [DEEP]

VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 2, 1.0, 1.5, -0.0, 1e300, 10**6 + 1, 2**63, 10**30, 16 * 2**40),
    *(16 * 2**40 + 1, 10**41, float("nan"), float("inf"), float("-inf")),
    *("", ".", "..", "/", "//", "../../etc/passwd", "/etc/passwd", "a/../../b", "a/..", "./a"),
    *("a/", "a//b", "/srv/../etc", "/srv//x", "~root/.ssh", "-rf", "--rsh=sh", "a/-rf", ".hidden"),
    *("a b", "$(id)", "`id`", "a;b", "a|b", "*", "a\\b", "C:\\x", "a\nb", "a\rb", "a\tb", "a\0b"),
    *("\x1b[31m", "\x9b2J", "a\x7f", "\u202eb", "\u2028", "\u00a0", "\ufeff", "ä", "\ud800", "😀"),
    *("a" * 255, "a" * 256, "a" * 1025, "a" * 4097, "a" * (2**20 + 1), "/" + "a" * 4096),
    *("/".join("abcdefgh"), "/".join("abcdefghi"), "a.partial", "a.partial/b", "b/a.partial"),
    *("run.json", "SHA256SUMS", "verdict.json", "run.json.1.partial", "run.json/a", "a/run.json"),
    *("stage.json", "elsewhere.json", "attempts", "attempts/1/log.txt", "stage.json/a"),
    *(SHA, SHA.upper(), SHA[:-1], f"{SHA}0", f"{SHA}\n", f" {SHA}", f"../{SHA[3:]}", "g" * 64),
    *(
        "\uff12" * 64,
        "20260131T120000Z-0a1b2c",
        "20260131T120000Z-0a1b2c\n",
        "20260131T120000Z-0A1B2C",
    ),
    *("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z\n", "2026-1-31T1:2:3Z", "2026-02-30T12:00:00Z"),
    *(
        "2026-01-31T12:00:60Z",
        "\uff12\uff1026-01-31T12:00:00Z",
        "2026-01-31t12:00:00z",
        "0000-01-01T00:00:00Z",
    ),
    *(
        "dump",
        "Dump",
        "dump\n",
        "no_stage",
        "live",
        "closed",
        "running",
        "nan",
        "Infinity",
        "1",
        "true",
    ),
    *([], {}, [[]], [{}], {"a": 1}, {"": 1}, {"..": 1}, {"a\nb": 1}, {SHA: 1}, {"/data": []}, DEEP),
    *(["x"] * 3, [None] * 11_000, {"../x": {"name": "a"}}, {"__class__": "x"}),
]


def places(document: Any, at: Place = ()) -> Iterator[Place]:
    """Each value of the document, and the document."""
    yield at
    inner: Any = ()
    if isinstance(document, dict):
        inner = document.items()
    elif isinstance(document, list):
        inner = enumerate(document)
    for name, value in inner:
        yield from places(value, (*at, name))


def at_place(document: Any, at: Place) -> Any:
    for name in at:
        document = document[name]
    return document


def replaced(document: Any, at: Place, value: Any) -> Any:
    """A copy of the document; what is not on the way to the place is shared."""
    if not at:
        return value
    first, *rest = at
    changed = copy.copy(document)
    changed[first] = replaced(document[first], tuple(rest), value)
    return changed


def reshaped(value: Any) -> Iterator[tuple[str, Any]]:
    """Other shapes of a value: a field less or more, entries repeated, the order turned."""
    yield "in a list", [value]
    yield "in an object", {"value": value}
    if isinstance(value, str):
        for end in ("\n", "\0", " ", "/..", "/", ".partial"):
            yield f"with {end!r} behind", value + end
        for beginning in ("-", "/", "../", " ", "\n"):
            yield f"with {beginning!r} before", beginning + value
        yield "in capitals", value.upper()
        yield "as a number", len(value)
    if isinstance(value, int):
        yield "as a text", str(value)
        yield "as a real number", float(value)
    if isinstance(value, list):
        yield "empty", []
        yield "twice", [*value, *copy.deepcopy(value)]
        yield "too long", value * 11_000
        yield "as an object", dict(enumerate_names(value))
    if isinstance(value, dict):
        yield from _fields_changed(value)


def enumerate_names(value: list[Any]) -> Iterator[tuple[str, Any]]:
    for at, entry in enumerate(value):
        yield str(at), entry


def _fields_changed(value: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "with a field more", {**value, "surprise": 1}
    yield "with a field of another case", {**value, **{name.upper(): 1 for name in value}}
    yield "with its fields turned", dict(reversed(value.items()))
    yield "with many fields", {**value, **{f"/{at}": [] for at in range(10_001)}}
    yield "as a list", list(value.items())
    for name in value:
        yield f"without {name}", {key: one for key, one in value.items() if key != name}
        yield (
            f"with {name!r} spelt otherwise",
            {(f"{key} " if key == name else key): one for key, one in value.items()},
        )
    if "schema_version" in value:
        yield "of a newer version", {**value, "schema_version": value["schema_version"] + 1}


def mutations(document: Any) -> Iterator[tuple[str, Any]]:
    """(what was changed, the changed document), for every place."""
    for at in list(places(document)):
        name = "/".join(map(str, at)) or "all of it"
        for value in VALUES:
            yield f"{name}: {shown(value)}", replaced(document, at, value)
        for how, value in reshaped(at_place(document, at)):
            yield f"{name}: {how}", replaced(document, at, value)


def shown(value: Any) -> str:
    return ascii(value)[:60]


def damaged_bytes(document: Any) -> Iterator[tuple[str, bytes]]:
    """What is no JSON, or more than any document of ours has: always refused."""
    whole = json.dumps(document).encode()
    yield "nothing", b""
    yield "garbage", b"\x00\xff" * 99
    yield "a byte order mark", b"\xef\xbb\xbf" + whole
    yield "not UTF-8", whole[:-1] + b"\xff" + whole[-1:]
    yield "UTF-16", whole.decode().encode("utf-16")
    yield "two documents", whole + whole
    yield "a trailing comma", whole[:-1] + b"," + whole[-1:]
    yield "single quotes", whole.replace(b'"', b"'")
    yield "endless", b" " * (17 * 2**20)
    yield "deep lists", b"[" * 100_000
    yield "deep objects", b'{"a":' * 100_000
    yield "a closed depth", b"[" * 40 + b"]" * 40
    yield "many values", b"[" + b"0," * 600_000 + b"0]"
    yield "many empty lists", b"[" + b"[]," * 600_000 + b"[]]"
    for at in range(1, len(whole), max(1, len(whole) // 20)):
        yield f"cut after {at} bytes", whole[:at]
    for literal in (b"NaN", b"Infinity", b"-Infinity", b"1e999", b"9" * 5000, b"0x10", b"01"):
        yield f"the literal {literal[:12]!r}", b'{"a":' + literal + b"}"
    if isinstance(document, dict):
        for name, value in document.items():
            again = json.dumps({name: value}).encode()[1:-1]
            yield f"{name} twice", whole[:-1] + b", " + again + b"}"
