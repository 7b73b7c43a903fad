#!/bin/bash
#SBATCH --job-name=sentiment
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=2
#SBATCH --mem=1G
# Two workers that train together. After exit code 75 submit it again: the same command resumes. Checked
# for syntax and for the TF_CONFIG that it makes; not run on a real cluster.
hosts=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed 's/.*/"&:2222"/' | paste -sd,)
export CLUSTER="{\"worker\": [$hosts]}"
srun bash -c 'TF_CONFIG="{\"cluster\": $CLUSTER, \"task\": {\"type\": \"worker\", \"index\": $SLURM_PROCID}}" \
    exec lowmem-sentiment train data/imdb --run runs/two --batch-size 1024'
