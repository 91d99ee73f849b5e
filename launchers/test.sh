#!/usr/bin/env bash
# Lint, types and tests; arguments go to pytest, e.g. `bash launchers/test.sh tests/test_data.py -k idx`.
# `bash launchers/test.sh --all` takes hours: 50 kills, 1,000 random models, all networks of keras.applications.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

source launchers/environment.sh
make_environment test
export TF_CPP_MIN_LOG_LEVEL=2

if [[ "${1:-}" == --all ]]; then
    shift
    export NASH_TF_ALL=1 NASH_TF_APPLICATIONS=1 NASH_TF_CONFORMANCE=1000
fi

ruff check .

# What is free of TensorFlow.
pure=(
    architecture strategy report files/atomic.py files/lock.py terminal/command_line.py terminal/signals.py terminal/streams.py
    exporting/formats exporting/clean_process.py exporting/predict_script.py workers/leases.py
    config.py experiment.py main.py predict.py seeds.py settings.py __main__.py
)
mypy "${pure[@]/#/nash_tf/}"

python -m pytest -q "$@"
