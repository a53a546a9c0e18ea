"""Whatever a peer says, the type that reads it takes what the schema allows, and nothing else.

Each place of each document has each wrong value once; then Hypothesis draws documents, places and
values. DLRM_MUTATIONS says how many it draws; tests/long/hostile.sh draws 200,000.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from documents import ANYTHING, fullest, patterned, valid
from hypothesis import HealthCheck, Phase, given, seed, settings, strategies as st
from ledger import note
from mutations import VALUES, at_place, damaged_bytes, mutations, places, replaced, reshaped
from readers import BYTES, READERS
from verdict import is_refused, is_taken

import schemas

LEAST = 2000
# Lies about one document: drawing a document costs more than telling them.
LIES = 10
DRAWN = int(os.environ.get("DLRM_MUTATIONS", LEAST)) // len(READERS) + 1
KINDS, WRONG = st.integers(0, 19), st.sampled_from(VALUES)
TEXTS = st.one_of([one for name in READERS for one in patterned(schemas.expanded(name))])
SEED = int(os.environ.get("DLRM_MUTATIONS_SEED", "1"))


def test_no_place_of_a_document_takes_a_wrong_value() -> None:
    tried = refused = 0
    for name, read in READERS.items():
        whole = fullest(schemas.expanded(name))
        assert is_taken(read, whole), name
        for what, document in mutations(whole):
            tried += 1
            refused += is_refused(name, read, document, what)
    assert tried >= LEAST
    assert refused >= tried // 2
    note("each place, each wrong value", tried, refused)


@pytest.mark.parametrize("name", READERS)
def test_a_drawn_document_is_taken_and_its_mutations_are_not(name: str) -> None:
    read, documents = READERS[name], valid(schemas.expanded(name))
    tried = refused = 0

    @seed(SEED)
    @settings(
        max_examples=DRAWN // LIES + 1,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def try_one(data: st.DataObject) -> None:
        nonlocal tried, refused
        document = data.draw(documents)
        assert is_taken(read, document)
        where = st.sampled_from(list(places(document)))
        for _ in range(LIES):
            at = data.draw(where)
            mutated = replaced(document, at, draw_lie(data, at_place(document, at)))
            tried += 1
            refused += is_refused(name, read, mutated)

    try_one()
    assert tried >= DRAWN
    assert refused >= DRAWN // 4
    note(f"drawn for {name}", tried, refused, SEED)


def draw_lie(data: st.DataObject, value: Any) -> Any:
    """Mostly a wrong value; else another shape of the true one, any JSON, another field's text."""
    kind = data.draw(KINDS)
    if kind == 0:
        return data.draw(st.sampled_from([other for _how, other in reshaped(value)]))
    return data.draw(ANYTHING if kind == 1 else TEXTS if kind == 2 else WRONG)


@pytest.mark.parametrize("name", BYTES)
def test_what_is_no_json_of_ours_is_refused(name: str) -> None:
    for what, content in damaged_bytes(fullest(schemas.expanded(name))):
        assert not is_taken(BYTES[name], content), what


def test_each_document_that_crosses_has_a_type() -> None:
    """The operator's side writes the others, for the container and for people."""
    assert set(schemas.NAMES) - set(READERS) == {"request", "run", "secret", "stages", "verdict"}


def test_a_looser_type_and_a_stricter_one_are_found() -> None:
    document = fullest(schemas.expanded("lacking"))
    with pytest.raises(AssertionError, match="takes what the schema forbids"):
        is_refused("lacking", lambda _document: None, {"no sha256": 1})
    with pytest.raises(AssertionError, match="refuses what the schema allows"):
        is_refused("lacking", READERS["stage"], document)
