#!/usr/bin/env bash
# Lint, types and tests; arguments go to pytest, e.g. `bash launchers/test.sh tests/data -k idx`, or `-n 0` for one process.
# `bash launchers/test.sh --all` takes hours: 50 kills, 1,000 random models, all networks of keras.applications.
set -euo pipefail
unset CDPATH  # `cd` would go there
cd "$(dirname "${BASH_SOURCE[0]}")/.."

source launchers/environment.sh
make_environment test
export TF_CPP_MIN_LOG_LEVEL=2

if [[ "${1:-}" == --all ]]; then
    shift
    export NASH_TF_ALL=1 NASH_TF_APPLICATIONS=1 NASH_TF_CONFORMANCE=1000
fi

ruff check .

mypy nash_tf

# Two processes share the tests; each computes on one thread (tests/conftest.py).
python -m pytest -q -n 2 --dist=worksteal "$@"
