"""JSON from another machine, container or user is parsed in wire/ alone.

Each place that parses JSON is listed here with what it reads. A new one is refused until somebody
has looked: what somebody else wrote goes through wire/strict_json.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
FLEET = "module_utils/dlrm_fleet"
PARSERS = {"load", "loads", "JSONDecoder", "raw_decode", "literal_eval", "safe_load", "full_load"}
MODULES = {"json", "yaml", "pickle", "marshal", "ast", "simplejson", "decoder"}
REVIEWED = {
    f"{FLEET}/wire/strict_json.py::parse": "the strict parser itself",
    f"{FLEET}/base/as_owner.py::_read": "what this program's own child says",
    f"{FLEET}/base/documents.py::parse_json": "files that only the own user can write",
    f"{FLEET}/container/build_output.py::output_lines": "literals in what a build printed",
    f"{FLEET}/container/image.py::_archive_tag": "the base archive, which the operator made",
    f"{FLEET}/host/software.py::_ask": "the container engine of this machine, which root runs",
    f"{FLEET}/judge/loadgen_log.py::_json": "lines of a log, whose values are then checked",
    f"{FLEET}/request/values.py::from_json": "the operator's own variables",
    "library/dlrm_request.py::main": "the operator's own variables",
    "library/dlrm_schedule_request.py::main": "the operator's own variables",
    f"{FLEET}/results/record.py::differences": "what this function has just written as JSON",
    f"{FLEET}/storage/node/processes.py::_outcome": "what this program's own child says",
}


def sources() -> list[Path]:
    return [
        path
        for folder in (FLEET, "library", "plugins")
        for path in sorted((REPOSITORY / folder).rglob("*.py"))
    ]


def parses(tree: ast.AST, where: str = "") -> Iterator[str]:
    """The name of the function around each call that parses JSON, YAML or a pickle."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Call) and _is_parser(node.func):
            yield where
        inner = where
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            inner = node.name
        yield from parses(node, inner)


def _is_parser(function: ast.expr) -> bool:
    if isinstance(function, ast.Attribute) and function.attr in PARSERS:
        owner = function.value
        return not isinstance(owner, ast.Name) or owner.id in MODULES
    return isinstance(function, ast.Name) and function.id in PARSERS


def found() -> set[str]:
    return {
        f"{path.relative_to(REPOSITORY)}::{name}"
        for path in sources()
        for name in parses(ast.parse(path.read_text()))
    }


def test_each_place_that_parses_was_looked_at() -> None:
    assert found() - set(REVIEWED) == set(), "read it through wire/strict_json, or list it here"


def test_the_list_names_no_place_that_is_gone() -> None:
    assert set(REVIEWED) - found() == set()


def test_a_parser_is_found_however_it_is_called() -> None:
    code = "def a(): json.loads(x)\ndef b(): return loads(x)\ndef c(): json.JSONDecoder().decode(x)"
    assert list(parses(ast.parse(code))) == ["a", "b", "c"]
    assert list(parses(ast.parse("def a(): return self.queue.load(x)"))) == ["a"]
    assert list(parses(ast.parse("def a(): return fleet.load(x)"))) == []
