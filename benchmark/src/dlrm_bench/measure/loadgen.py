"""LoadGen 5.1.1: its provenance, settings and one run.

LoadGen carries its own mlperf.conf. FromConfig may be called once a process (a second call logs
error_invalid_config), so all runs of a process share one TestSettings. Whatever else needs
FromConfig runs in a short-lived process.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import multiprocessing
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from dlrm_bench.frame.errors import StageError

NAME = "mlcommons-loadgen"
VERSION = "5.1.1"
SDIST_SHA256 = "4059adc2c3cf3655d605f90c510aaf49bf5017fba7c0d85501bc22a90794e4f9"
MLPERF_CONF_SHA256 = "8a24d01750c2a75c20e8cb8c6edc7d0fb27ab20b23b6a8972af267a3f4d6761d"
MLPERF_CONF_HEAD = b"# The format of this config file is 'key = value'."
SEEDS = {
    "qsl_rng_seed": 1780908523862526354,
    "sample_index_rng_seed": 14771362308971278857,
    "schedule_rng_seed": 18209322760996052031,
}
MODEL = "dlrm-v2"
#: Scenario in the request -> LoadGen's name of it.
SCENARIOS = {"offline": "Offline", "server": "Server"}
#: Written by the image's build: {"name", "version", "sdist_sha256"}; only tests move it.
BUILD_RECORD = Path(os.environ.get("DLRM_LOADGEN_RECORD", "/opt/dlrm/loadgen.json"))
#: From mlperf.conf for dlrm-v2 Offline: samples of the performance set, fewest samples issued.
OFFICIAL_PERFORMANCE_SAMPLES = 204_800
OFFICIAL_MIN_SAMPLES = 24_576
#: From mlperf.conf for dlrm-v2 Server: bound of the 99th percentile, fewest queries.
SERVER_LATENCY_SECONDS = 0.060
OFFICIAL_MIN_QUERIES = 270_336
#: LoadGen issues int(SLACK * target_qps * min_duration) samples in its one Offline query.
SLACK = 1.1
#: Seconds within which a short-lived process must answer.
ASK_SECONDS = 120
SUMMARY, DETAIL = "mlperf_log_summary.txt", "mlperf_log_detail.txt"
ACCURACY_LOG = "mlperf_log_accuracy.json"
LOGS = (SUMMARY, DETAIL, ACCURACY_LOG)
#: MLPerf's compliance test TEST01 for dlrm-v2: a performance run (mode 2) that logs the answers to
#: a random part of its query.
AUDIT_CONFIG = """*.*.mode = 2
*.*.accuracy_log_rng_seed = 720381539243781796
*.*.accuracy_log_sampling_target = 4096
"""
REBUILD = "Build the image again from this repository's benchmark/ folder"


@dataclass(frozen=True)
class Settings:
    """What user.conf says; None leaves the value of LoadGen's own mlperf.conf."""

    target_qps: float
    scenario: str = "Offline"
    min_duration_ms: int | None = None
    min_query_count: int | None = None
    performance_sample_count: int | None = None

    def user_conf(self) -> str:
        """Text of user.conf."""
        lines = [f"{MODEL}.{self.scenario}.target_qps = {self.target_qps!r}"]
        for key, value in (
            ("min_duration", self.min_duration_ms),
            ("min_query_count", self.min_query_count),
        ):
            if value is not None:
                lines.append(f"{MODEL}.{self.scenario}.{key} = {value}")
        if self.performance_sample_count is not None:
            count = self.performance_sample_count
            lines.append(f"{MODEL}.*.performance_sample_count_override = {count}")
        return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class SystemUnderTest:
    """Callbacks of one run; each is called by LoadGen on the thread that runs it."""

    samples: int
    load: Callable[[list[int]], None]
    unload: Callable[[list[int]], None]
    #: Gets response ids and sample indices of a query (Offline has one); answers with complete().
    issue: Callable[[list[int], list[int]], None]


class LoadGen:
    """This process's one configuration of LoadGen, for one run or several."""

    def __init__(self) -> None:
        self._settings: Any = None
        self._configured: Settings | None = None

    def run(
        self,
        sut: SystemUnderTest,
        settings: Settings,
        user_conf: Path,
        accuracy: bool,
        log_dir: Path,
        audit_config: Path | None = None,
    ) -> None:
        """Write user.conf and run LoadGen with it; it writes its logs into the empty `log_dir`.

        `audit_config`: where AUDIT_CONFIG is written, for LoadGen to obey. Runs after the first may
        differ in target_qps alone (ValueError). A callback must not raise: LoadGen's logger thread
        would lose its files.
        """
        import mlperf_loadgen as lg

        user_conf.write_text(settings.user_conf(), encoding="ascii")
        self._configure(settings, user_conf)
        self._settings.mode = lg.TestMode.AccuracyOnly if accuracy else lg.TestMode.PerformanceOnly
        logs = lg.LogSettings()
        logs.log_output.outdir = str(log_dir)
        logs.log_output.copy_summary_to_stdout = False
        logs.enable_trace = False
        performance_samples = self._settings.performance_sample_count_override or sut.samples
        fast_sut = lg.ConstructFastSUT(sut.issue, lambda: None)
        qsl = lg.ConstructQSL(sut.samples, performance_samples, sut.load, sut.unload)
        # An empty name makes LoadGen ignore an audit.config in the working directory.
        audit = ""
        if audit_config is not None:
            audit_config.write_text(AUDIT_CONFIG, encoding="ascii")
            audit = str(audit_config)
        lg.StartTestWithLogSettings(fast_sut, qsl, self._settings, logs, audit)
        lg.DestroyQSL(qsl)
        lg.DestroyFastSUT(fast_sut)

    def _configure(self, settings: Settings, user_conf: Path) -> None:
        import mlperf_loadgen as lg

        if self._configured is None:
            self._settings = lg.TestSettings()
            code = self._settings.FromConfig(str(user_conf), MODEL, settings.scenario)
            if code != 0:
                what = f"LoadGen cannot read its settings '{user_conf}'"
                raise StageError(what, f"FromConfig returned {code}", "Report this as a bug")
            self._settings.scenario = getattr(lg.TestScenario, settings.scenario)
            self._configured = settings
        elif replace(self._configured, target_qps=settings.target_qps) != settings:
            raise ValueError(
                f"only target_qps may change between runs: had {self._configured}, got {settings}"
            )
        if settings.scenario == "Server":
            self._settings.server_target_qps = settings.target_qps
        else:
            self._settings.offline_expected_qps = settings.target_qps


def summary_fields(summary: str) -> dict[str, str]:
    """mlperf_log_summary.txt as names and values."""
    parts = (line.partition(":") for line in summary.splitlines())
    return {name.strip(): value.strip() for name, _, value in parts}


def ended_too_soon(summary: str) -> bool:
    """Whether a performance run lasted less than min_duration, and nothing else is wrong with it.

    `summary`: text of mlperf_log_summary.txt (results.cc of LoadGen writes it).
    """
    return _missed(summary) == {"Min duration"}


def too_slow(summary: str) -> bool:
    """Whether a Server run missed its latency bound, and nothing else is wrong with it."""
    missed = _missed(summary)
    return bool(missed) and missed <= {"Performance constraints", "Early stopping"}


def _missed(summary: str) -> set[str]:
    """The conditions that an INVALID run did not satisfy; empty for other runs and after errors."""
    fields = summary_fields(summary)
    if fields.get("Result is") != "INVALID":
        return set()
    if "No errors encountered during test." not in summary:
        return set()
    end = " satisfied"
    return {n.removesuffix(end) for n, v in fields.items() if n.endswith(end) and v != "Yes"}


def complete(response_ids: list[int], addresses: list[int], sizes: list[int]) -> None:
    """Answer samples, each from an address and a size in bytes; LoadGen copies what it logs."""
    import mlperf_loadgen as lg

    lg.QuerySamplesComplete(
        [
            lg.QuerySampleResponse(*response)
            for response in zip(response_ids, addresses, sizes, strict=True)
        ]
    )


def performance_order(samples: int, settings: Settings, scratch: Path) -> list[int]:
    """The performance set in the order LoadGen will issue it, asked of LoadGen itself."""
    order: list[int] = _ask(_send_order, samples, settings, scratch)
    return order


def effective_seeds(scratch: Path) -> dict[str, int]:
    """The random seeds that FromConfig sets for this model with an empty user.conf."""
    conf = scratch / "empty.conf"
    conf.write_text("", encoding="ascii")
    seeds: dict[str, int] = _ask(_send_seeds, conf)
    return seeds


def _send_order(pipe: Connection, samples: int, settings: Settings, scratch: Path) -> None:
    def load(order: list[int]) -> None:
        pipe.send(list(order))
        # The order is known: without this exit LoadGen would issue the query.
        os._exit(0)

    log_dir = scratch / "order"
    log_dir.mkdir(exist_ok=True)
    nothing = SystemUnderTest(samples, load, lambda _: None, lambda _ids, _samples: None)
    LoadGen().run(nothing, settings, scratch / "order.conf", accuracy=False, log_dir=log_dir)


def _send_seeds(pipe: Connection, conf: Path) -> None:
    import mlperf_loadgen as lg

    settings = lg.TestSettings()
    settings.FromConfig(str(conf), MODEL, SCENARIOS["offline"])
    pipe.send({name: getattr(settings, name) for name in SEEDS})


def _ask(question: Callable[..., None], *args: Any) -> Any:
    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=question, args=(theirs, *args), daemon=True)
    process.start()
    theirs.close()
    try:
        if not ours.poll(ASK_SECONDS):
            raise EOFError
        return ours.recv()
    except EOFError:
        process.kill()
        process.join()
        raise StageError(
            "cannot read LoadGen's settings",
            f"the process that reads them ended with code {process.exitcode} and gave no answer",
            REBUILD,
        ) from None
    finally:
        ours.close()
        process.join(5)


def provenance(scratch: Path, record: Path = BUILD_RECORD) -> dict[str, Any]:
    """Version, hashes and random seeds of the installed LoadGen; verify() judges them."""
    import mlperf_loadgen as lg

    extension = Path(lg.__file__).read_bytes()
    start = extension.find(MLPERF_CONF_HEAD)
    conf = b"" if start < 0 else extension[start : extension.index(b"\0", start)]
    try:
        built = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        built = {}
    return {
        "name": NAME,
        "version": importlib.metadata.version(NAME),
        "sdist_sha256": built.get("sdist_sha256", "unknown"),
        "sdist_sha256_from": str(record),
        "provenance": "by hash",
        "extension": {
            "name": Path(lg.__file__).name,
            "sha256": hashlib.sha256(extension).hexdigest(),
        },
        "mlperf_conf_sha256": hashlib.sha256(conf).hexdigest() if conf else "unknown",
        "seeds": effective_seeds(scratch),
    }


def verify(found: dict[str, Any]) -> None:
    """StageError for any LoadGen but the pinned one; it names each difference."""
    wanted: dict[str, Any] = {
        "version": VERSION,
        "sdist_sha256": SDIST_SHA256,
        "mlperf_conf_sha256": MLPERF_CONF_SHA256,
        **{f"seed {name}": seed for name, seed in SEEDS.items()},
    }
    got = {**found, **{f"seed {name}": seed for name, seed in found["seeds"].items()}}
    wrong = [
        f"{name} is '{got.get(name)}', wanted '{value}'"
        for name, value in wanted.items()
        if got.get(name) != value
    ]
    if wrong:
        raise StageError("LoadGen's provenance cannot be verified", "; ".join(wrong), REBUILD)
