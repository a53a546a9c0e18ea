#!/usr/bin/env bash
# Says what is missing on this machine and on an inventory's hosts, and how to get it. Changes nothing.
# Usage: doctor.sh INVENTORY [arguments of ansible-playbook]. Exit code 1: something prevents a run.
set -euo pipefail
cd "$(dirname "$0")/.."

inventory=${1:?'doctor.sh: which inventory?'}
shift
venv=.venv
unfit=0

# Only "missing" prevents a run.
say() { printf '  %-7s %s\n' "$1" "$2"; }
missing() { say missing "$1"; unfit=1; }

check_python() {
    local python
    if python=$(tools/find_python.sh --find-only); then
        say ok "Python: $python"
    else
        say note "Python: no 3.11 to 3.13 with venv. make setup installs the distribution's, if it has one."
    fi
}

check_disk() {
    local free
    free=$(df --output=avail -BM . | tail -n 1 | tr -dc 0-9)
    if [ ! -e $venv/.complete ] && [ "$free" -lt 2048 ]; then
        missing "disk: $free MiB are free here, but the virtual environment needs 2048 MiB. Free some."
    else
        say ok "disk: $free MiB free here"
    fi
}

check_programs() {
    if command -v ssh >/dev/null; then
        say ok "ssh: $(command -v ssh)"
    else
        say note "ssh: none, so only this machine can be reached. Install it: apt-get install openssh-client, or dnf install openssh-clients."
    fi
    if docker version --format '{{.Server.Version}}' >/dev/null 2>&1; then
        say ok "container engine: answers here"
    else
        say note "container engine: none answers here. A run installs one on the hosts. make test needs one here: run tools/test_requirements.sh."
    fi
}

# Compares the versions in requirements.yml with those in the virtual environment.
check_collections() {
    local wanted line
    wanted=$($venv/bin/ansible-galaxy collection list 2>/dev/null | awk 'NF == 2 { print $1, $2 }')
    while read -r line; do
        if grep -qxF -- "$line" <<<"$wanted"; then
            say ok "collection: $line"
        else
            missing "collection: $line is missing. Remove $venv and run make setup."
        fi
    done < <(awk '$1 == "-" && $2 == "name:" { name = $3 } $1 == "version:" { print name, $2 }' requirements.yml)
}

echo "This machine:"
check_python
check_disk
check_programs
if [ ! -e $venv/.complete ] || [ requirements.txt -nt $venv/.complete ]; then
    say note "virtual environment: missing or older than requirements.txt. Run make setup, then run this again to check collections and hosts."
    exit "$unfit"
fi
say ok "virtual environment: $($venv/bin/ansible-playbook --version | sed -n 1p)"
check_collections

echo "Hosts of $inventory (their number is compared with forks):"
# Print only the summary, which the task 'Show it' prints, not each task. Without a summary, print the last lines.
if ! output=$(PATH="$PWD/$venv/bin:$PATH" ANSIBLE_CONFIG="$PWD/ansible.cfg" ANSIBLE_STDOUT_CALLBACK=default \
    "$venv/bin/ansible-playbook" playbooks/doctor.yml -i "$inventory" "$@" 2>&1); then
    unfit=1
fi
if grep -q '^TASK \[Show it\]' <<<"$output"; then
    sed -n '/^TASK \[Show it\]/,/^PLAY RECAP/p' <<<"$output" | sed -e '1d' -e '/^PLAY RECAP/d'
else
    tail -n 20 <<<"$output"
fi
exit "$unfit"
