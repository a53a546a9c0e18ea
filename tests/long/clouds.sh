#!/usr/bin/env bash
# 500 random sequences of commands and faults against the stand-ins of the clouds: no orphan, no twin. Then the whole command against AWS's
# stand-in whose machine is an SSH host, its controller killed in the midst.
set -euo pipefail
cd "$(dirname "$0")/../.."

export DLRM_FAULT_SEQUENCES=${DLRM_FAULT_SEQUENCES:-500}
export PYTHONPATH="$PWD/tests/plugins${PYTHONPATH:+:$PYTHONPATH}"
python -m pytest -p no_silent_skips tests/clouds/test_random_faults.py tests/clouds/long_full_run.py
