#!/usr/bin/env bash
# Runs every static check, from quick to slow. No configuration skips one.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n== %s\n' "$*"; }

say "ruff"
ruff check .
ruff format --check .

say "import-linter: the floors of both packages"
PYTHONPATH=module_utils:benchmark/src lint-imports --no-logo --cache-dir .cache/import-linter

say "mypy: what runs on hosts"
MYPYPATH=typings mypy -p ansible.module_utils.dlrm_fleet
MYPYPATH=typings mypy library/*.py

say "mypy: the container"
MYPYPATH=benchmark/src mypy -p dlrm_bench

say "mypy: hosts made of containers, and what happens to them"
(cd tests && MYPYPATH=../typings:.:unit/library mypy --config-file ../pyproject.toml -p fleet)
(cd tests/faults && MYPYPATH=../../typings:..:.:../unit/library mypy --config-file ../../pyproject.toml -p matrix)

say "yamllint"
yamllint --strict .

say "ansible-lint"
PYTHONPATH=tools/lint_site ansible-lint --offline

say "shellcheck"
git ls-files -z '*.sh' .ci/run | xargs -0 shellcheck
