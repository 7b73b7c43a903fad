#!/usr/bin/env bash
# Set up, and kill and resume training on the IMDb reviews at random moments. Arguments go to
# verify_resume.py after the dataset, such as --kills 50.
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
prepare_imdb
exec python "$project/scripts/verify_resume.py" "$dataset" --work "$project/runs/verify-resume" "$@"
