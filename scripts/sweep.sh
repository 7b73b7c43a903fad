#!/usr/bin/env bash
# Set up, and train every combination of some settings on the IMDb reviews. Arguments go to
# "lowmem-sentiment tune" after the dataset, such as --grid epochs=1,2 hidden=50:32,32; the runs are in
# runs/sweep unless --out names another folder.
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
prepare_imdb
exec lowmem-sentiment tune "$dataset" --out "$project/runs/sweep" "$@"
