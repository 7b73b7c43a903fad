#!/usr/bin/env bash
# Set up and evaluate runs: a JSON object a run on standard output, and the exit code of
# "lowmem-sentiment evaluate", which the arguments go to.
#
#   evaluate.sh RUN ...
#
# Or a whole gate, for cron: train a candidate on the dataset (data/imdb, or $DATASET), evaluate it against
# the live run, and promote it unless it is significantly worse. LIVE is a symbolic link to the run that
# is served; it is replaced in one step, and made by the first candidate. The arguments after it go to "train",
# and $GATE holds further options of "evaluate", such as "--fail-under accuracy=0.88 --alpha 0.01".
# Exit code 0: promoted; 1: not good enough, LIVE stays; anything else: something failed, LIVE stays.
#
#   evaluate.sh --gate LIVE [OPTION of train ...]
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

case ${1-} in -h | --help) sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" ;; esac
if [ "${1-}" != --gate ]; then
    exec lowmem-sentiment evaluate --json "$@"
fi

live=${2-}
if [ -z "$live" ] || { [ -e "$live" ] && [ ! -L "$live" ]; }; then
    say "error: expected the name of a symbolic link to the live run, or of one to make: $0 --gate LIVE"
    exit 2
fi
shift 2
if [ -n "${DATASET-}" ]; then dataset=$DATASET; else prepare_imdb; fi
candidate=$live-$(date +%Y-%m-%d-%H%M%S)
lowmem-sentiment train "$dataset" --run "$candidate" "$@" >&2

read -r -a gate <<<"${GATE-}"
if [ -e "$live" ]; then gate+=(--baseline "$live"); fi
code=0
lowmem-sentiment evaluate "$candidate" --data "$dataset" --json "${gate[@]}" || code=$?
if [ "$code" != 0 ]; then
    say "$candidate is not promoted"
    exit "$code"
fi
ln -s "$(basename "$candidate")" "$candidate.link"
mv -T "$candidate.link" "$live" # a rename: whoever opens LIVE finds the old run or the new one
say "$candidate is promoted"
