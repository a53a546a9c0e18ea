"""The secret of a stage's source: URLs, headers or a remote's options, out of /dlrm/secret.json.

The file is mounted into the container of the stage that fetches the source, and into no other.
"""

from __future__ import annotations

import base64
import json
import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dlrm_bench.frame.errors import StageError
from dlrm_bench.frame.request import SCHEMA_VERSION

HIDDEN = "[redacted]"
#: The section of rclone's configuration for a remote without a name, such as :s3:bucket.
SECTION = "source"


@dataclass(frozen=True)
class Secrets:
    """`urls`: plain URL -> whole URL; `options`: of the remote; `hidden`: texts nothing shows.

    `headers`: scheme and host, as in https://data.example.com -> header -> value.
    """

    urls: Mapping[str, str] = field(default_factory=dict, repr=False)
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    hidden: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def read(cls, root: Path) -> Secrets:
        """Empty when the stage has none."""
        path = root / "secret.json"
        if not path.exists():
            return cls()
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            if document["schema_version"] != SCHEMA_VERSION:
                raise ValueError("schema_version")
            headers, hidden = document.get("headers", {}), tuple(document["hidden"])
            return cls(document["urls"], document["options"], headers, hidden)
        except (OSError, ValueError, KeyError, TypeError) as error:
            why = error.strerror if isinstance(error, OSError) else "its fields are not as wanted"
            remedy = "Use an image and a playbook of the same commit"
            raise StageError(f"cannot use '{path}'", str(why), remedy) from None

    def request(self, url: str) -> tuple[str, dict[str, str]]:
        """What to ask a server for, and the headers that a redirection must not carry on."""
        whole = self.urls.get(url, url)
        scheme, netloc, *_rest = urllib.parse.urlsplit(url)
        private = dict(self.headers.get(f"{scheme}://{netloc}".lower(), {}))
        userinfo, _, host = urllib.parse.urlsplit(whole).netloc.rpartition("@")
        if not userinfo:
            return whole, private
        address = whole.replace(f"{userinfo}@{host}", host, 1)
        coded = base64.b64encode(urllib.parse.unquote_to_bytes(userinfo)).decode()
        return address, {**private, "Authorization": f"Basic {coded}"}

    def remote(self, remote: str) -> tuple[str, str]:
        """The remote by its section's name, and rclone's configuration; empty without secrets."""
        if not self.options:
            return remote, ""
        unnamed = re.match(r":[a-z0-9]+", remote)
        section = SECTION if unnamed else remote.partition(":")[0]
        lines = [f"[{section}]", *(f"{name} = {value}" for name, value in self.options.items())]
        named = f"{section}{remote[unnamed.end() :]}" if unnamed else remote
        return named, "\n".join([*lines, ""])

    def hide(self, text: str) -> str:
        """The text without what is secret."""
        for value in self.hidden:
            text = text.replace(value, HIDDEN)
        return text
