"""When OpenVINO is the engine, and what it refuses; its answers: test_float_engines.py."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from conftest import Pipeline
from dlrm_bench.engines import choice as engines, openvino as openvino_engine
from dlrm_bench.frame.errors import StageError
from dlrm_bench.network.dlrm import MULTI_HOT, row_counts

ROWS = row_counts(3000)
PYTORCHS = {"fp32": engines.Fp32Engine, "bf16": engines.Bf16Engine}
Load = Callable[[str], Any]


@pytest.fixture
def load(demo: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Load:
    """The engine that a precision gets on a CPU with all that is asked for."""
    dump = demo.stages["dump"].output / "dlrm-multihot-pytorch.pt"
    for precision in PYTORCHS:
        monkeypatch.delenv(engines.force(precision), raising=False)
    for part in ("_is_avx512_supported", "_is_avx512_bf16_supported"):
        monkeypatch.setattr(torch.cpu, part, lambda: True)
    return lambda precision: engines.load_engine(precision, dump, ROWS)


def needs(precision: str) -> None:
    """Skip where the CPU itself lacks what OpenVINO is chosen for."""
    why = openvino_engine.why_not(precision)
    if why:
        pytest.skip(why)


@pytest.mark.parametrize("precision", PYTORCHS)
def test_it_is_the_engine_where_it_is_tried(
    precision: str, demo: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    needs(precision)
    dump = demo.stages["dump"].output / "dlrm-multihot-pytorch.pt"
    engine: Any = engines.load_engine(precision, dump, ROWS)
    version = importlib.metadata.version("openvino")
    assert engine.name == f"OpenVinoEngine {precision} {version}"
    assert not caplog.text


@pytest.mark.parametrize("precision", PYTORCHS)
def test_pytorch_runs_where_it_is_untried(
    precision: str, load: Load, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_supported", lambda: False)
    assert type(load(precision)) is PYTORCHS[precision]
    assert f"{precision} is not computed by openvino: it is tried on x86-64" in caplog.text


@pytest.mark.parametrize("precision", PYTORCHS)
def test_pytorch_runs_where_it_is_not_installed(
    precision: str, load: Load, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def missing() -> Any:
        raise ImportError("no module of that name")

    monkeypatch.setattr(openvino_engine, "_openvino", missing)
    assert type(load(precision)) is PYTORCHS[precision]
    assert "it is not installed here (no module of that name)" in caplog.text


def test_pytorch_runs_bf16_where_the_cpu_has_no_such_products(
    load: Load, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    assert type(load("bf16")) is engines.Bf16Engine
    assert "this CPU has no bfloat16 products" in caplog.text
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    core = SimpleNamespace(get_property=lambda *_: ["FP32", "INT8"])
    monkeypatch.setattr(openvino_engine, "_openvino", lambda: SimpleNamespace(Core=lambda: core))
    assert type(load("bf16")) is engines.Bf16Engine


def test_bf16_is_never_fp32_in_silence(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    openvino = openvino_engine._openvino()

    def compile_in_fp32(model: Any, device: str, settings: dict[str, Any]) -> Any:
        return openvino.Core().compile_model(
            model, device, {**settings, "INFERENCE_PRECISION_HINT": "f32"}
        )

    parts = {name: getattr(openvino, name) for name in ("opset15", "Model", "get_version")}
    core = SimpleNamespace(compile_model=compile_in_fp32, get_property=openvino.Core().get_property)
    other = SimpleNamespace(**parts, Core=lambda: core, Tensor=openvino.Tensor)
    monkeypatch.setattr(openvino_engine, "_openvino", lambda: other)
    monkeypatch.setenv(engines.force("bf16"), engines.OPENVINO)
    with pytest.raises(StageError, match=r"bf16 by OpenVINO .*it would compute in f32"):
        load("bf16")


@pytest.mark.parametrize("precision", PYTORCHS)
def test_an_engine_can_be_forced_but_not_one_that_is_missing(
    precision: str, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(engines.force(precision), engines.PYTORCH)
    assert type(load(precision)) is PYTORCHS[precision]
    monkeypatch.setenv(engines.force(precision), "vnni")
    with pytest.raises(StageError, match=f"there is no {precision} engine 'vnni'"):
        load(precision)


@pytest.mark.parametrize("precision", PYTORCHS)
@pytest.mark.parametrize("batch", [100, 512, 2048])
def test_another_best_batch_gives_the_same_bits(precision: str, batch: int, demo: Pipeline) -> None:
    needs(precision)
    dump = demo.stages["dump"].output / "dlrm-multihot-pytorch.pt"
    rng = np.random.default_rng(batch)
    dense = rng.normal(3, 1, (2300, 13)).astype(np.float32)
    ids = rng.integers(0, 2**31, (2300, 214)) % np.repeat(ROWS, MULTI_HOT)
    first, other = (
        openvino_engine.OpenVinoEngine(dump, ROWS, precision, size).forward(dense, ids)
        for size in (openvino_engine.BATCH, batch)
    )
    assert np.array_equal(first, other)


def test_what_would_report_its_use_is_absent() -> None:
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.distribution("openvino-telemetry")


def test_what_would_report_its_use_is_not_imported(tmp_path: Path) -> None:
    (tmp_path / "openvino_telemetry.py").write_text("raise SystemExit('imported')\n")
    code = "from dlrm_bench.engines.openvino import _openvino; print(_openvino().get_version())"
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
