"""Schemas and their examples; what each writer writes is valid, and each reader reads it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.base.documents import read_json
from ansible.module_utils.dlrm_fleet.base.times import parse_time
from ansible.module_utils.dlrm_fleet.request import request, values
from ansible.module_utils.dlrm_fleet.results import summary
from ansible.module_utils.dlrm_fleet.stages import catalogue, progress_line
from ansible.module_utils.dlrm_fleet.stages.folder import StageFolder
from ansible.module_utils.dlrm_fleet.wire.secret_file import read_secret
from ansible.module_utils.dlrm_fleet.wire.status_document import read_status
from jsonschema import Draft202012Validator, ValidationError

import schemas
from product_tables import CATALOGUE, PRECISIONS
from schemas import CONTRACTS, NAMES, example

REPOSITORY = Path(__file__).resolve().parents[2]
Check = Callable[[str, Any], None]


def test_each_schema_has_an_example_and_each_example_a_schema() -> None:
    assert sorted(path.stem for path in (CONTRACTS / "examples").iterdir()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_example_is_valid_and_each_required_field_is_missed(name: str, check: Check) -> None:
    schema = schemas.load(name)
    Draft202012Validator.check_schema(schema)
    check(name, example(name))
    for field in schema.get("required", ()):
        broken = {key: value for key, value in example(name).items() if key != field}
        with pytest.raises(ValidationError, match=field):
            check(name, broken)
    with pytest.raises(ValidationError):
        check(name, {**example(name), "surprise": 1})


def test_the_real_catalogue_is_valid_and_its_lists_agree(check: Check) -> None:
    check("stages", CATALOGUE)
    stages = catalogue.stages(CATALOGUE)
    assert tuple(entry["name"] for entry in stages) == values.STAGES
    parameters = schemas.load("request")["$defs"]["parameters"]["properties"]
    for entry in stages:
        assert set(entry["parameters"]) <= set(parameters), entry["name"]
        assert set(entry.get("when", {})) <= set(parameters), entry["name"]


def test_a_verdict_is_made_of_the_record_and_of_failures(check: Check) -> None:
    results: list[dict[str, Any]] = [
        {"host": "node1", "failure": None, "run": example("run")},
        {"host": "node2", "failure": {"phase": "image", "message": "no space"}, "run": None},
        {"host": "node3", "failure": {"phase": "storage", "message": ""}, "run": example("run")},
    ]
    hosts = ["node1", "node2", "node3", "node4"]
    for policy in ("all", "any", 80):
        check("verdict", summary.summarise(results, policy, hosts, None)["document"])
    document = summary.summarise(results, 1, hosts, example("run")["run_id"])["document"]
    check("verdict", document)
    assert document == json.loads(json.dumps(document))


@pytest.mark.parametrize(
    "variables",
    [
        {"precision": "int8"},
        {"precision": "fp32", "data_source": "/data"},
        {"precision": "int8", "profile": "official", "weights_source": "r2:w", "data_source": "/d"},
    ],
)
def test_requests_parameters_are_those_of_the_contract(
    variables: dict[str, Any], check: Check
) -> None:
    normalised = request.normalise(variables, PRECISIONS)
    check("request", {**example("request"), "parameters": normalised["parameters"]})
    for field in ("weights_source", "data_source"):
        source = normalised["sources"][field]
        if source is not None and source["kind"] == "folder":
            source = {"kind": "folder", "path": "/dlrm/source"}
        check("request", {**example("request"), "source": source})


def test_readers_on_hosts_take_the_examples(tmp_path: Path) -> None:
    document = example("stage")
    folder = StageFolder(tmp_path, "calibrate", document["key"])
    folder.path.mkdir(parents=True)
    (folder.path / "stage.json").write_text(json.dumps(document))
    with (folder.path / "dlrm_int8.pt").open("wb") as handle:
        handle.truncate(document["outputs"][0]["bytes"])
    assert folder.examine() == (document, "")
    status = example("status")
    now = parse_time(status["updated_at"])
    line = progress_line.progress_line(
        "calibrate",
        read_status(status, "status.json"),
        parse_time(status["started_at"]),
        parse_time(status["deadline"]),
        now,
    )
    assert line == (
        "calibrate 42 % layer over_arch.2, 1.2 M rows/s, 0:35 elapsed, 0:48 left,"
        " deadline in 0:56:14"
    )


RUNNER = """
import sys
sys.path[:0] = sys.argv[1:2]
import dlrm_bench.stages
from dlrm_bench.runner import run_stage
dlrm_bench.stages.__path__.insert(0, sys.argv[2])
sys.exit(run_stage())
"""
STAGE = """
from dlrm_bench.frame.errors import StageError
def run(ctx):
    ctx.status.update("copying", percent=50, rate=3.0, unit="rows/s", eta_seconds=1)
    if ctx.request.parameters.seed == 13:
        raise StageError("cannot copy 'a'", "13 is not liked", "Use another seed")
    with ctx.open_output("copy.bin") as output:
        output.write(ctx.input("weights", "made.bin").read_bytes())
"""


@pytest.fixture
def container(tmp_path: Path) -> Callable[[int], tuple[int, StageFolder, dict[str, Any]]]:
    """The container's real runner and the host's real readers; only the stage is the test's."""

    def run(seed: int) -> tuple[int, StageFolder, dict[str, Any]]:
        asked = example("request")
        folder = StageFolder(tmp_path, "dump", asked["key"])
        folder.attempt_path(1).mkdir(parents=True)
        inside, stages = tmp_path / "inside", tmp_path / "stages_of_test"
        (inside / "inputs/weights").mkdir(parents=True)
        (inside / "inputs/weights/made.bin").write_bytes(b"seed 1\n")
        (inside / "output").symlink_to(folder.path)
        made = {"name": "made.bin", "path": "/dlrm/inputs/weights/made.bin", "bytes": 7}
        asked.update(stage="dump", inputs={"weights": [{**made, "sha256": "ab" * 32}]})
        asked["parameters"]["seed"] = seed
        (inside / "request.json").write_text(json.dumps(asked))
        stages.mkdir()
        (stages / "dump.py").write_text(STAGE)
        ended = subprocess.run(
            [sys.executable, "-c", RUNNER, str(REPOSITORY / "benchmark/src"), str(stages)],
            env={"DLRM_ROOT": str(inside), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
        )
        status = read_json(folder.attempt_path(1) / "status.json")
        print(ended.stderr)  # noqa: T201 shown by pytest when the test fails
        return ended.returncode, folder, status

    return run


def test_the_containers_documents_are_read_on_the_host(
    container: Callable[[int], tuple[int, StageFolder, dict[str, Any]]], check: Check
) -> None:
    code, folder, status = container(1)
    assert (code, status["state"]) == (0, "finished")
    check("status", status)
    document, damage = folder.examine(verify=True)
    assert damage == ""
    assert document is not None
    check("stage", document)
    assert document["inputs"][0]["stage"] == "weights"
    assert [output["name"] for output in document["outputs"]] == ["copy.bin"]


def test_the_containers_failure_is_read_on_the_host(
    container: Callable[[int], tuple[int, StageFolder, dict[str, Any]]], check: Check
) -> None:
    code, folder, status = container(13)
    assert (code, status["state"]) == (1, "failed")
    check("status", status)
    assert status["message"] == "cannot copy 'a': 13 is not liked. Use another seed."
    assert folder.examine() == (None, "")


SECRETS = """
import json, pathlib, sys
sys.path.insert(0, sys.argv[1])
from dlrm_bench.frame.secrets import Secrets
secrets = Secrets.read(pathlib.Path(sys.argv[2]))
print(json.dumps({name: getattr(secrets, name) for name in ("urls", "options", "hidden")}))
"""


def read_in_the_container(
    document: dict[str, Any], folder: Path
) -> subprocess.CompletedProcess[str]:
    (folder / "secret.json").write_text(json.dumps(document))
    words = [sys.executable, "-c", SECRETS, str(REPOSITORY / "benchmark/src"), str(folder)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ({"kind": "urls", "urls": [{"url": "https://h/a"}]}, "https://u:password@h/a?sig=0123456"),
        ({"kind": "rclone", "remote": "r2:weights"}, "type = s3\nsecret_access_key = 0123456789"),
    ],
)
def test_the_secret_that_the_host_writes_is_read_in_the_container(
    source: dict[str, Any], text: str, check: Check, tmp_path: Path
) -> None:
    written = read_secret(text, source, "cannot use it").document()
    check("secret", written)
    for document in (written, example("secret")):
        told = read_in_the_container(document, tmp_path)
        assert told.returncode == 0, told.stderr
        wanted = {name: document[name] for name in ("urls", "options", "hidden")}
        assert json.loads(told.stdout) == wanted
    for name in schemas.load("secret")["required"]:
        broken = {key: value for key, value in written.items() if key != name}
        assert "cannot use" in read_in_the_container(broken, tmp_path).stderr


PLACEMENTS = """
import json, sys
sys.path[:0] = sys.argv[1:]
from dlrm_bench.memory.placement import decide, describe, mapped
from dlrm_bench.memory.topology import Cpu, Node, Topology
cpus, nodes = (Cpu(0, 0, None, 0), Cpu(1, 1, 1, 1)), (Node(0, 10**12), Node(1, 10**12))
two, small = Topology(cpus, nodes, 10**12, 10**12), Topology(cpus, nodes, 10**12, 8 * 10**10)
one = Topology(cpus[:1], nodes[:1], 10**12, 10**12)
print(json.dumps([
    describe(decide(two, 9, 0, True), [0, 1], 9, [{"0": 9}, {"1": 9}], [0, 9], "refused"),
    describe(decide(small, 2 * 10**10, 0, True), [0, 1], 9, [{}], [0, 9]),
    describe(decide(one, 9, 0, True), [0], 9, [{"0": 9}], [9]),
    describe(mapped(one, "told to"), [0], 9, [], [0]),
]))
"""


def test_the_containers_placements_fit_into_the_record(check: Check) -> None:
    source = str(REPOSITORY / "benchmark/src")
    told = subprocess.run(
        [sys.executable, "-c", PLACEMENTS, source], capture_output=True, text=True, check=True
    )
    placements = json.loads(told.stdout)
    run = example("run")
    for placement in placements:
        check("run", {**run, "performance": {**run["performance"], "placement": placement}})
    assert [placement["model"] for placement in placements] == [
        "copy on each node",
        "interleaved copy",
        "copy",
        "mapped file",
    ]
    with pytest.raises(ValidationError, match="elsewhere"):
        wrong = {**placements[0], "model": "elsewhere"}
        check("run", {**run, "performance": {**run["performance"], "placement": wrong}})


def test_the_stages_of_the_contract_are_those_of_the_catalogue() -> None:
    assert tuple(schemas.load("stage")["$defs"]["stage"]["enum"]) == values.STAGES
