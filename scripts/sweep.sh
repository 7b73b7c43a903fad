#!/usr/bin/env bash
# Set up, and train every combination of some settings on the IMDb reviews. Arguments go to
# "lowmem-sentiment sweep" after the dataset; the runs are in runs/sweep unless --out names another.
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
prepare_imdb
exec lowmem-sentiment sweep "$dataset" --out "$project/runs/sweep" "$@"
