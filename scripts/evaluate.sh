#!/usr/bin/env bash
# Set up and evaluate a run: one JSON object on standard output, and the exit code of
# "lowmem-sentiment evaluate", which the arguments go to.
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
exec lowmem-sentiment evaluate --json "$@"
