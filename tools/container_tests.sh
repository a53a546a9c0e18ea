#!/usr/bin/env bash
# Builds the image's `test` target from benchmark/ and runs benchmark/tests inside it, with the rights of the product's containers.
set -euo pipefail
cd "$(dirname "$0")/.."

name=dlrm-bench-test
tools/build_benchmark_image.sh test "$name"
if [ "${1:-}" = --build-only ]; then exit 0; fi

# --rootdir / gives the tests the names that tests/skips.toml uses. Output goes to a tmpfs, so the tests write nothing on this machine.
run_tests() { # pytest's arguments...
    docker run --rm --name "$name-$$" --user 65532:65532 --read-only --network none --init \
        --cap-drop ALL --cap-add SYS_NICE --security-opt no-new-privileges \
        --tmpfs /tmp:exec,mode=1777 --shm-size 256m \
        --volume "$PWD/benchmark/tests:/tests:ro" --volume "$PWD/tests/plugins:/plugins:ro" \
        --volume "$PWD/tests/skips.toml:/skips.toml:ro" \
        --env PYTHONPATH=/plugins --env DLRM_SKIPS=/skips.toml \
        "$name" pytest --rootdir / --confcutdir /tests -p no:cacheprovider -p no_silent_skips --strict-markers --durations=20 --durations-min=0.5 "$@" /tests
}

run_tests -m 'not measures' --numprocesses 2 --dist loadfile
run_tests -m measures
