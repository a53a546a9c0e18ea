#!/usr/bin/env bash
# Tries every fault in every phase, then 200 runs with a random process killed. Writes each outcome into docs/faults.jsonl, and
# docs/faults.md at the end. Takes hours. To run it in parts: DLRM_FAULTS_ONLY, DLRM_FAULTS_SEED and DLRM_FAULTS_RANDOM (docs/testing.md).
set -euo pipefail
cd "$(dirname "$0")/../.."
export PYTHONPATH="$PWD/tests/plugins${PYTHONPATH:+:$PYTHONPATH}"
export DLRM_FAULTS_EVERY_PHASE=1 DLRM_FAULTS_LEDGER=1 DLRM_FAULTS_RANDOM="${DLRM_FAULTS_RANDOM:-200}"
exec python -m pytest -p no_silent_skips tests/faults/matrix "$@"
