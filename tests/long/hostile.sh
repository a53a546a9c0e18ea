#!/usr/bin/env bash
# Gives 200,000 drawn lies of a hostile peer to the types that read them, and every lie of `make test`. Writes how many were tried and
# refused into docs/hostile.jsonl, with date, commit and command.
set -euo pipefail
cd "$(dirname "$0")/../.."

export DLRM_MUTATIONS="${DLRM_MUTATIONS:-200000}"
export DLRM_MUTATIONS_SEED="${DLRM_MUTATIONS_SEED:-$(date -u +%Y%m%d)}"
export DLRM_MUTATIONS_LEDGER="$PWD/docs/hostile.jsonl"
export PYTHONPATH="$PWD/tests/plugins${PYTHONPATH:+:$PYTHONPATH}"
exec python -m pytest -p no_silent_skips --numprocesses 2 --dist load tests/hostile "$@"
