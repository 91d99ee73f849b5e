#!/usr/bin/env bash
# An experiment on a SLURM cluster, a task of the array for each run: --array=0-(methods x runs - 1). The output directory must
# be on a file system that all nodes see; `EXTRAS=gpu bash launchers/search.sh --help`, once, makes the environment.
#
#   sbatch --array=0-31 launchers/slurm_experiment.sh --flagfile=flags/paper_shrsep.flags --methods=nash,sh,shr,shrsep --runs=8 \
#       --output_dir=/shared/runs/paper
#
# The same again does what is missing: runs that were interrupted go on, finished ones are not repeated. The methods `wide`
# and `scratch` need finished searches of their seed, so they come with a second submission.
#SBATCH --job-name=nash_tf
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-node=1
#SBATCH --mem=32G
#SBATCH --time=48:00:00
#SBATCH --requeue
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:?is set by sbatch; on one machine use python -m nash_tf.experiment --jobs=N}"
exec .venv/bin/python -m nash_tf.experiment --only="${SLURM_ARRAY_TASK_ID:?is set by sbatch --array=...}" "$@"
