"""Downloads: several files at once, resumed where they ended, hashed while they arrive.

Below the folder: `files/` holds whole files whose md5 is right, `parts/` what has arrived of the
others, `marks/` the server's ETag of each part. Everything is kept when a stage ends while it
fetches, and the next attempt goes on there.
"""

from __future__ import annotations

import hashlib
import http.client
import re
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dlrm_bench.frame.errors import StageError, Unfinished
from dlrm_bench.frame.progress import PROGRESS_SECONDS
from dlrm_bench.frame.readable import PAGE_BYTES, PROBABLY, page
from dlrm_bench.frame.secrets import Secrets
from dlrm_bench.frame.status import StatusWriter

#: Attempts in a row that bring no byte; a connection that broke later than that is resumed.
ATTEMPTS = 5
TIMEOUT_SECONDS = 60
BLOCK_BYTES = 256 << 10
#: Files at once: enough to fill a link whose single connections are slow.
AT_ONCE = 8
_BUSY = (408, 416, 425, 429)
ACCESS = "Check the URL and who may read it; docs/inventories.md, 'How do I give a secret?'"


@dataclass(frozen=True)
class Wanted:
    """A file to fetch; `name`: its path below the folder."""

    url: str
    name: str
    md5: str


class _Broken(Exception):
    """The connection or the server failed; asking again may help."""


class _Part:
    """What has arrived of a file: its bytes on disk, their md5, and the ETag they belong to."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / "parts" / name
        self._mark = folder / "marks" / name
        for path in (self.path, self._mark):
            path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("r+b" if self.path.exists() else "w+b", buffering=0)
        self.mark = self._mark.read_text("ascii", "replace") if self._mark.exists() else ""
        self.md5 = hashlib.md5(usedforsecurity=False)
        self.bytes = 0
        while block := self._file.read(BLOCK_BYTES):
            self._count(block)

    def _count(self, block: bytes) -> None:
        self.md5.update(block)
        self.bytes += len(block)

    def begin(self, mark: str) -> None:
        """Drop what is there; what comes now belongs to `mark`."""
        self._file.seek(0)
        self._file.truncate()
        self.md5, self.bytes = hashlib.md5(usedforsecurity=False), 0
        self.mark = mark
        self._mark.write_text(mark, "ascii", "replace")

    def append(self, block: bytes) -> None:
        """Write at once: what was received is on disk if this process is killed."""
        left = memoryview(block)
        while left:
            left = left[self._file.write(left) :]
        self._count(block)

    def finish(self, target: Path) -> None:
        """Move the whole file to its place."""
        self.close()
        target.parent.mkdir(parents=True, exist_ok=True)
        self.path.replace(target)
        self._mark.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file; what arrived stays."""
        self._file.close()


class _Tally:
    """Progress over all files. Sizes that are not known yet are taken to be like the others."""

    def __init__(self, status: StatusWriter, files: int) -> None:
        self._status, self._files = status, files
        self._lock = threading.Lock()
        self._sizes: dict[str, int] = {}
        self._here: dict[str, int] = {}
        self._known = self._arrived = self._received = self._done = 0
        self._began = time.monotonic()
        self._said = 0.0

    def set(self, name: str, here: int, size: int, received: int = 0, done: bool = False) -> None:
        """`here` of `size` bytes (0: not known) of a file are on disk, `received` of them new."""
        with self._lock:
            self._arrived += here - self._here.get(name, 0)
            self._here[name] = here
            if size:
                self._known += size - self._sizes.get(name, 0)
                self._sizes[name] = size
            self._received += received
            self._done += done
            if done or time.monotonic() - self._said >= PROGRESS_SECONDS:
                self._say()

    def _say(self) -> None:
        self._said = time.monotonic()
        total = self._known * self._files / max(len(self._sizes), 1)
        rate = self._received / max(self._said - self._began, 1e-3)
        self._status.update(
            f"fetching, {self._done} of {self._files} files are here",
            100.0 * self._arrived / total if total else None,
            round(rate, 1),
            "bytes/s",
            round(max(total - self._arrived, 0.0) / rate, 1) if rate and total else None,
        )


class _Answer:
    """A server's answer, of which the first bytes may have been looked at."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self._answer, self._first = answer, b""
        self.headers, self.partial = answer.headers, answer.status == 206

    def first(self) -> bytes:
        """Its first bytes; read() gives them once more."""
        self._first = self.read(PAGE_BYTES, whole=True)
        return self._first

    def read(self, size: int, whole: bool = False) -> bytes:
        """Up to `size` bytes that have arrived; `whole`: waits for all. _Broken if it fails."""
        first, self._first = self._first, b""
        try:
            if whole:
                return first + self._answer.read(size - len(first))
            return first or self._answer.read1(size)
        except (OSError, http.client.HTTPException) as error:
            raise _Broken(str(error)) from None

    @property
    def start(self) -> int | None:
        """Where a partial answer begins; None where it does not say."""
        said = re.match(r"bytes (\d{1,18})-", self.headers.get("Content-Range", ""))
        return int(said[1]) if said else None

    @property
    def size(self) -> int:
        """Bytes that follow; 0 where it does not say."""
        said = self.headers.get("Content-Length", "")
        return int(said) if re.fullmatch(r"\d{1,18}", said) else 0

    @property
    def mark(self) -> str:
        """What If-Range may name: a strong ETag, else nothing."""
        etag = self.headers.get("ETag", "")
        return etag if re.fullmatch(r'"[!-~]{1,200}"', etag) else ""


class Downloads:
    """Fetches files into `<folder>/files`.

    Messages name the plain URL. What a server or a library says may hold the whole one.
    """

    def __init__(self, folder: Path, secrets: Secrets, status: StatusWriter) -> None:
        self.files = folder / "files"
        self._folder, self._secrets, self._status = folder, secrets, status
        self._stop = threading.Event()

    def fetch(self, wanted: Sequence[Wanted]) -> None:
        """All files, each with the wanted md5; StageError for the first that cannot be had."""
        self.files.mkdir(parents=True, exist_ok=True)
        names = {file.name for file in wanted}
        for path in list(self.files.rglob("*")):
            # The list changed since an attempt that did not end.
            if path.is_file() and str(path.relative_to(self.files)) not in names:
                path.unlink()
        tally = _Tally(self._status, len(wanted))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            running = [pool.submit(self._one, file, tally) for file in wanted]
            try:
                ended, _left = wait(running, return_when=FIRST_EXCEPTION)
                for one in ended:
                    one.result()
            finally:
                self._stop.set()
                pool.shutdown(cancel_futures=True)

    def small(self, url: str, most: int) -> bytes:
        """A document of at most `most` bytes."""
        content = b""
        for failed in self._attempts(url):
            try:
                with self._asked(url, {}) as answer:
                    content = answer.read(most + 1, whole=True)
                if len(content) < min(answer.size, most + 1):
                    raise _Broken(f"the connection ended after {len(content)} bytes")
                break
            except _Broken as error:
                failed.append(str(error))
        if len(content) > most:
            why = f"it has more than {most} bytes"
            raise StageError(f"cannot use '{url}'", why, "Check the URL")
        self._refuse_page(url, content)
        return content

    def _one(self, file: Wanted, tally: _Tally) -> None:
        target = self.files / file.name
        if target.is_file() and _md5(target) == file.md5:
            size = target.stat().st_size
            tally.set(file.name, size, size, done=True)
            return
        target.unlink(missing_ok=True)
        part = _Part(self._folder, file.name)
        try:
            self._complete(file, part, tally)
            part.finish(target)
        finally:
            part.close()
        tally.set(file.name, part.bytes, part.bytes, done=True)

    def _complete(self, file: Wanted, part: _Part, tally: _Tally) -> None:
        """Until the part is whole and right; a resumed one that is wrong is fetched once more."""
        if part.md5.hexdigest() == file.md5:
            return
        resumed = part.bytes > 0
        for failed in self._attempts(file.url):
            before = part.bytes
            try:
                self._continue(file, part, tally)
            except _Broken as error:
                if part.bytes > before:
                    failed.clear()
                failed.append(str(error))
                resumed = resumed or part.bytes > 0
                continue
            found = part.md5.hexdigest()
            if found == file.md5:
                return
            with part.path.open("rb") as first:
                self._refuse_page(file.url, first.read(PAGE_BYTES))
            if not resumed:
                why = f"its md5 is {found} ({part.bytes} bytes), wanted {file.md5}"
                part.begin("")
                remedy = "Correct the list or the file, then run again"
                raise Unfinished(f"cannot fetch '{file.url}'", why, remedy)
            resumed = False
            part.begin("")

    def _continue(self, file: Wanted, part: _Part, tally: _Tally) -> None:
        headers = {}
        if part.bytes:
            headers["Range"] = f"bytes={part.bytes}-"
            if part.mark:
                headers["If-Range"] = part.mark
        with self._asked(file.url, headers, part) as answer:
            if not answer.partial:
                part.begin(answer.mark)
            elif answer.start not in (None, part.bytes):
                part.begin("")
                raise _Broken("the server sent another part than was asked for")
            size = part.bytes + answer.size if answer.size else 0
            while block := answer.read(BLOCK_BYTES):
                part.append(block)
                tally.set(file.name, part.bytes, size, received=len(block))
                if self._stop.is_set():
                    raise Unfinished(f"cannot fetch '{file.url}'", "another file failed first")
        if size and part.bytes < size:
            raise _Broken(f"the connection ended after {part.bytes} of {size} bytes")

    def _attempts(self, url: str) -> Iterator[list[str]]:
        """The list of failures, again and again; Unfinished once it holds ATTEMPTS of them."""
        failed: list[str] = []
        while not self._stop.is_set():
            yield failed
            if len(failed) >= ATTEMPTS:
                why = self._secrets.hide(f"{failed[-1]} after {ATTEMPTS} attempts")
                remedy = "Check the host's network and run again; what has arrived is kept"
                raise Unfinished(f"cannot fetch '{url}'", why, remedy)
            self._stop.wait(2 ** len(failed) / 2 if failed else 0)
        raise Unfinished(f"cannot fetch '{url}'", "another file failed first")

    @contextmanager
    def _asked(
        self, url: str, headers: dict[str, str], part: _Part | None = None
    ) -> Iterator[_Answer]:
        """The answer to a GET, no page; _Broken when asking again may help."""
        if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
            why = "it is neither http nor https"
            raise StageError(f"cannot fetch '{url}'", why, "Correct the list")
        address, private = self._secrets.request(url)
        request = urllib.request.Request(address, headers=headers)
        for name, value in private.items():
            # Not sent on to the host that a redirection names.
            request.add_unredirected_header(name, value)
        try:
            answer = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
        except urllib.error.HTTPError as error:
            if error.code == 416 and part is not None:
                # Nothing is left to fetch, or the part is longer than the file: its md5 tells.
                part.begin("")
            said = f"HTTP {error.code} {error.reason}"
            if error.code >= 500 or error.code in _BUSY:
                raise _Broken(said) from None
            remedy = ACCESS
            if url in self._secrets.urls:
                remedy = "Check the URL, and whether the signature in its secret file is valid"
            raise Unfinished(f"cannot fetch '{url}'", self._secrets.hide(said), remedy) from None
        except (OSError, http.client.HTTPException) as error:
            raise _Broken(str(error)) from None
        with answer:
            said_to_be_html = answer.headers.get_content_type() == "text/html"
            asked = _Answer(answer)
            if said_to_be_html:
                # Looked at before it takes the place of what has arrived.
                self._refuse_page(url, asked.first())
            yield asked

    def _refuse_page(self, url: str, first: bytes) -> None:
        found = page(first[:PAGE_BYTES])
        if found:
            why = self._secrets.hide(f"the server sent {found}, {PROBABLY}, not the file")
            raise Unfinished(f"cannot fetch '{url}'", why, ACCESS)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()
