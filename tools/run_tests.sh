#!/usr/bin/env bash
# Runs the whole suite or the named parts: lint unit container end_to_end clouds molecule fleet faults. Prints how long each took.
set -euo pipefail
cd "$(dirname "$0")/.."

pytest_here() {
    python -m pytest -p no_silent_skips "$@"
}

run_lint() {
    tools/lint.sh
}

run_unit() {
    pytest_here --numprocesses 2 --dist loadfile tests/unit tests/contract tests/hostile tests/inventories
}

# The container's own tests run inside its image, with its Python, PyTorch and LoadGen.
run_container() {
    tools/container_tests.sh
}

run_molecule() {
    tools/molecule_tests.sh
}

run_end_to_end() {
    pytest_here tests/end_to_end
}

# Each fault in one phase, on SSH hosts made of containers. tests/long/faults.sh has every phase, and kills at random.
run_faults() {
    pytest_here --ignore tests/faults/matrix/test_random.py tests/faults
}

# The clouds' state machine against servers that speak AWS's and Google's protocols, and the whole command on a machine of AWS's
# stand-in. tests/long/clouds.sh has more sequences.
run_clouds() {
    pytest_here tests/clouds
}

# SSH hosts and a storage node made of containers: keys, transfers, visits.
run_fleet() {
    pytest_here tests/fleet
}

tools/test_requirements.sh
export PYTHONPATH="$PWD/tests/plugins${PYTHONPATH:+:$PYTHONPATH}"

# The demo's hosts need 10 GiB free, and a first run leaves up to 12 GiB of images, volumes and files on the same disk.
say_if_disk_is_short() {
    local folder free
    folder=$(docker info --format '{{.DockerRootDir}}')
    free=$(df --output=avail --block-size=1G "$folder" | tail -n 1 | tr -d ' ')
    if [ "$free" -lt 22 ]; then
        echo "The whole suite needs about 22 GiB free at $folder, which has $free GiB. Free some if a test says that its disk is short."
    fi
}

parts=("$@")
if [ "${#parts[@]}" -eq 0 ]; then
    say_if_disk_is_short
    parts=(lint unit container end_to_end clouds molecule fleet faults)
fi

report=()
for part in "${parts[@]}"; do
    printf '\n=== %s ===\n' "$part"
    started=$SECONDS
    "run_$part"
    report+=("$part $((SECONDS - started)) s")
done
printf '\nPassed: %s\n' "$(IFS=,; echo "${report[*]}")"
