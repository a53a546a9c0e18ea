"""Writes status.json, the progress of a running stage (docs/contracts/status.schema.json)."""

from __future__ import annotations

import json
import logging
import threading
import time
from pathlib import Path
from typing import Any

from dlrm_bench.frame.request import SCHEMA_VERSION, Request, now

HEARTBEAT_SECONDS = 5.0
THROTTLE_SECONDS = 1.0
LOG = logging.getLogger("dlrm_bench")


class StatusWriter:
    """Keeps attempts/<n>/status.json current; safe to call from any thread."""

    def __init__(self, path: Path, request: Request) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._written = 0.0
        self._document: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "stage": request.stage,
            "key": request.key,
            "attempt": request.attempt,
            "state": "running",
            "phase": "starting",
            "percent": None,
            "rate": None,
            "unit": None,
            "eta_seconds": None,
            "message": "",
            "started_at": now(),
            "updated_at": now(),
            "deadline": request.deadline,
        }
        self._thread = threading.Thread(target=self._heartbeat, name="status", daemon=True)

    @property
    def started_at(self) -> str:
        """When this attempt began."""
        return str(self._document["started_at"])

    def start(self) -> None:
        """Write the first status and keep its time fresh from now on."""
        with self._lock:
            self._write()
        self._thread.start()

    def update(
        self,
        phase: str,
        percent: float | None = None,
        rate: float | None = None,
        unit: str | None = None,
        eta_seconds: float | None = None,
    ) -> None:
        """Record progress; written at once when the phase changes, else at most once a second."""
        with self._lock:
            if self._document["state"] != "running":
                return
            new_phase = phase != self._document["phase"]
            if new_phase:
                LOG.info("%s", phase)
            shown = None if percent is None else round(min(max(percent, 0.0), 100.0), 1)
            self._document.update(
                phase=phase, percent=shown, rate=rate, unit=unit, eta_seconds=eta_seconds
            )
            if new_phase or time.monotonic() - self._written >= THROTTLE_SECONDS:
                self._write()

    def finish(self) -> None:
        """Write the last status of an attempt that succeeded."""
        self._end("finished", "")

    def fail(self, message: str) -> None:
        """Write the last status of an attempt that failed; an attempt ends only once."""
        self._end("failed", message)

    def _end(self, state: str, message: str) -> None:
        with self._lock:
            if self._document["state"] == "running":
                self._document.update(state=state, message=message)
                if message:
                    LOG.error("%s: %s", state, message)
                self._write()
        self._stop.set()

    def _heartbeat(self) -> None:
        while not self._stop.wait(HEARTBEAT_SECONDS):
            with self._lock:
                self._write()

    def _write(self) -> None:
        self._document["updated_at"] = now()
        temporary = self._path.with_name(self._path.name + ".new")
        try:
            temporary.write_text(json.dumps(self._document, indent=1) + "\n", encoding="utf-8")
            temporary.replace(self._path)
        except OSError as error:  # A full disk must not end a stage that may still free it.
            LOG.warning("cannot write '%s': %s", self._path, error)
        self._written = time.monotonic()
