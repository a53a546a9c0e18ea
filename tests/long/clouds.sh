#!/usr/bin/env bash
# Runs 500 random sequences of commands and faults against the stand-ins of the clouds: no orphan, no twin. Then a machine of AWS's
# stand-in outlives its controller and ends at its TTL, and one is released while another still measures.
set -euo pipefail
cd "$(dirname "$0")/../.."

export DLRM_FAULT_SEQUENCES=${DLRM_FAULT_SEQUENCES:-500}
export PYTHONPATH="$PWD/tests/plugins${PYTHONPATH:+:$PYTHONPATH}"
exec python -m pytest -p no_silent_skips tests/clouds/test_random_faults.py tests/clouds/long_ttl.py tests/clouds/long_early_release.py "$@"
