#!/usr/bin/env bash
# Set up and check what needs no test: style, format and types of the Python, syntax of the scripts.
extra=dev
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$project"
ruff check
ruff format --check
mypy
for script in scripts/*.sh .ci/run; do bash -n "$script"; done
if command -v shellcheck >/dev/null; then shellcheck scripts/*.sh .ci/run; fi
