#!/usr/bin/env bash
# Set up, prepare the IMDb reviews, train the network, evaluate it. Arguments go to
# "lowmem-sentiment train"; the run is runs/<time> unless --run names another.
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

run="" json=()
arguments=("$@")
for ((i = 0; i < $#; i++)); do
    case ${arguments[i]} in
    -h | --help) exec lowmem-sentiment train --help ;;
    --run) run=${arguments[i + 1]-} ;;
    --run=*) run=${arguments[i]#--run=} ;;
    --json) json=(--json) ;;
    esac
done
if [ -z "$run" ]; then
    run="$project/runs/$(date +%Y-%m-%d-%H%M%S)"
    arguments+=(--run "$run")
fi

prepare_imdb
lowmem-sentiment train "$dataset" "${arguments[@]}"
lowmem-sentiment evaluate "$run" --data "$dataset" "${json[@]}"
