#!/usr/bin/env bash
# Prints a Python 3.11-3.13 that can make a virtual environment; installs the distribution's if there is none.
# --find-only: installs nothing.
set -euo pipefail

usable() {
    command -v "$1" >/dev/null 2>&1 &&
        "$1" -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

find_usable() {
    local name
    for name in python3.12 python3.11 python3.13 python3 /usr/bin/python3; do
        if usable "$name"; then
            # The real path, because a version manager's shim may point to another Python later.
            "$name" -c 'import sys; print(sys.executable)'
            return 0
        fi
    done
    return 1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

install_distribution_python() {
    if command -v apt-get >/dev/null 2>&1; then
        as_root apt-get update -qq
        # On Debian 12 python3 is 3.11, on Ubuntu 24.04 it is 3.12.
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3 python3-venv
    elif command -v dnf >/dev/null 2>&1; then
        as_root dnf install -y -q python3.11
    else
        return 1
    fi
}

if find_usable; then exit 0; fi
if [ "${1:-}" = --find-only ]; then exit 1; fi
echo "No Python 3.11-3.13 with venv found; installing the distribution's." >&2
if install_distribution_python >&2 && find_usable; then exit 0; fi
cat >&2 <<'TXT'
dlrm-fleet's controller needs Python 3.11, 3.12 or 3.13 with the venv module. None could be installed from this distribution.
Debian 12, Ubuntu 24.04:   apt-get install python3 python3-venv
RHEL 9, Amazon Linux 2023: dnf install python3.11
Ubuntu 22.04:              apt-get install python3.11 python3.11-venv
Then run the same command again.
TXT
exit 1
