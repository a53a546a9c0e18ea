#!/usr/bin/env bash
# Builds the image's `test` target from benchmark/ and runs benchmark/tests inside it, as the product's containers run.
set -euo pipefail
cd "$(dirname "$0")/.."

name=dlrm-bench-test
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT

cp -r benchmark/. "$context"
rm -rf "$context/tests"
# The same surroundings as roles/dlrm_image gives a build: the machine's CA bundle, wheels that no index serves.
if [ -n "${PIP_CERT:-}" ]; then cp "$PIP_CERT" "$context/ca/ca.crt"; fi
if [ -d "${PIP_FIND_LINKS:-}" ]; then
    find "$PIP_FIND_LINKS" -maxdepth 1 -name '*.whl' -exec cp -t "$context/wheels" {} +
fi

arguments=()
archive=.cache/base-image-$(uname -m).tar
if [ -s "$archive" ]; then
    base=$(docker load --input "$archive" | sed -n 's/^Loaded image: //p')
    arguments+=(--build-arg "BASE=$base")
fi

DOCKER_BUILDKIT=0 docker build --quiet --target test --tag "$name" "${arguments[@]}" "$context" >/dev/null
if [ "${1:-}" = --build-only ]; then exit 0; fi

# Output goes through a volume-less tmpfs: the tests write nothing on this machine.
run_tests() { # pytest's arguments...
    docker run --rm --name "$name-$$" --user 65532:65532 --read-only --network none --init \
        --cap-drop ALL --cap-add SYS_NICE --security-opt no-new-privileges \
        --tmpfs /tmp:exec,mode=1777 --shm-size 256m \
        --volume "$PWD/benchmark/tests:/tests:ro" --volume "$PWD/tests/plugins:/plugins:ro" \
        --volume "$PWD/tests/skips.toml:/skips.toml:ro" \
        --env PYTHONPATH=/plugins --env DLRM_SKIPS=/skips.toml \
        "$name" pytest -p no:cacheprovider -p no_silent_skips --strict-markers --durations=20 --durations-min=0.5 "$@" /tests
}

run_tests -m 'not measures' --numprocesses 2 --dist loadfile
run_tests -m measures
