#!/usr/bin/env bash
# A whole night, for cron: prepare all texts anew, train a candidate on them, promote it or not, and remove
# candidates older than two weeks. "lowmem-sentiment serve LIVE" follows the link by itself.
#
#   nightly.sh LIVE FILE ...
#
# FILE ... are what "prepare files" reads: the old texts and the new ones. By default a text's hash decides
# whether it is tested on, so the live run has not seen the test reviews. $DATASET is where the dataset goes
# (default: LIVE.data), $TRAIN holds options of "train", $PROMOTE and $GATE are those of evaluate.sh.
# The exit code is evaluate.sh's: 0: promoted; 3: not good enough; anything else: something failed.
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$scripts/environment.sh"
if [ $# -lt 2 ]; then
    say "error: expected the link to the live run, and texts: $0 LIVE FILE ..."
    exit 2
fi
live=$1
shift
export DATASET=${DATASET:-$live.data} PROMOTE=${PROMOTE-not-worse}
mkdir -p "$(dirname "$live")"
exec 9>"$live.lock"
if ! flock --nonblock 9; then
    say "error: another night is still running in $live"
    exit 75
fi

# All nights read the first one's words and n-grams, so that their runs can be compared on the same reviews.
words=()
if [ -e "$live" ]; then words=(--vocabulary "$live"); fi
lowmem-sentiment prepare files "$@" --out "$DATASET" --overwrite "${words[@]}" >&2

code=0
read -r -a options <<<"${TRAIN-}"
"$scripts/evaluate.sh" --gate "$live" "${options[@]}" || code=$?

find "$(dirname "$live")" -maxdepth 1 -type d -mtime +14 \
    -name "$(basename "$live")-[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]-[0-9][0-9][0-9][0-9][0-9][0-9]" \
    ! -name "$(readlink "$live" || true)" ! -name "$(readlink "$live.best" || true)" -exec rm -r {} +
exit "$code"
