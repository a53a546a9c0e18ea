"""AWS answers a listing in pages: all are read, and a refusal of any is worded."""

from __future__ import annotations

import pytest
from ansible.module_utils.dlrm_fleet.cloud.aws.provider import Aws
from ansible.module_utils.dlrm_fleet.cloud.errors import THROTTLING, CloudError
from botocore.stub import ANY, Stubber  # type: ignore[import-untyped]

REGION = "us-east-1"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Aws:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    return Aws([REGION], "arn:aws:iam::123456789012:role/dlrm-fleet-ttl")


def instance(number: int) -> dict[str, object]:
    tags = {"project": "dlrm-fleet", "fleet": "dlrm", "machine": f"dlrm-arm-{number}"}
    return {
        "InstanceId": f"i-{number}",
        "State": {"Name": "terminated"},
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
    }


def asked(**more: object) -> dict[str, object]:
    return {"Filters": ANY, "MaxResults": 1000, **more}


def test_machines_of_all_pages_are_found(aws: Aws) -> None:
    first = {"Reservations": [{"Instances": [instance(1), instance(2)]}], "NextToken": "more"}
    last = {"Reservations": [{"Instances": [instance(3)]}]}
    with Stubber(aws._client("ec2", REGION)) as cloud:
        cloud.add_response("describe_instances", first, asked())
        cloud.add_response("describe_instances", last, asked(NextToken="more"))
        assert [item.id for item in aws.list_machines("dlrm")] == ["i-1", "i-2", "i-3"]
        cloud.assert_no_pending_responses()


def test_a_refused_page_is_no_end_of_the_listing(aws: Aws) -> None:
    first = {"Reservations": [{"Instances": [instance(1)]}], "NextToken": "more"}
    with Stubber(aws._client("ec2", REGION)) as cloud:
        cloud.add_response("describe_instances", first, asked())
        cloud.add_client_error("describe_instances", "RequestLimitExceeded", "slower", 503)
        with pytest.raises(
            CloudError, match="AWS limits the rate of ec2:DescribeInstances"
        ) as told:
            aws.list_machines("dlrm")
    assert told.value.kind == THROTTLING


def test_a_listing_without_a_page_size_leaves_it_to_the_cloud(aws: Aws) -> None:
    volume = {"VolumeId": "vol-1"}
    with Stubber(aws._client("ec2", REGION)) as cloud:
        cloud.add_response("describe_volumes", {"Volumes": [volume]}, {"Filters": []})
        assert aws._pages("ec2:DescribeVolumes", REGION, "Volumes", Filters=[]) == [volume]
