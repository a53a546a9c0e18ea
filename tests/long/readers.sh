#!/usr/bin/env bash
# Gives mutated files to the container's readers for an hour, inside its image (tools/container_tests.sh builds it).
set -euo pipefail
cd "$(dirname "$0")/../.."

tools/container_tests.sh --build-only
docker run --rm --name "dlrm-bench-fuzz-$$" --user 65532:65532 --read-only --network none --init \
    --cap-drop ALL --security-opt no-new-privileges --tmpfs /tmp:exec,mode=1777 \
    --volume "$PWD/benchmark/tests:/tests:ro" \
    dlrm-bench-test python3 /tests/fuzz.py --seconds "${FUZZ_SECONDS:-3600}"
