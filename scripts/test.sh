#!/usr/bin/env bash
# Set up and run the tests: with --quick those that are not marked slow. Other arguments go to pytest.
extra='test'
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$project"
if [ "${1-}" = --quick ]; then
    shift
    set -- -m "not slow" "$@"
fi
# Two processes, each file in one of them, in the order of tests/conftest.py: TensorFlow takes 600 MB in each.
exec python -m pytest -n 2 --dist loadfile --no-loadscope-reorder "$@"
