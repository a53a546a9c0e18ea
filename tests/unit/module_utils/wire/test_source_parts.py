"""Which parts of a source are secret, and what is left without them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.wire.source_parts import part_source

MD5 = "0123456789abcdef" * 2
HOST = "https://data.example.com"
AWS = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AK%2Fx&X-Amz-Date=1&X-Amz-Signature=ab"

URLS_WITH_SECRETS = {
    "userinfo": (f"https://joe:pw@{HOST[8:]}/x", f"{HOST}/x"),
    "user alone": (f"https://token@{HOST[8:]}/x?rows=1", f"{HOST}/x?rows=1"),
    "AWS": (f"{HOST}/x?{AWS}", f"{HOST}/x"),
    "AWS, with a version": (f"{HOST}/x?versionId=3&{AWS}", f"{HOST}/x?versionId=3"),
    "escaped name": (f"{HOST}/x?X%2DAmz%2DSignature=ab", f"{HOST}/x"),
    "Google": (f"{HOST}/x?X-Goog-Signature=ab&X-Goog-Date=1", f"{HOST}/x"),
    "Azure": (f"{HOST}/x?sv=2022&se=2026&sp=r&sig=ab%3D", f"{HOST}/x"),
    "CloudFront": (f"{HOST}/x?Expires=1&Signature=ab&Key-Pair-Id=K", f"{HOST}/x"),
    "token": (f"{HOST}/x?token=abc&part=2", f"{HOST}/x?part=2"),
    "access token": (f"{HOST}/x?access_token=abc", f"{HOST}/x"),
    "capital letters": (f"{HOST}/x?SIG=abc", f"{HOST}/x"),
    "fragment": (f"{HOST}/x#access_token=abc", f"{HOST}/x"),
}
REMOTES_WITH_SECRETS = {
    "keys": (
        ":s3,provider=AWS,access_key_id=A,secret_access_key='b,c':bucket/x",
        ":s3,provider=AWS:bucket/x",
        ("access_key_id = A", "secret_access_key = b,c"),
    ),
    "password": (":sftp,host=h,user=u,pass=xyz:data", ":sftp,host=h,user=u:data", ("pass = xyz",)),
    "userinfo": (
        ':webdav,url="https://u:p@h/x",vendor=other:d',
        ":webdav,vendor=other:d",
        ("url = https://u:p@h/x",),
    ),
    "SAS": (
        ':azureblob,sas_url="https://a/c?sig=x":c',
        ":azureblob:c",
        ("sas_url = https://a/c?sig=x",),
    ),
    "doubled quote": (':b2,account=a,key="x""y":c', ":b2,account=a:c", ('key = x"y',)),
}
WITHOUT_SECRETS: dict[str, Any] = {
    "folder": "/data/token=5/pass",
    "named remote": "r2:bucket/secret/a b",
    "remote": ':s3,provider=Cloudflare,endpoint="https://x.example":bucket/weights',
    "own identity": ":s3,provider=AWS,env_auth=true,region=eu-1:bucket",
    "files on the host": ":sftp,host=h,key_file=/k,known_hosts_file=/f,key_use_agent=true:d",
    "encryption by the server": ":s3,sse_kms_key_id=arn:bucket",
    "rclone cannot read it": ":s3,a=b",
    "query": [{"url": f"{HOST}/x?rows=1&se=2&part=a", "md5": MD5}],
    "at in the path": [{"url": f"{HOST}/joe@x/y", "md5": MD5}],
    "no URL": [{"url": "x", "md5": MD5}, {"md5": MD5}, 7],
    "number": 7,
    "none": None,
}


@pytest.mark.parametrize("name", URLS_WITH_SECRETS)
def test_a_urls_secret_is_parted_from_it(name: str) -> None:
    whole, plain = URLS_WITH_SECRETS[name]
    parted = part_source([{"url": f"{HOST}/open", "md5": MD5}, {"url": whole, "md5": MD5}])
    assert parted.plain == [{"url": f"{HOST}/open", "md5": MD5}, {"url": plain, "md5": MD5}]
    assert parted.lines == (whole,)
    assert parted.found
    assert part_source(whole).plain == plain
    assert not part_source(parted.plain).found


@pytest.mark.parametrize("name", REMOTES_WITH_SECRETS)
def test_a_remotes_secret_is_parted_from_it(name: str) -> None:
    whole, plain, lines = REMOTES_WITH_SECRETS[name]
    parted = part_source(whole)
    assert (parted.plain, parted.lines) == (plain, lines)
    assert not part_source(plain).found


@pytest.mark.parametrize("name", WITHOUT_SECRETS)
def test_what_holds_no_secret_stays_to_the_byte(name: str) -> None:
    value = WITHOUT_SECRETS[name]
    parted = part_source(value)
    assert (parted.plain, parted.lines, parted.found) == (value, (), "")
