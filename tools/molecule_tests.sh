#!/usr/bin/env bash
# Runs every Molecule scenario, in two parallel lanes, against hosts that are made once.
set -euo pipefail
cd "$(dirname "$0")/.."

# These use the bare machines and the stand-in for a cloud. All others use the machine with a container engine, one after the other.
bare_lane=(dlrm_host dlrm_instances dlrm_schedule)
engine_lane=()
for file in molecule/*/molecule.yml; do
    scenario=$(basename "$(dirname "$file")")
    case " default ${bare_lane[*]} " in
        *" $scenario "*) ;;
        *) engine_lane+=("$scenario") ;;
    esac
done

# Molecule's notes of what is made and prepared, one folder for each lane, so that no lane skips what the other did.
notes=.cache/molecule-notes
rm -rf "$notes"
mkdir -p "$notes"

molecule_in() { # folder of notes, arguments...
    local folder=$1
    shift
    MOLECULE_EPHEMERAL_DIRECTORY=$PWD/$notes/$folder molecule "$@"
}

run_lane() { # folder of notes, scenarios...
    local folder=$1 scenarios=() scenario
    shift
    for scenario in "$@"; do scenarios+=(--scenario-name "$scenario"); done
    molecule_in "$folder" test --destroy=never "${scenarios[@]}" && return
    # After a failure Molecule cleans up only if it also destroys, but the other lane still needs the hosts.
    molecule_in "$folder" cleanup "${scenarios[@]}" || true
    return 1
}

remove_hosts() {
    # If this script is killed, the lane in the background must not continue against hosts that are gone.
    if [ -n "$bare" ]; then kill -- "-$bare" 2>/dev/null || true; fi
    molecule_in engine destroy --scenario-name default
}

bare=
trap remove_hosts EXIT
molecule_in engine create --scenario-name default
cp -r "$notes/engine" "$notes/bare"

# Job control gives the lane a process group of its own.
set -m
run_lane bare "${bare_lane[@]}" >"$notes/bare.log" 2>&1 &
bare=$!
set +m
failed=()
run_lane engine "${engine_lane[@]}" || failed+=("${engine_lane[*]}")
wait "$bare" || failed+=("${bare_lane[*]}")
bare=
cat "$notes/bare.log"
if [ "${#failed[@]}" -gt 0 ]; then
    printf 'Failed, among these scenarios: %s\n' "${failed[@]}" >&2
    exit 1
fi
