"""Reads day 23 of the click log in MLCommons' layout, block of rows by block of rows.

day_23_dense.npy float32 [n, 13], day_23_labels.npy int32 [n, 1] and day_23_sparse_multi_hot.npz, a
stored zip of 0.npy..25.npy int32 [n, hot]. At full size 163 GB: nothing is ever loaded whole.
"""

from __future__ import annotations

import os
import struct
import threading
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np

from dlrm_bench.frame.errors import StageError
from dlrm_bench.frame.readable import require_file
from dlrm_bench.network.arrays import Array
from dlrm_bench.network.dlrm import DENSE_FEATURES, ID_COLUMNS, IDS, MULTI_HOT, TABLES

DENSE_FILE = "day_23_dense.npy"
LABELS_FILE = "day_23_labels.npy"
SPARSE_FILE = "day_23_sparse_multi_hot.npz"
FILES = (DENSE_FILE, LABELS_FILE, SPARSE_FILE)
LAYOUT = "Bring the files as MLCommons preprocesses them"
REFETCH = "Fetch or write the file again"
LOCAL_HEADER = struct.Struct("<4s5H3L2H")
CHECKSUM_BLOCK_BYTES = 4 << 20
MOST_CHECKERS = 4


class Rows:
    """An .npy array in a file (or in a stored zip member), read forward in row blocks."""

    def __init__(self, path: Path, name: str, start: int, end: int, dtype: str, width: int) -> None:
        self.name, self._end, self._width = name, end, width
        self._file: BinaryIO = path.open("rb")
        self._file.seek(start)
        self.crc = 0
        what = f"'{name}' cannot be used"
        shape, fortran, found = _npy_header(self._file, what)
        wanted = np.dtype(dtype)
        if found != wanted:
            raise StageError(what, f"its dtype is {found}, wanted {wanted}", LAYOUT)
        if len(shape) != 2 or shape[1] != width or shape[0] < 0:
            raise StageError(what, f"its shape is {list(shape)}, wanted [rows, {width}]", LAYOUT)
        if fortran:
            raise StageError(what, "it is stored column by column, wanted row by row", LAYOUT)
        self.rows: int = shape[0]
        self._dtype = wanted
        self._row_bytes = width * wanted.itemsize
        data = self._file.tell()
        size = data + self.rows * self._row_bytes
        if size > end:
            why = f"it ends after {(end - data) // self._row_bytes} of {self.rows} rows"
            raise StageError(what, why, REFETCH)
        if size < end:
            why = f"{end - size} bytes follow its {self.rows} rows"
            raise StageError(what, why, REFETCH)
        self._file.seek(start)
        self.crc = zlib.crc32(self._file.read(data - start))

    def read(self, into: Array) -> Array:
        """Fill `into` with the next rows; it is contiguous [rows, width] of the file's dtype."""
        self._fill(into.data.cast("B"))
        return into

    def _fill(self, raw: memoryview) -> None:
        if self._file.readinto(raw) != len(raw):  # type: ignore[attr-defined]
            raise StageError(f"'{self.name}' cannot be used", "it ended while being read", REFETCH)
        self.crc = zlib.crc32(raw, self.crc)

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return self._end - self._file.tell()

    def check(self, crc: int, read: Callable[[int], None]) -> None:
        """Read the rest, compare the whole member's CRC-32 with `crc`; `read` gets byte counts."""
        buffer = memoryview(bytearray(min(self.left, CHECKSUM_BLOCK_BYTES)))
        while self.left:
            raw = buffer[: self.left]
            self._fill(raw)
            read(len(raw))
        if self.crc != crc:
            what = f"'{self.name}' is damaged"
            raise StageError(what, "its contents do not match the zip's CRC-32", REFETCH)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _npy_header(file: BinaryIO, what: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, Fortran order and dtype; the file then stands where the data begins."""
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0
        if version != (1, 0):
            read = np.lib.format.read_array_header_2_0
        shape, fortran, found = read(file)
    # The header is a Python literal, which can be malformed in all these ways.
    except (
        ValueError,
        SyntaxError,
        tokenize.TokenError,
        TypeError,
        OverflowError,
        RecursionError,
    ) as error:
        raise StageError(what, f"it is not an .npy array ({error})", REFETCH) from error
    return shape, fortran, found


@dataclass(frozen=True)
class Block:
    """Consecutive rows: dense [n, 13] float32; int32 [n, 215], the label, then the ids."""

    first: int
    dense: Array
    label_sparse: Array

    @property
    def labels(self) -> Array:
        """View [n]."""
        view: Array = self.label_sparse[:, 0]
        return view

    @property
    def ids(self) -> Array:
        """View [n, 214]."""
        view: Array = self.label_sparse[:, 1:]
        return view


class DayFiles:
    """The three files, headers checked against each other."""

    def __init__(self, folder: Path) -> None:
        for name in FILES:
            require_file(folder / name, LAYOUT)
        path = folder / DENSE_FILE
        size = path.stat().st_size
        self._dense = Rows(path, DENSE_FILE, 0, size, "<f4", DENSE_FEATURES)
        path = folder / LABELS_FILE
        self._labels = Rows(path, LABELS_FILE, 0, path.stat().st_size, "<i4", 1)
        self._members = _members(folder / SPARSE_FILE)
        self.rows = self._dense.rows
        for part in (self._labels, *(rows for rows, _ in self._members)):
            if part.rows != self.rows:
                why = f"it has {part.rows} rows, '{DENSE_FILE}' has {self.rows}"
                raise StageError(f"'{part.name}' cannot be used", why, LAYOUT)
        if self.rows < 2:
            why = f"it has {self.rows} rows, wanted at least 2 (one to score, one to calibrate)"
            raise StageError(f"'{DENSE_FILE}' cannot be used", why, "Bring more rows")

    def blocks(self, stop: int, block_rows: int) -> Iterator[Block]:
        """Rows 0..stop in order; the arrays are only valid until the next block.

        A thread reads one block ahead: reading takes about as long as the caller's work on a block.
        """
        buffers = [
            Block(0, np.empty((block_rows, DENSE_FEATURES), np.float32), ids)
            for ids in np.empty((2, block_rows, 1 + IDS), np.int32)
        ]
        columns = [np.empty((block_rows, width), np.int32) for width in (1, *MULTI_HOT)]
        spans = [(first, min(block_rows, stop - first)) for first in range(0, stop, block_rows)]
        with ThreadPoolExecutor(1) as reader:
            ahead = reader.submit(self._read, *spans[0], columns, buffers[0]) if spans else None
            for following in range(1, len(spans) + 1):
                assert ahead is not None
                block = ahead.result()
                if following < len(spans):
                    into = buffers[following % 2]
                    ahead = reader.submit(self._read, *spans[following], columns, into)
                yield block

    def _read(self, first: int, count: int, columns: list[Array], into: Block) -> Block:
        block = Block(first, into.dense[:count], into.label_sparse[:count])
        parts = [self._labels, *(member for member, _ in self._members)]
        self._dense.read(block.dense)
        read = [part.read(own[:count]) for part, own in zip(parts, columns, strict=True)]
        np.concatenate(read, 1, out=block.label_sparse)
        _check_values(first, block.dense, read[0][:, 0])
        return block

    @property
    def left(self) -> int:
        """Bytes of the zip's members that blocks() did not read."""
        return sum(member.left for member, _ in self._members)

    def finish(self, read: Callable[[int], None]) -> None:
        """Read all members to their ends, check their CRC-32, close; `read` gets byte counts."""
        lock = threading.Lock()

        def tell(amount: int) -> None:
            with lock:
                read(amount)

        threads = min(MOST_CHECKERS, len(os.sched_getaffinity(0)))
        with ThreadPoolExecutor(threads) as pool:
            checks = [pool.submit(member.check, crc, tell) for member, crc in self._members]
        for check in checks:
            check.result()
        for rows in (self._dense, self._labels, *(member for member, _ in self._members)):
            rows.close()


def _members(path: Path) -> list[tuple[Rows, int]]:
    """The 26 arrays inside the zip, each with its CRC-32."""
    what = f"'{path}' cannot be used"
    try:
        with zipfile.ZipFile(path) as archive:
            listed = {info.filename: info for info in archive.infolist()}
    # A damaged directory makes zipfile raise any of these.
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error) as error:
        raise StageError(what, f"it is not a whole zip file ({error})", REFETCH) from error
    members = []
    for table in range(TABLES):
        name = f"{table}.npy"
        info = listed.get(name)
        if info is None:
            raise StageError(what, f"it has no member '{name}'", LAYOUT)
        if info.compress_type != zipfile.ZIP_STORED:
            remedy = "Write it with numpy.savez, which does not compress"
            raise StageError(what, f"its member '{name}' is compressed", remedy)
        start = _data_start(path, info)
        shown = f"{path.name}:{name}"
        end = start + info.file_size
        members.append((Rows(path, shown, start, end, "<i4", MULTI_HOT[table]), info.CRC))
    return members


def _data_start(path: Path, info: zipfile.ZipInfo) -> int:
    """Byte where a stored member's data begins, behind its local header of variable length."""
    with path.open("rb") as file:
        # A damaged directory may point before the file's first byte.
        file.seek(max(info.header_offset, 0))
        header = file.read(LOCAL_HEADER.size)
    if info.header_offset < 0 or len(header) != LOCAL_HEADER.size or header[:4] != b"PK\x03\x04":
        why = f"its member '{info.filename}' has no header at byte {info.header_offset}"
        raise StageError(f"'{path}' cannot be used", why, REFETCH)
    *_, name_length, extra_length = LOCAL_HEADER.unpack(header)
    return int(info.header_offset + LOCAL_HEADER.size + name_length + extra_length)


def _check_values(first: int, dense: Array, labels: Array) -> None:
    bad = np.argwhere(~np.isfinite(dense))
    if bad.size:
        row, column = bad[0]
        why = f"row {first + row}, column {column} is {dense[row, column]}, wanted a finite number"
        raise StageError(f"'{DENSE_FILE}' cannot be used", why, REFETCH)
    wrong = np.flatnonzero((labels != 0) & (labels != 1))
    if wrong.size:
        why = f"row {first + wrong[0]} is {labels[wrong[0]]}, wanted 0 or 1"
        raise StageError(f"'{LABELS_FILE}' cannot be used", why, REFETCH)


def check_ids(
    first: int, ids: Array, limits: Array, official: bool, file: str = SPARSE_FILE
) -> None:
    """StageError for an id beyond its table; a demo refuses only negative ids.

    `first`: number of the first row; `ids`: int32 [n, 214]; `limits`: int32 [214], rows of the
    table of each column.
    """
    if not len(ids):
        return
    # Seen as unsigned, a negative id is above every limit: one pass finds both.
    unsigned = ids.view(np.uint32)
    ends = limits.astype(np.uint32) if official else np.full(len(limits), 1 << 31, np.uint32)
    if (unsigned.max(0) < ends).all():
        return
    row, column = np.argwhere(unsigned >= ends)[0]
    table = int(np.searchsorted(ID_COLUMNS, column, side="right")) - 1
    wanted = f"wanted 0..{limits[column] - 1}" if official else "wanted 0 or more"
    why = f"row {first + row} of member '{table}.npy' has id {ids[row, column]}, {wanted}"
    if file != SPARSE_FILE:
        why = why.replace(f"member '{table}.npy'", f"table {table}")
    raise StageError(f"'{file}' cannot be used", why, REFETCH)


class DaySource(Protocol):
    """Makes blocks of `rows` rows."""

    def dense(self, block: int, rows: int) -> Array:
        """float32 [rows, 13]"""

    def labels(self, block: int, rows: int) -> Array:
        """int32 [rows, 1]"""

    def ids(self, table: int, block: int, rows: int) -> Array:
        """int32 [rows, hot]"""


def write_day_files(folder: Path, rows: int, block_rows: int, source: DaySource) -> None:
    """Write the three files of `rows` rows, as `source` makes them block by block."""
    spans = [
        (block, min(block_rows, rows - first))
        for block, first in enumerate(range(0, rows, block_rows))
    ]

    def put(file: Any, dtype: str, width: int, blocks: Iterator[Array]) -> None:
        header = {"descr": dtype, "fortran_order": False, "shape": (rows, width)}
        np.lib.format.write_array_header_1_0(file, header)
        for values in blocks:
            file.write(np.ascontiguousarray(values, dtype).data)

    with (folder / DENSE_FILE).open("wb") as file:
        put(file, "<f4", DENSE_FEATURES, (source.dense(b, n) for b, n in spans))
    with (folder / LABELS_FILE).open("wb") as file:
        put(file, "<i4", 1, (source.labels(b, n) for b, n in spans))
    with zipfile.ZipFile(folder / SPARSE_FILE, "w", zipfile.ZIP_STORED) as archive:
        for table, hot in enumerate(MULTI_HOT):
            info = zipfile.ZipInfo(f"{table}.npy")
            with archive.open(info, "w", force_zip64=True) as member:
                put(member, "<i4", hot, (source.ids(table, b, n) for b, n in spans))
