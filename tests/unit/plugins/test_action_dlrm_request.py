"""The action collects the public variables, however a user gave them; the module checks them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import playbook
import pytest
from ansible.module_utils.dlrm_fleet.runs.holder import machine_id

READ = {"name": "Read", "dlrm_request": None, "delegate_to": "localhost", "register": "seen"}


def tasks(folder: Path) -> list[dict[str, object]]:
    return [READ, *playbook.saved(folder)]


def refused(folder: Path, *options: str) -> str:
    ended = playbook.run(folder, [READ], *options)
    assert ended.code == 2, ended.output
    return ended.words


def test_values_come_from_inventory_and_extra_vars_templated(tmp_path: Path) -> None:
    ended = playbook.run(
        tmp_path,
        tasks(tmp_path),
        "-e",
        "precision=int8 verify=true",
        "-e",
        '{"force_stages": ["dump"]}',
        variables={"row_cap": "{{ [40, 50] | sum * 100 }}", "seed": 7},
    )
    assert ended.code == 0, ended.output
    seen = playbook.seen(tmp_path)
    parameters = seen["request"]["parameters"]
    assert (parameters["precision"], parameters["row_cap"], parameters["seed"]) == ("int8", 9000, 7)
    assert (seen["request"]["verify"], seen["request"]["force_stages"]) == (True, ["dump"])
    assert seen["controller"]["machine_id"] == machine_id()
    assert len(seen["request_sha256"]) == 64
    assert seen["commit"] == ""


def test_commit_is_that_of_the_playbooks_repository(tmp_path: Path) -> None:
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    playbook.run(tmp_path, tasks(tmp_path), "-e", "precision=int8")
    assert playbook.seen(tmp_path)["commit"] == head.stdout.strip()


def test_the_controllers_process_is_ansible_playbook_itself(tmp_path: Path) -> None:
    ended = playbook.run(tmp_path, tasks(tmp_path), "-e", "precision=int8")
    assert playbook.seen(tmp_path)["controller"]["pid"] == ended.pid


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ["precision=int7"],
            "precision: 'int7' is not allowed; allowed: int8, bf16",
        ),
        (["precison=int8"], "precison: unknown variable; did you mean precision?"),
        (["precision=int8 dlrm_hots_root=/x"], "dlrm_hots_root: unknown variable; did you mean"),
        (["precision=int8 deadline=-5"], "deadline: '-5' is not allowed; allowed: seconds above"),
        (["precision=int8 profile=official"], "data_source: missing, profile=official needs it"),
        (["precision=int8", "@more.yml"], "scenaro: unknown variable; did you mean scenario?"),
    ],
)
def test_refusals(tmp_path: Path, options: list[str], words: str) -> None:
    (tmp_path / "more.yml").write_text("scenaro: offline\n")
    given = [part for option in options for part in ("-e", option)]
    assert words in refused(tmp_path, *given)


def test_variables_of_roles_and_inventories_are_known(tmp_path: Path) -> None:
    folder = tmp_path / "group_vars" / "all"
    folder.mkdir(parents=True)
    (folder / "x.yml").write_text("# dlrm_of_this_inventory: documented\n")
    given = "precision=int8 dlrm_host_root=/x dlrm_of_this_inventory=1 ansible_user=me awx_x=1"
    # The variable of a cloud's inventory, also of a copy of that inventory.
    given += " dlrm_instances_gcp_project=p dlrm_instances_aws_scheduler_role=r"
    ended = playbook.run(tmp_path, tasks(tmp_path), "-e", given)
    assert ended.code == 0, ended.output


# No task defines these: only a comment of a role's defaults or of an inventory's fleet names them.
NAMED_IN_COMMENTS = (
    "dlrm_budget_usd=5 dlrm_image_travels=false dlrm_instances_aws_scheduler_role=arn"
    " dlrm_instances_gcp_project=p dlrm_instances_gcp_endpoint_url=u dlrm_instances_fleet_aws={}"
)


def test_variables_that_only_a_comment_documents_can_be_given(tmp_path: Path) -> None:
    ended = playbook.run(tmp_path, [READ], "-e", "precision=int8", "-e", NAMED_IN_COMMENTS)
    assert ended.code == 0, ended.output
