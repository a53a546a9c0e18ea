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

say "mypy: what runs on the controller"
mypy plugins

say "mypy: the container, its measurements and its tests"
MYPYPATH=benchmark/src:benchmark/bench:benchmark/tests:benchmark/tests/stages mypy benchmark/src benchmark/bench benchmark/tests

say "mypy: tests"
# Folders that tests import from by name. Three conftest.py lie directly in such a folder: mypy takes one of a name at a time.
folders=typings:tests:library:benchmark/bench
for folder in hostile unit unit/library unit/plugins unit/module_utils/{container,host,judge,storage/node,support} faults plugins; do folders+=:tests/$folder; done
MYPYPATH=$folders mypy tests --exclude '^tests/(hostile|unit|unit/plugins)/conftest\.py'
for conftest in tests/hostile/conftest.py tests/unit/conftest.py tests/unit/plugins/conftest.py; do MYPYPATH=$folders mypy "$conftest"; done

say "docs: 120 columns"
git ls-files -z README.md CHANGELOG.md 'docs/*.md' 'roles/*/README.md' benchmark/bench/README.md | xargs -0 python tools/docs_width.py

say "yamllint"
yamllint --strict .

say "ansible-lint"
PYTHONPATH=tools/lint_site ansible-lint --offline

say "shellcheck"
git ls-files -z '*.sh' .ci/run | xargs -0 shellcheck
