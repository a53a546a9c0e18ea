"""The schemas of docs/contracts/ as tests use them: whole, and as strict as the words in them."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker, ValidationError, validators

CONTRACTS = Path(__file__).resolve().parent.parent / "docs" / "contracts"
NAMES = sorted(path.name.removesuffix(".schema.json") for path in CONTRACTS.glob("*.schema.json"))


def load(name: str) -> Any:
    return json.loads((CONTRACTS / f"{name}.schema.json").read_text())


def example(name: str) -> Any:
    return json.loads((CONTRACTS / "examples" / f"{name}.json").read_text())


@functools.cache
def expanded(name: str) -> Any:
    """The schema with each $ref replaced by what it names, in this file or another."""
    return _expand(load(name), name)


def _expand(node: Any, name: str) -> Any:
    if isinstance(node, list):
        return [_expand(inner, name) for inner in node]
    if not isinstance(node, dict):
        return node
    own = {key: _expand(value, name) for key, value in node.items() if key not in SKIPPED}
    return {**_target(node["$ref"], name), **own} if "$ref" in node else own


SKIPPED = ("$ref", "$schema", "$defs")


def _target(reference: str, name: str) -> Any:
    file, _, pointer = reference.partition("#")
    other = file.removesuffix(".schema.json") or name
    target = load(other)
    for part in pointer.split("/")[1:]:
        target = target[part]
    return _expand(target, other)


def ecma(pattern: str) -> re.Pattern[str]:
    """As JSON Schema means it: $ is the very end, \\d an ASCII digit."""
    return re.compile(pattern.replace("$", r"\Z"), re.ASCII)


def _pattern(_validator: Any, pattern: str, value: Any, _schema: Any) -> Iterator[ValidationError]:
    if isinstance(value, str) and not ecma(pattern).search(value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


def _const(_validator: Any, wanted: Any, value: Any, _schema: Any) -> Iterator[ValidationError]:
    if type(value) is not type(wanted) or value != wanted:
        yield ValidationError(f"{value!r} is not {wanted!r}")


def _unique(_validator: Any, name: str, value: Any, _schema: Any) -> Iterator[ValidationError]:
    """x-unique: the entries of a list have different values of this field."""
    if isinstance(value, list):
        found = [entry[name] for entry in value if isinstance(entry, dict) and name in entry]
        if len({json.dumps(one) for one in found}) != len(found):
            yield ValidationError(f"two entries have one {name}")


def _is_line(value: object) -> bool:
    return not isinstance(value, str) or value.isprintable()


def _is_time(value: object) -> bool:
    return not isinstance(value, str) or bool(datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ"))


FORMATS = FormatChecker(formats=())
FORMATS.checks("line")(_is_line)
FORMATS.checks("date-time", raises=ValueError)(_is_time)
_TYPES = Draft202012Validator.TYPE_CHECKER.redefine(
    # JSON Schema takes 1.0 for an integer, too. We write none so, and read none so.
    "integer",
    lambda _checker, value: isinstance(value, int) and not isinstance(value, bool),
)
_STRICT = validators.extend(
    Draft202012Validator,
    {"const": _const, "pattern": _pattern, "x-unique": _unique},
    type_checker=_TYPES,
)


def strict(schema: Any) -> Any:
    """A validator for an expanded schema or a part of it."""
    return _STRICT(schema, format_checker=FORMATS)


@functools.cache
def validator(name: str) -> Any:
    return strict(expanded(name))
