from __future__ import annotations

import json
from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.request import request as requests
from ansible.module_utils.dlrm_fleet.request.request import request_sha256

from product_tables import PRECISIONS

KNOWN = ", ".join(PRECISIONS)
MD5 = "0123456789abcdef" * 2
URL = {"url": "https://data.example.com/a/day_23_dense.npy?x=1", "md5": MD5.upper()}
OFFICIAL = {"precision": "int8", "profile": "official", "weights_source": "/w", "data_source": "/d"}


def normalise(variables: dict[str, Any], *names: Any, **named: Any) -> dict[str, Any]:
    return requests.normalise(variables, PRECISIONS, *names, **named)


def refusal(variables: dict[str, Any], **names: Any) -> str:
    with pytest.raises(FleetError) as caught:
        normalise(variables, **names)
    return str(caught.value)


def test_defaults_of_demo() -> None:
    request = normalise({"precision": "int8"})
    assert request == {
        "schema_version": 1,
        "parameters": {
            "precision": "int8",
            "scenario": "offline",
            "implementation": "native",
            "profile": "demo",
            "row_cap": 100_000,
            "data_rows": 120_000,
            "seed": 1,
            "min_duration_seconds": 10,
            "audit": "none",
            "weights_source": None,
            "data_source": None,
            "tune": False,
        },
        "run_id": None,
        "run_wait_seconds": 0,
        "force_stages": [],
        "verify": False,
        "keep": "all",
        "deadline_seconds": 3600,
        "exit_policy": "all",
        "provision": False,
        "release": "never",
        "sources": {"weights_source": None, "data_source": None},
        "marks": ["demo: not comparable"],
    }


def test_official_fixes_what_the_rules_fix() -> None:
    request = normalise(OFFICIAL)
    parameters = request["parameters"]
    assert (parameters["row_cap"], parameters["data_rows"]) == (None, None)
    assert parameters["min_duration_seconds"] == 600
    assert request["deadline_seconds"] == 86400
    assert request["marks"] == ["open", "unverified: not verified by MLCommons Association"]
    assert request["sources"]["data_source"] == {"kind": "folder", "path": "/d"}


def test_extra_vars_are_strings_and_become_typed() -> None:
    request = normalise(
        {
            "precision": " fp32 ",
            "row_cap": "1000",
            "seed": "0",
            "min_duration": "20",
            "verify": "yes",
            "force_stages": '["dump", "weights"]',
            "exit_policy": "50%",
            "deadline": "90m",
            "run_wait": "10m",
            "data_rows": "",
            "run_id": None,
        }
    )
    parameters = request["parameters"]
    assert (parameters["precision"], parameters["row_cap"], parameters["seed"]) == (
        "fp32",
        1000,
        0,
    )
    assert parameters["min_duration_seconds"] == 20
    assert request["verify"] is True
    # In the order in which they run.
    assert request["force_stages"] == ["weights", "dump"]
    assert request["exit_policy"] == 50
    assert request["deadline_seconds"] == 5400
    assert request["run_wait_seconds"] == 600


@pytest.mark.parametrize("given", ["server", "Server"])
def test_a_scenario_may_be_spelled_as_loadgen_does(given: str) -> None:
    request = normalise({"precision": "int8", "scenario": given})
    assert request["parameters"]["scenario"] == "server"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("600", 600), (600, 600), ("600s", 600), ("90m", 5400), ("2h", 7200), ("1d", 86400)],
)
def test_deadlines(text: object, seconds: int) -> None:
    assert normalise({"precision": "int8", "deadline": text})["deadline_seconds"] == seconds


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        pytest.param("/data/", {"kind": "folder", "path": "/data"}, id="folder"),
        pytest.param("r2:bucket/a b", {"kind": "rclone", "remote": "r2:bucket/a b"}, id="rclone"),
        pytest.param(
            ':s3,provider=Cloudflare,endpoint="https://x.example":bucket/weights',
            {
                "kind": "rclone",
                "remote": ':s3,provider=Cloudflare,endpoint="https://x.example":bucket/weights',
            },
            id="rclone-with-settings",
        ),
        pytest.param(
            "https://x.example/metadata/dlrm-v2-preprocessed-dataset.uri",
            {
                "kind": "uri",
                "uri": "https://x.example/metadata/dlrm-v2-preprocessed-dataset.uri",
            },
            id="uri",
        ),
        pytest.param(
            [URL],
            {"kind": "urls", "urls": [{"url": URL["url"], "md5": MD5, "name": "day_23_dense.npy"}]},
            id="urls",
        ),
        pytest.param(
            f'[{{"url": "http://a.example.com/x", "md5": "{MD5}", "name": "sub/y"}}]',
            {
                "kind": "urls",
                "urls": [{"url": "http://a.example.com/x", "md5": MD5, "name": "sub/y"}],
            },
            id="JSON text",
        ),
    ],
)
def test_sources(value: object, wanted: dict[str, Any]) -> None:
    request = normalise({"precision": "int8", "data_source": value})
    assert request["sources"]["data_source"] == wanted
    assert request["parameters"]["data_rows"] is None


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("data", id="relative folder"),
        pytest.param("./data", id="dotted folder"),
        pytest.param("https://data.example.com/x", id="one bare url"),
        pytest.param("https://data.example.com/x.uri?v=1", id="a .uri with a query"),
        pytest.param("ftp://data.example.com/x.uri", id="a .uri by ftp"),
        pytest.param([{"url": URL["url"]}], id="no md5"),
        pytest.param([{"url": URL["url"], "md5": "12"}], id="short md5"),
        pytest.param([{**URL, "name": "../x"}], id="name leaves the folder"),
        pytest.param([{**URL, "name": "/x"}], id="absolute name"),
        pytest.param([URL, URL], id="the same name twice"),
        pytest.param([{**URL, "sha": "1"}], id="unknown field"),
        pytest.param([], id="empty list"),
        pytest.param("[broken", id="not JSON"),
        pytest.param(7, id="number"),
    ],
)
def test_bad_sources_are_refused(value: object) -> None:
    message = refusal({"precision": "int8", "data_source": value})
    assert message.startswith(f"data_source: {value!r} is not allowed; allowed: an absolute folder")


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({"precision": "int7"}, f"precision: 'int7' is not allowed; allowed: {KNOWN}."),
        ({"precision": 8}, f"precision: 8 is not allowed; allowed: {KNOWN}."),
        ({}, f"precision: missing, it must be given; allowed: {KNOWN}"),
        ({"scenario": "serve"}, "scenario: 'serve' is not allowed; allowed: offline, server."),
        ({"implementation": "x"}, "implementation: 'x' is not allowed; allowed: native."),
        ({"profile": "Demo"}, "profile: 'Demo' is not allowed; allowed: demo, official."),
        ({"deadline": "-5"}, "deadline: '-5' is not allowed; allowed: seconds above 0"),
        ({"deadline": 0}, "deadline: 0 is not allowed"),
        ({"run_wait": "-1"}, "run_wait: '-1' is not allowed; allowed: seconds from 0, or 90m"),
        ({"deadline": True}, "deadline: True is not allowed"),
        ({"deadline": "1w"}, "deadline: '1w' is not allowed"),
        ({"deadline": "10"}, "deadline: 10 s does not leave room for the measurement of 10 s"),
        ({"row_cap": 99}, "row_cap: 99 is not allowed; allowed: an integer from 100 to 40000000."),
        ({"row_cap": "1e5"}, "row_cap: '1e5' is not allowed"),
        ({"seed": True}, "seed: True is not allowed"),
        ({"data_rows": 1999}, "data_rows: 1999 is not allowed; allowed: an integer from 2000"),
        ({"min_duration": 0}, "min_duration: 0 is not allowed"),
        ({"audit": "test02"}, "audit: 'test02' is not allowed; allowed: none, test01."),
        ({"verify": "maybe"}, "verify: 'maybe' is not allowed; allowed: true, false."),
        ({"tune": "fast"}, "tune: 'fast' is not allowed; allowed: true, false."),
        ({"keep": "some"}, "keep: 'some' is not allowed; allowed: all, needed."),
        ({"force_stages": "dmp"}, "force_stages: 'dmp' is not allowed; allowed: a list of repos"),
        ({"run_id": "7"}, "run_id: '7' is not allowed; allowed: YYYYmmddTHHMMSSZ-<6 hex"),
        ({"provision": "maybe"}, "provision: 'maybe' is not allowed; allowed: true, false."),
        ({"release": "later"}, "release: 'later' is not allowed; allowed: always, passed, never."),
        ({"exit_policy": "101"}, "exit_policy: '101' is not allowed; allowed: any, all, or"),
        ({"weights_source": "/w"}, "weights_source: '/w' is not allowed with profile=demo"),
        ({"data_source": "/d", "data_rows": 3000}, "data_rows: 3000 is not allowed together with"),
    ],
)
def test_bad_values_name_variable_value_and_allowed(variables: dict[str, Any], wanted: str) -> None:
    given = {"precision": "int8", **variables} if variables else {}
    assert refusal(given).startswith(wanted.replace("repos", "repositories"))


@pytest.mark.parametrize("name", ["weights_source", "data_source"])
def test_official_needs_both_sources(name: str) -> None:
    message = refusal({key: value for key, value in OFFICIAL.items() if key != name})
    assert message.startswith(f"{name}: missing, profile=official needs it; allowed: an absolute")


@pytest.mark.parametrize("name", ["row_cap", "data_rows", "min_duration"])
def test_official_refuses_what_it_fixes(name: str) -> None:
    message = refusal({**OFFICIAL, name: "5000"})
    assert message.startswith(f"{name}: '5000' is not allowed with profile=official")


def test_all_problems_are_named_at_once() -> None:
    message = refusal(
        {"precision": "x", "profile": "y", "deadline": "-1"}, extra_names=["precison", "precision"]
    )
    assert message.startswith("4 variables are refused:\n- precison: unknown variable; did you")
    for name in ("precision: 'x'", "profile: 'y'", "deadline: '-1'"):
        assert f"\n- {name} is not allowed" in message


def test_unknown_extra_variables_are_refused_with_the_nearest_name() -> None:
    known = ["dlrm_host_root"]
    message = refusal({"precision": "int8"}, extra_names=["precison"], known_names=known)
    assert message == "precison: unknown variable; did you mean precision?"
    message = refusal({"precision": "int8"}, extra_names=["dlrm_hst_root"], known_names=known)
    assert message == "dlrm_hst_root: unknown variable; did you mean dlrm_host_root?"
    message = refusal({"precision": "int8"}, extra_names=["zzzz"])
    assert message.startswith("zzzz: unknown variable; known: precision, scenario,")


def test_variables_of_ansible_and_its_launchers_are_not_ours() -> None:
    names = ["ansible_user", "awx_job_id", "tower_job_id", "molecule_yml", "precision"]
    names += ["semaphore_vars", "packer_build_name", "packer_http_addr", "ansible_eda"]
    normalise({"precision": "int8"}, [*names, "dlrm_host_root"], ["dlrm_host_root"])


def test_sha256_is_of_what_is_measured() -> None:
    one = request_sha256(normalise({"precision": "int8"}))
    watched = {
        "run_id": "20260131T120000Z-0a1b2c",
        "verify": True,
        "force_stages": "dump",
        "keep": "needed",
        "deadline": "2h",
        "exit_policy": "any",
        "run_wait": "10m",
        "provision": True,
        "release": "passed",
    }
    assert request_sha256(normalise({"precision": "int8", **watched})) == one
    others: list[dict[str, Any]] = [
        {"precision": "fp32"},
        {"precision": "int8", "seed": 2},
        {"precision": "int8", "row_cap": 1000},
        {"precision": "int8", "min_duration": 11},
        {"precision": "int8", "data_source": "/d"},
        {"precision": "int8", "tune": "true"},
    ]
    assert len({one, *(request_sha256(normalise(other)) for other in others)}) == 7


def test_a_request_without_tune_is_that_of_the_runs_before_there_was_one() -> None:
    request = normalise({"precision": "int8", "tune": "false"})
    before = normalise({"precision": "int8"})
    del before["parameters"]["tune"]
    assert request_sha256(request) == request_sha256(before)
    assert request["parameters"]["tune"] is False


def test_machines_that_are_provisioned_are_released_unless_asked_otherwise() -> None:
    assert normalise({"precision": "int8", "provision": "true"})["release"] == "always"
    kept = normalise({"precision": "int8", "provision": True, "release": "passed"})
    assert (kept["provision"], kept["release"]) == (True, "passed")


SECRET = "5167a7d3b0c4fe11"


@pytest.mark.parametrize(
    "variables",
    [
        {"data_source": f"https://joe:{SECRET}@data.example.com/x"},
        {"data_source": json.dumps([{**URL, "url": f"https://h/x?access_token={SECRET}"}])},
        {"data_source": [{**URL, "url": f"https://joe:{SECRET}@h/x", "sha": "1"}]},
        {"weights_source": f":sftp,host=h,pass={SECRET}:d", "profile": "demo"},
        {"data_source": f"ftp://h/x?secret={SECRET}", "data_rows": f"token={SECRET}"},
        {"deadline": f"password: {SECRET}"},
        {"dlrm_image_pip_index_url": f"https://joe:{SECRET}@mirror.example.com/simple"},
        {"dlrm_image_build_args": {"http_proxy": f"http://joe:{SECRET}@proxy:3128"}},
        {"dlrm_host_pip_environment": f'{{"PIP_INDEX_URL": "https://joe:{SECRET}@m/simple"}}'},
    ],
)
def test_a_refusal_does_not_repeat_a_secret(variables: dict[str, Any]) -> None:
    assert SECRET not in refusal({"precision": "int8", **variables})


def test_addresses_without_passwords_are_taken() -> None:
    mirror = "https://mirror.example.com/simple"
    given = {
        "dlrm_image_pip_index_url": mirror,
        "dlrm_image_base": "registry.example.com/debian@sha256:" + "0" * 64,
        "dlrm_image_build_args": {"http_proxy": "http://proxy:3128"},
        "dlrm_host_pip_environment": {"PIP_INDEX_URL": mirror, "PIP_TIMEOUT": 5},
    }
    assert normalise({"precision": "int8", **given}) == normalise({"precision": "int8"})


def test_a_secret_file_enters_neither_request_nor_sha256() -> None:
    one = normalise({"precision": "int8", "data_source": [URL]})
    two = normalise({"precision": "int8", "data_source": [URL], "data_secret_file": "/x"})
    assert one == two
    assert request_sha256(one) == request_sha256(two)
