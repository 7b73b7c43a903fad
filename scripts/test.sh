#!/usr/bin/env bash
# Set up and run the tests. Arguments go to pytest.
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$project"
exec python -m pytest "$@"
