#!/usr/bin/env bash
# Set up and evaluate runs, and print JSON. The arguments go to
# "lowmem-sentiment evaluate", and the exit code is its own.
#
#   evaluate.sh RUN ...
#
# Or a whole gate, for cron: train a candidate on the dataset (data/imdb, or $DATASET), evaluate it against
# the best run ever promoted, and promote it. LIVE is a symbolic link to the run that is served, LIVE.best
# one to the best: a candidate takes that place only if it is significantly better, so that many small
# losses do not add up. Links are replaced in one step, and the first candidate makes both. The arguments
# after LIVE go to "train", and $GATE holds further options of "evaluate", such as "--fail-under
# accuracy=0.88"; $PROMOTE is what a candidate must be shown to be: better, not-worse (by --margin), or, if
# it is not set, just not significantly worse.
#
# Exit code 0: promoted; 3: not good enough, LIVE stays; anything else: something failed, LIVE stays.
#
#   evaluate.sh --gate LIVE [OPTION of train ...]
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

case ${1-} in -h | --help) sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" ;; esac
if [ "${1-}" != --gate ]; then
    exec lowmem-sentiment evaluate --json "$@"
fi

live=${2-} not_good_enough=3
if [ -z "$live" ] || { [ -e "$live" ] && [ ! -L "$live" ]; }; then
    say "error: expected the name of a symbolic link to the live run, or of one to make: $0 --gate LIVE"
    exit 2
fi
shift 2
best=$live.best
for link in "$live" "$best"; do
    if [ -L "$link" ] && [ ! -e "$link" ]; then
        say "error: $link leads to $(readlink "$link"), which is gone; expected a run: ln -sfn RUN $link"
        exit 66
    fi
done
if [ ! -e "$best" ]; then best=$live; fi # LIVE was made by an earlier version, or by hand

if [ -n "${DATASET-}" ]; then dataset=$DATASET; else prepare_imdb; fi
candidate=$live-$(date +%Y-%m-%d-%H%M%S)
lowmem-sentiment train "$dataset" --run "$candidate" "$@" >&2

read -r -a gate <<<"${GATE-}"
if [ -e "$best" ]; then gate+=(--baseline "$best" ${PROMOTE:+--promote "$PROMOTE"}); fi
code=0
answer=$(lowmem-sentiment evaluate "$candidate" --data "$dataset" --json "${gate[@]}") || code=$?
[ -z "$answer" ] || printf '%s\n' "$answer"
if [ "$code" != 0 ]; then
    say "$candidate is not promoted"
    # A command that does not start ends with 1, too: only an evaluation says that a run is not good enough.
    if [ "$code" = 1 ] && [[ $answer == *'"failed": ["'* ]]; then exit "$not_good_enough"; fi
    exit "$code"
fi
lead() { # a rename: whoever opens the link finds the old run or the new one
    ln -s "$(basename "$candidate")" "$candidate.link"
    mv -T "$candidate.link" "$1"
}
decisive=${answer##*'"metric": {'} # of --metric, if there is one
if [ ! -e "$best" ] || [[ $decisive == *'"significantly_better": true'* ]]; then
    lead "$live.best"
elif [ ! -e "$live.best" ]; then
    ln -s "$(readlink "$live")" "$live.best"
fi
lead "$live"
say "$candidate is promoted"
