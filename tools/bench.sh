#!/usr/bin/env bash
# Measures the native benchmark on this machine and makes the tables of docs/performance.md: bench.sh [PART...]
# Parts: speed machine queue start; without any, all. RECIPE=FILE.py puts the published recipe's arithmetic beside the engines.
# Runs in the image's builder stage: the product's Python, PyTorch, LoadGen and kernel, and g++, which peak.cpp needs.
set -euo pipefail
cd "$(dirname "$0")/.."

name=dlrm-bench-builder
# A CPU's results stand in a folder of its own, beside those of others: docs/bench/README.md.
name_cpu='import pathlib, rounds; print(rounds.cpu_name(pathlib.Path("/proc/cpuinfo").read_text()))'
results=docs/bench/$(PYTHONPATH=benchmark/bench python3 -c "$name_cpu" | tr -cs '[:alnum:]\n' '-')
scratch=$PWD/.cache/bench
mkdir -p "$results" "$scratch"
tools/build_benchmark_image.sh builder "$name"
commit=$(git describe --always --abbrev=40 --exclude='*' --dirty)

recipe=()
mounts=()
if [ -n "${RECIPE:-}" ]; then
    recipe=(--recipe /recipe.py)
    mounts=(--volume "$(realpath "$RECIPE"):/recipe.py:ro")
fi

failed=()
measure() { # result's name, script, its arguments... A run with too few quiet rounds is kept, but counts as failed.
    local result=$1 script=$2
    shift 2
    printf '\n== %s %s\n' "$script" "$*"
    docker run --rm --name "$name-$$" --user "$(id -u):$(id -g)" --read-only --network none --init \
        --cap-drop ALL --cap-add SYS_NICE --security-opt no-new-privileges \
        --tmpfs /tmp:exec,mode=1777 \
        --volume "$PWD/benchmark/bench:/bench:ro" --volume "$PWD/$results:/results" --volume "$scratch:/scratch" "${mounts[@]}" \
        --env TMPDIR=/scratch --env HOME=/tmp --env COMMIT="$commit" --env PYTHONDONTWRITEBYTECODE=1 \
        "$name" python3 "/bench/$script" --output "/results/$result.json" "$@" || failed+=("$result")
}

measure_speed() {
    for cap in 100000 1000000; do measure "speed_int8_$cap" speed.py --precision int8 --row-cap "$cap" "${recipe[@]}"; done
    for precision in fp32 bf16; do measure "speed_${precision}_100000" speed.py --precision "$precision" "${recipe[@]}"; done
}

measure_machine() { measure machine_int8 machine_speed.py "${recipe[@]}"; }

measure_queue() { measure queue_limit queue_limit.py; }

measure_start() { measure start_time start_time.py; }

parts=("$@")
if [ "${#parts[@]}" -eq 0 ]; then parts=(speed machine queue start); fi
for part in "${parts[@]}"; do "measure_$part"; done

python3 benchmark/bench/report.py
if [ "${#failed[@]}" -gt 0 ]; then
    printf '\nFewer than half of the rounds were quiet, or it failed: %s. Run again on a quiet machine.\n' "${failed[*]}" >&2
    exit 1
fi
