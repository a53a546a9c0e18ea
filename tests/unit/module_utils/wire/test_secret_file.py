"""The file of a source's secrets fits the source, or is refused without being quoted."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.wire.secret_file import read_secret

HOST = "https://data.example.com"
A, B = f"{HOST}/d/a.npz", f"{HOST}/d/b.npz?v=2"
URLS = {"kind": "urls", "urls": [{"url": A}, {"url": B}]}
REMOTE = {"kind": "rclone", "remote": ":s3,provider=AWS:bucket/x"}
NAMED = {"kind": "rclone", "remote": "r2:bucket/x"}
URI = {"kind": "uri", "uri": "https://Data.example.com:8443/m/x.uri"}
WHAT = "cannot use it"


def refusal(text: str, source: dict[str, Any]) -> str:
    with pytest.raises(FleetError) as caught:
        read_secret(text, source, WHAT)
    assert "s3cr3t" not in str(caught.value)
    return str(caught.value)


def test_whole_urls_are_found_for_the_plain_ones() -> None:
    text = f"# signed today\n\n{A}?X-Amz-Signature=s3cr3t\n  {B}&sig=0th3r\n"
    urls = read_secret(text, URLS, WHAT).urls
    assert urls == {A: f"{A}?X-Amz-Signature=s3cr3t", B: f"{B}&sig=0th3r"}


def test_one_line_may_serve_every_url_below_it() -> None:
    urls = read_secret(f"{HOST}/d/?sv=1&sig=s3cr3t", URLS, WHAT).urls
    assert urls == {A: f"{A}?sv=1&sig=s3cr3t", B: f"{B}&sv=1&sig=s3cr3t"}
    text = f"{HOST}/?sig=outer\n{HOST}/d/?sig=inner\n{A}?sig=own\n"
    assert refusal(text, URLS).startswith("cannot use it: line 1 fits no URL of the source")


def test_userinfo_alone_keeps_the_query_of_the_source() -> None:
    urls = read_secret(f"https://joe:s3cr3t@data.example.com{B[len(HOST) : -4]}", URLS, WHAT).urls
    assert urls == {B: f"https://joe:s3cr3t@data.example.com{B[len(HOST) :]}"}


def test_options_of_a_remote() -> None:
    text = "[r2]\ntype = s3\naccess_key_id = s3cr3tid\nsecret_access_key = s3cr3tkey\n"
    wanted = {"type": "s3", "access_key_id": "s3cr3tid", "secret_access_key": "s3cr3tkey"}
    assert read_secret(text, NAMED, WHAT).options == wanted
    assert read_secret("access_key_id = s3cr3tid", REMOTE, WHAT).options == {
        "type": "s3",
        "access_key_id": "s3cr3tid",
    }


def test_headers_are_for_the_host_of_a_uri_alone() -> None:
    text = "CF-Access-Client-Id: 12ab.access\nAuthorization: Bearer s3cr3t\n"
    secret = read_secret(text, URI, WHAT)
    assert secret.headers == {
        "https://data.example.com:8443": {
            "CF-Access-Client-Id": "12ab.access",
            "Authorization": "Bearer s3cr3t",
        }
    }
    assert secret.document()["headers"] == secret.headers
    assert {"12ab.access", "Bearer s3cr3t", "s3cr3t"} <= set(secret.hidden())
    assert "s3cr3t" not in repr(secret)


@pytest.mark.parametrize(
    ("text", "source", "words"),
    [
        ("s3cr3t", URI, "line 1 is not 'Header: value'"),
        (f"{A}?sig=s3cr3t", URI, "line 1 is not 'Header: value'"),
        ("X: 1\nHost: s3cr3t", URI, "line 2 gives a header that is the downloader's"),
        ("X-Key: s3cr3t\nx-key: s3cr3t", URI, "line 2 gives a header a second time"),
        ("", URLS, "it holds no line"),
        ("# s3cr3t", URLS, "it holds no line"),
        ("s3cr3t", URLS, "line 1 is no http or https URL"),
        ("\nftp://u:s3cr3t@h/x", URLS, "line 2 is no http or https URL"),
        (f"{A} ?sig=s3cr3t", URLS, "line 1 has a blank or a fragment"),
        (f"{A}?sig=s3cr3t\x07", URLS, "line 1 has a control character"),
        (A, URLS, "line 1 has neither userinfo nor a query"),
        (f"{HOST}/other?sig=s3cr3t", URLS, "line 1 fits no URL of the source"),
        (f"http{A[5:]}?sig=s3cr3t", URLS, "line 1 fits no URL of the source"),
        (f"{B[:-4]}?v=3&sig=s3cr3t", URLS, "line 1 fits no URL of the source"),
        (f"{A}?sig=s3cr3t\n{A}?sig=s3cr3t2", URLS, "lines 1 and 2 are for the same URL"),
        ("s3cr3t", REMOTE, "line 1 is not 'option = value'"),
        ("pass = s3cr3t\npass = s3cr3t", REMOTE, "line 2 gives an option a second time"),
        ("type = b2\nkey = s3cr3t", REMOTE, "its type is not that of the source's remote"),
        ("type = s3", REMOTE, "it holds no option but the type"),
        ("key = s3cr3t", NAMED, "a remote with a name needs the line 'type = ...'"),
        ("pass = s3cr3t", {"kind": "folder", "path": "/d"}, "a folder needs no secret"),
    ],
)
def test_what_does_not_fit_is_refused(text: str, source: dict[str, Any], words: str) -> None:
    assert refusal(text, source).startswith(f"cannot use it: {words}")


def test_what_must_be_hidden_is_the_secret_and_nothing_else() -> None:
    query = "X-Amz-Date=20260101&X-Amz-Expires=3600&X-Amz-Signature=s3cr3t&k=v%2Bw1"
    hidden = read_secret(f"https://joe:pa%21ss@{A[8:]}?{query}", URLS, WHAT).hidden()
    assert {"s3cr3t", "v%2Bw1", "v+w1", "pa%21ss", "pa!ss", "joe:pa%21ss"} <= set(hidden)
    assert not {"3600", "20260101", ""} & set(hidden)
    options = read_secret("region = eu-1\npass = s3cr3t\nenv_auth = true", REMOTE, WHAT)
    assert options.hidden() == ["s3cr3t"]


def test_no_representation_shows_it() -> None:
    secret = read_secret(f"{A}?sig=s3cr3t", URLS, WHAT)
    assert "s3cr3t" not in repr(secret)
