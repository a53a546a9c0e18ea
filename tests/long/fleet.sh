#!/usr/bin/env bash
# Faults of the storage node, the network and the disk during transfers, on SSH hosts made of containers: some ten minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."

export PYTHONPATH="$PWD/tests/plugins${PYTHONPATH:+:$PYTHONPATH}"
exec python -m pytest -p no_silent_skips tests/fleet/long_storage_faults.py "$@"
