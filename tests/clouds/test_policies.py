"""The policies in docs/ allow exactly the calls that the providers make."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.cloud import policy
from ansible.module_utils.dlrm_fleet.cloud.aws import provider as aws
from ansible.module_utils.dlrm_fleet.cloud.gcp import provider as gcp

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "module_utils/dlrm_fleet/cloud"
# Google requires these for an insert besides compute.instances.create; AWS requires them for
# RunInstances and CreateSchedule.
IMPLIED_GCP = {
    "compute.disks.create", "compute.disks.setLabels", "compute.images.useReadOnly",
    "compute.instances.setLabels", "compute.instances.setMetadata", "compute.instances.setTags",
    "compute.subnetworks.use", "compute.subnetworks.useExternalIp",
}  # fmt: skip
IMPLIED_AWS = {"ec2:CreateTags", "iam:PassRole"}


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("aws-policy", policy.aws_policy()),
        ("aws-scheduler-role", policy.aws_scheduler_role()),
        ("gcp-role", policy.gcp_role()),
    ],
)
def test_the_documents_are_the_generated_ones(name: str, made: dict[str, Any]) -> None:
    assert json.loads((ROOT / f"docs/clouds/{name}.json").read_text()) == made


def test_aws_calls_and_actions_agree() -> None:
    text = (SOURCES / "aws/provider.py").read_text().partition("class Aws")[2]
    asked = set(re.findall(r'"((?:ec2|scheduler|iam):[A-Z]\w+)"', text))
    assert asked | IMPLIED_AWS == set(aws.ACTIONS)
    granted = {a for s in policy.aws_policy()["Statement"] for a in s["Action"]}
    assert granted == set(aws.ACTIONS)


def test_google_calls_and_permissions_agree() -> None:
    text = (SOURCES / "gcp/provider.py").read_text().partition("class Gcp")[2]
    asked = set(re.findall(r'"(compute\.\w+\.\w+)"', text))
    # The code makes both names in one place: f"compute.{key}.list".
    asked |= {"compute.disks.list", "compute.addresses.list"}
    assert asked | IMPLIED_GCP == set(gcp.PERMISSIONS)
