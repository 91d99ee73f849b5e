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

# A search, or a worker of it, with the chief at $address.
run() {
  read -r KERASTUNER_ORACLE_IP KERASTUNER_ORACLE_PORT _ <<< "$address"
  export KERASTUNER_ORACLE_IP KERASTUNER_ORACLE_PORT
  .venv/bin/python -m nash_tf.main "$@"
}

# Waits until another address is in $meeting than $address, which becomes it.
meet() {
  local found seconds="${NASH_TF_MEET_SECONDS:-600}"
  for _ in $(seq "$seconds"); do
    found="$(cat "$meeting" 2>/dev/null || true)"
    if [ -n "$found" ] && [ "$found" != "$address" ]; then
      address="$found"
      return
    fi
    sleep 1
  done
  echo "no chief within $seconds s" >&2
  return 1
}

meeting=".nash_tf-chief-$SLURM_ARRAY_JOB_ID"
if [ "$SLURM_ARRAY_TASK_ID" = 0 ]; then
  export KERASTUNER_TUNER_ID=chief
  # SLURM has put it back into the queue: it goes on, or begins where it had not begun.
  [ "${SLURM_RESTART_COUNT:-0}" -eq 0 ] || set -- "$@" --resume
  # The last word tells a chief that began again at the same place.
  address="$(hostname -I | cut -d' ' -f1) $((20000 + SLURM_ARRAY_JOB_ID % 20000)) ${SLURM_RESTART_COUNT:-0}"
  echo "$address" > "$meeting.$$" && mv "$meeting.$$" "$meeting"
  trap 'rm -f "$meeting"' EXIT
  run "$@"
else
  export KERASTUNER_TUNER_ID="worker$SLURM_ARRAY_TASK_ID"
  address=""
  meet
  failed=0
  until run "$@"; do
    [ $? -ne 2 ] || exit 2 # the command line is refused
    failed=$((failed + 1))
    # The chief may live, and this worker have been killed. Else it is gone: one that was put back into the queue writes another address.
    if [ "$failed" -ge 3 ] || [ "$(cat "$meeting" 2>/dev/null)" != "$address" ]; then
      meet
      failed=0
    fi
  done
fi
