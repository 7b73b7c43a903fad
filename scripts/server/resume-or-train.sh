#!/bin/sh
# Train a run, or resume it where it was stopped; of a finished one print the result again.
# resume-or-train.sh DATASET RUN [OPTION OF train ...]
set -eu
dataset=$1 run=$2
shift 2
if [ -e "$run/config.json" ]; then
    exec lowmem-sentiment train "$dataset" --resume "$run" --memory-limit auto --json "$@"
fi
exec lowmem-sentiment train "$dataset" --run "$run" --memory-limit auto --json "$@"
