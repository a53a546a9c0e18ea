"""Secrets are removed; what explains a failure stays."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible.module_utils.dlrm_fleet.support.redact import LINE_CHARACTERS, REDACTED, redact
from planted_secrets import SECRETS

REPOSITORY = Path(__file__).resolve().parents[4]


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_gone(name: str) -> None:
    text, secret = SECRETS[name]
    assert secret in text
    clean = redact(text)
    assert secret not in clean
    assert REDACTED in clean
    assert redact(clean) == clean


@pytest.mark.parametrize(
    "text",
    [
        '{"stage": "dump", "key": "0123456789abcdef", "sha256": "ab12", "bytes": 7}',
        "dlrm_storage_root: /srv/dlrm-storage",
        "passed: 3 of 4 hosts, 2 stages were bypassed",
        "samples/s 18,309.50 LoadGen VALID",
        "https://host/path?rows=3&seed=1",
        "ssh: connect to host 192.0.2.13 port 22: Connection refused",
        "stage performance, key 0123, attempt 2, exit 137",
    ],
)
def test_what_explains_stays(text: str) -> None:
    assert redact(text) == text


def test_what_surrounds_a_secret_stays() -> None:
    assert redact('{"password": "x y", "host": "a"}') == f'{{"password": {REDACTED}, "host": "a"}}'
    assert redact("https://joe:pa55@host/x?sig=1&rows=2") == (
        f"https://{REDACTED}@host/x?sig={REDACTED}&rows=2"
    )


def test_known_values_go_wherever_they_stand() -> None:
    known = ["s3cret", "s3cret-longer", 'quo"ted', "abc"]
    text = 'x/s3cret-longer/y s3cret "quo\\"ted" quo"ted abc'
    wanted = f'x/{REDACTED}/y {REDACTED} "{REDACTED}" {REDACTED} abc'
    assert redact(text, known) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("https://h/x?next=https://i/y?token=abc", "https://h/x?next=https://i/y?token=[redacted]"),
        ("run --verbose --token abc", "run --verbose --token [redacted]"),
        ('{"password": "a\\"b", "host": "h"}', '{"password": [redacted], "host": "h"}'),
        (
            "https://h/x?X%2DAmz%2DSignature=ab&x=1",
            "https://h/x?X%2DAmz%2DSignature=[redacted]&x=1",
        ),
    ],
)
def test_what_stands_before_a_secret_does_not_hide_it(text: str, wanted: str) -> None:
    assert redact(text) == wanted


def test_a_long_line_loses_its_middle_and_keeps_the_others() -> None:
    text = redact(f"first\nbegin {'x' * 10**6} token=abc end\nlast\n")
    first, long, last = text.splitlines()
    assert (first, last) == ("first", "last")
    assert len(long) <= LINE_CHARACTERS
    assert long.startswith("begin xxx")
    assert long.endswith(f"token={REDACTED} end")
    assert redact(text) == text


# Each makes a pattern that repeats without bound look from every place to the end of the text.
HOSTILE = {
    "dashes": "-",
    "dots": "._-",
    "names": "token",
    "names in a query": "?token",
    "options": "--token-",
    "open quotes": 'token="',
    "escaped quotes": '\\"token=\\"',
    "backslashes": 'token="\\a',
    "blanks": "token          ",
    "tokens": "eyJaaaaaaaa-",
    "dotted tokens": "-eyJaaaaaaaa.",
    "headers": "-----BEGIN ",
    "vault": "$ANSIBLE_VAULT;",
    "addresses": "://a",
    "parameters": "?a=",
    "secret parameters": "?sig=",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_long_line_takes_no_more_than_its_length(name: str) -> None:
    """In a process that is ended: patterns that are not linear take hours for this."""
    program = (
        "import sys\n"
        "from dlrm_fleet.support.redact import redact\n"
        "for before in ('', 'token=\"'):\n"
        "    redact(before + sys.argv[1] * (5 * 10**5 // len(sys.argv[1])))\n"
        "print('done')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, HOSTILE[name]],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "module_utils")},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (ended.stdout, ended.stderr) == ("done\n", "")
