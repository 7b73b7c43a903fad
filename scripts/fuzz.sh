#!/usr/bin/env bash
# Set up and damage files of every kind to see that no command ends in a traceback, a hang, much memory or
# a wrong answer: fuzz.sh --cases 20000 [--seed N] [--kind KIND]. Prints how to replay what fails.
# With --faults, let each system call of the commands that write files fail, or kill them there.
# With --scarce, run them as root with too little disk, memory, files or processes, and with signals.
extra='test'
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
module=fuzz
if [ "${1-}" = --faults ]; then
    module=faults
    shift
elif [ "${1-}" = --scarce ]; then
    module=faults.surroundings
    shift
fi
PYTHONPATH="$project/tests:$project/scripts" exec python -m "$module" "$@"
