"""Each type in wire/ knows the fields that its schema has, and no others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.wire.fields import Fields
from documents import fullest
from readers import READERS, answer_document

import schemas

WHOLE = {**READERS, "answer": answer_document}


def closed_objects(schema: Any, document: Any) -> Iterator[tuple[int, set[str]]]:
    """(identity, fields) of each object of the document that may have no others."""
    for word in ("oneOf", "anyOf"):
        if word in schema:
            yield from closed_objects(schema[word][-1], document)
    if isinstance(document, list):
        for entry in document:
            yield from closed_objects(schema.get("items", {}), entry)
    elif isinstance(document, dict):
        properties = schema.get("properties", {})
        others = schema.get("additionalProperties", {})
        if others is False:
            yield id(document), set(properties)
        for name, value in document.items():
            inner = properties.get(name, others)
            yield from closed_objects(inner if isinstance(inner, dict) else {}, value)


@pytest.mark.parametrize("name", WHOLE)
def test_a_type_knows_the_fields_of_its_schema(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known: dict[int, set[str]] = {}
    only = Fields.only

    def noted(self: Fields, *names: str) -> None:
        known[id(self.values)] = set(names)
        only(self, *names)

    monkeypatch.setattr(Fields, "only", noted)
    schema = schemas.expanded(name)
    document = fullest(schema)
    WHOLE[name](document)
    wanted = dict(closed_objects(schema, document))
    assert known == wanted
    assert wanted or name == "lacking"
