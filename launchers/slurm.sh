#!/usr/bin/env bash
# A search on a SLURM cluster: task 0 of the array is the chief, the others train. The output directory must be on a file
# system that all nodes see; `EXTRAS=gpu bash launchers/search.sh --help`, once, makes the environment.
#
#   sbatch launchers/slurm.sh --flagfile=flags/paper_shrsep.flags --output_dir=/shared/runs/shrsep-0
#
# After an interruption: the same, with --resume. The port is open to the whole cluster network.
#SBATCH --job-name=nash_tf
#SBATCH --array=0-4
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-node=1
#SBATCH --mem=32G
#SBATCH --time=48:00:00
#SBATCH --requeue
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:?is set by sbatch; to run on one machine use bash launchers/search.sh --workers=N}"

meeting=".nash_tf-chief-$SLURM_ARRAY_JOB_ID"
if [ "$SLURM_ARRAY_TASK_ID" = 0 ]; then
  export KERASTUNER_TUNER_ID=chief
  # SLURM has put it back into the queue: it goes on, or begins where it had not begun.
  [ "${SLURM_RESTART_COUNT:-0}" -eq 0 ] || set -- "$@" --resume
  address="$(hostname -I | cut -d' ' -f1) $((20000 + SLURM_ARRAY_JOB_ID % 20000))"
  echo "$address" > "$meeting.$$" && mv "$meeting.$$" "$meeting"
  trap 'rm -f "$meeting"' EXIT
else
  export KERASTUNER_TUNER_ID="worker$SLURM_ARRAY_TASK_ID"
  for _ in $(seq 600); do [ -e "$meeting" ] && break; sleep 1; done
  [ -e "$meeting" ] || { echo "no chief within ten minutes" >&2; exit 1; }
  address="$(cat "$meeting")"
fi
read -r KERASTUNER_ORACLE_IP KERASTUNER_ORACLE_PORT <<< "$address"
export KERASTUNER_ORACLE_IP KERASTUNER_ORACLE_PORT
.venv/bin/python -m nash_tf.main "$@"
