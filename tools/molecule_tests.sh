#!/usr/bin/env bash
# Every Molecule scenario against hosts made once.
set -euo pipefail
cd "$(dirname "$0")/.."
exec molecule test --all
