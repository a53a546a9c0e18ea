"""Documents made from a schema: one that shows every field, and any valid one (Hypothesis)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import strategies as st

import schemas

SCALARS = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=9)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)


def fullest(schema: Any) -> Any:
    """Every field, one entry in each list, of several choices the last."""
    for word in ("oneOf", "anyOf"):
        if word in schema:
            return fullest(schema[word][-1])
    if "const" in schema:
        return schema["const"]
    if "allOf" in schema:
        return next(one for one in schema["allOf"][0]["examples"] if is_valid(schema, one))
    if "enum" in schema or "examples" in schema:
        return (schema.get("examples") or schema["enum"])[0]
    return _FULLEST[_types(schema)[0]](schema)


def _object(schema: Any) -> dict[str, Any]:
    document = {name: fullest(inner) for name, inner in schema.get("properties", {}).items()}
    others = schema.get("additionalProperties", True)
    if others is True:
        return {**document, "seen": [1]}
    return document if others is False else {**document, _name(schema): fullest(others)}


def _name(schema: Any) -> str:
    return str(fullest({"type": "string", **schema.get("propertyNames", {})}))


def _string(schema: Any) -> str:
    assert "pattern" not in schema, f"a pattern needs examples: {schema}"
    return "some words"


_FULLEST: Any = {
    "object": _object,
    "array": lambda schema: [fullest(schema["items"])],
    "string": _string,
    "integer": lambda schema: schema.get("minimum", 7),
    "number": lambda schema: schema.get("minimum", 7.5),
    "boolean": lambda schema: True,
    "null": lambda schema: None,
}


def _types(schema: Any) -> list[str]:
    found = schema.get("type", "null")
    return found if isinstance(found, list) else [found]


def is_valid(schema: Any, value: Any) -> bool:
    return bool(schemas.strict(schema).is_valid(value))


def fitting(schema: Any) -> Callable[[Any], bool]:
    validator = schemas.strict(schema)
    return lambda value: bool(validator.is_valid(value))


def valid(schema: Any) -> st.SearchStrategy[Any]:
    """Any document that the schema allows."""
    for word in ("oneOf", "anyOf"):
        if word in schema:
            return st.one_of([valid(one) for one in schema[word]])
    if "const" in schema:
        return st.just(schema["const"])
    if "allOf" in schema:
        return valid(schema["allOf"][0]).filter(fitting(schema))
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "type" not in schema:
        return ANYTHING
    return st.one_of([_VALID[name](schema) for name in _types(schema)])


def _objects(schema: Any) -> st.SearchStrategy[Any]:
    fields = {name: valid(inner) for name, inner in schema.get("properties", {}).items()}
    required = set(schema.get("required", ()))
    document = st.fixed_dictionaries(
        {name: one for name, one in fields.items() if name in required},
        optional={name: one for name, one in fields.items() if name not in required},
    )
    others = schema.get("additionalProperties", True)
    if others is False:
        return document
    names = valid({"type": "string", **schema.get("propertyNames", {})})
    more = ANYTHING if others is True else valid(others)
    named = st.dictionaries(names.filter(lambda name: name not in fields), more, max_size=2)
    return st.builds(lambda own, other: {**other, **own}, document, named)


def _lists(schema: Any) -> st.SearchStrategy[Any]:
    low, unique = schema.get("minItems", 0), schema.get("x-unique")
    by = None if unique is None else (lambda entry: entry[unique])
    return st.lists(valid(schema["items"]), min_size=low, max_size=low + 1, unique_by=by)


def _strings(schema: Any) -> st.SearchStrategy[str]:
    if "pattern" not in schema:
        return st.text(max_size=min(20, schema.get("maxLength", 20)))
    # Texts made from a pattern cost a draw for each character: patterned() has them.
    return st.sampled_from(schema["examples"])


def patterned(schema: Any) -> Iterator[st.SearchStrategy[str]]:
    """Texts made from each pattern in the schema."""
    if isinstance(schema, dict) and isinstance(schema.get("pattern"), str):
        yield st.from_regex(schemas.ecma(schema["pattern"]), fullmatch=True)
    inner = schema.values() if isinstance(schema, dict) else schema
    for one in inner if isinstance(schema, (dict, list)) else ():
        yield from patterned(one)


def _numbers(schema: Any) -> st.SearchStrategy[float]:
    low, high = schema.get("minimum", -1e9), schema.get("maximum", 1e9)
    return st.floats(low, high, allow_nan=False, allow_infinity=False)


_VALID: Any = {
    "object": _objects,
    "array": _lists,
    "string": _strings,
    "integer": lambda schema: st.integers(
        schema.get("minimum", -(10**9)), schema.get("maximum", 10**12)
    ),
    "number": _numbers,
    "boolean": lambda schema: st.booleans(),
    "null": lambda schema: st.none(),
}
