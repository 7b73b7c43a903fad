#!/usr/bin/env bash
# Set up and damage files of every kind to see that no command ends in a traceback, a hang, much memory or
# a wrong answer: fuzz.sh --cases 20000 [--seed N] [--kind KIND]. Prints how to replay what fails.
extra='test'
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
PYTHONPATH="$project/tests" exec python -m fuzz "$@"
