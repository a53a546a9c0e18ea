"""A host's answer of a run: what is no answer is a sentence, whichever field is wrong."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.wire.fields import Fields
from ansible.module_utils.dlrm_fleet.wire.host_answer import HostAnswer, host_answer
from ansible.module_utils.dlrm_fleet.wire.stage_document import stage_document
from ansible.module_utils.dlrm_fleet.wire.strict_json import Malformed

REPOSITORY = Path(__file__).resolve().parents[4]
STAGE = json.loads((REPOSITORY / "docs/contracts/examples/stage.json").read_text())
CATALOGUE = json.loads((REPOSITORY / "benchmark/stages.json").read_text())
STAGES = {entry["name"] for entry in CATALOGUE["stages"]}
SHA = "ab" * 32
FILE = {"name": "mlperf_log_summary.txt", "path": "/srv/dlrm/a/b.txt", "bytes": 3, "sha256": SHA}
USED = {"name": "a", "bytes": 1, "sha256": SHA}
ANSWER: dict[str, Any] = {
    "state": "lapsed",
    "deadline": "2026-01-31T12:00:00Z",
    "finished": True,
    "artifacts": [{**FILE, "link": "model/dlrm-multihot-pytorch.pt"}],
    "stages": [
        {
            "document": STAGE,
            "folder": "/srv/dlrm/stages/dump/0123456789abcdef",
            "files": True,
            "source": {
                "folder": "/data/my clicks",
                "files": [{"name": "a", "bytes": 1, "sha256": SHA}],
            },
        }
    ],
    "run_files": [{**FILE, "name": "performance/mlperf_log_summary.txt"}],
}


def read(answer: Any) -> HostAnswer:
    return host_answer(json.dumps(answer).encode(), "cannot use the answer of arm-01", STAGES)


def test_an_answer_is_read_into_types() -> None:
    found = read(ANSWER)
    assert found.run_files[0].file.size == 3
    assert found.artifacts[0].link == "model/dlrm-multihot-pytorch.pt"
    assert found.stages[0].document.key == STAGE["key"]
    assert found.stages[0].source is not None and found.stages[0].source[0] == "/data/my clicks"


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in the answer but inside what only the facts' reader interprets."""
    if path:
        yield path
    if path and path[-1] in ("facts", "parameters", "provenance"):
        return
    if isinstance(value, (dict, list)):
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, name))


WRONG: list[Any] = [
    *(None, [], {}, "", -1, 1e300, True, "../../etc/passwd", "/etc/passwd", "a/../../b"),
    *("a\nb", "-rf", ".hidden", "a" * 5000, "a//b", "ä", "\x1b[31m", [[]], {"a": 1}, 10**30),
    *("run.json", "SHA256SUMS", "stage.json", "x.partial", f"{SHA}\n", SHA[:-1], SHA.upper()),
]


def changed(path: tuple[Any, ...], value: Any) -> Any:
    answer = copy.deepcopy(ANSWER)
    inner = answer
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return answer


def original(path: tuple[Any, ...]) -> Any:
    inner: Any = ANSWER
    for name in path:
        inner = inner[name]
    return inner


def is_safe(found: HostAnswer) -> bool:
    """What folders, stores and commands are made from."""
    names = [offered.file.name for offered in (*found.artifacts, *found.run_files)]
    names += [offered.link for offered in found.artifacts if offered.link is not None]
    names += [o.name for stage in found.stages for o in stage.document.outputs]
    paths = [offered.path for offered in (*found.artifacts, *found.run_files)]
    paths += [stage.folder for stage in found.stages]
    keys = [stage.document.key for stage in found.stages]
    keys += [offered.file.sha256 for offered in (*found.artifacts, *found.run_files)]
    return (
        all(not {"", ".", ".."} & set(name.split("/")) and name.isprintable() for name in names)
        and not {"run.json", "SHA256SUMS", "verdict.json"} & {o.file.name for o in found.run_files}
        and all(path.startswith("/") and ".." not in path.split("/") for path in paths)
        and all(len(key) == 64 and set(key) <= set("0123456789abcdef") for key in keys)
        and all(stage.document.stage in STAGES for stage in found.stages)
    )


@pytest.mark.parametrize("path", list(places(ANSWER)), ids=lambda path: "/".join(map(str, path)))
def test_a_wrong_field_is_refused_or_harmless(path: tuple[Any, ...]) -> None:
    refused = 0
    for value in WRONG:
        try:
            assert is_safe(read(changed(path, value))), value
        except Malformed as error:
            refused += 1
            assert str(error).startswith("cannot use the answer of arm-01: ")
            assert str(error).isprintable()
    assert refused >= len(WRONG) // 2, "most of these fit no field at all"
    without = changed(path, None)
    inner = without
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    if path[-1] != "source" and not isinstance(path[-1], int):
        with pytest.raises(Malformed):
            read(without)


@pytest.mark.parametrize("answer", [[], None, "x", 1, {}, {**ANSWER, "more": 1}])
def test_another_shape_is_refused(answer: Any) -> None:
    with pytest.raises(Malformed):
        read(answer)


def test_a_newer_document_is_called_newer() -> None:
    with pytest.raises(Malformed, match="schema_version 2, this release reads up to 1. It was"):
        stage_document({**STAGE, "schema_version": 2}, "cannot use stage.json", STAGES)


def test_messages_name_the_place_and_quote_what_was_found() -> None:
    with pytest.raises(Malformed) as refused:
        read(changed(("stages", 0, "document", "outputs", 0, "sha256"), "zz\n"))
    assert "'sha256' of entry 0 of 'outputs' of 'document' of entry 0 of 'stages'" in str(
        refused.value
    )
    assert r"found 'zz\n'" in str(refused.value)
    with pytest.raises(Malformed, match="'a' of it is missing"):
        Fields({}, "cannot").text("a")
