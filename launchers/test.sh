#!/usr/bin/env bash
# Lint, types and tests; arguments go to pytest, e.g. `bash launchers/test.sh tests/test_data.py -k idx`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

source launchers/environment.sh
make_environment test
export TF_CPP_MIN_LOG_LEVEL=2

ruff check .

pure=()
for module in halving schedules methods seeds config output; do
    if [[ -f nash_tf/$module.py ]]; then
        pure+=("nash_tf/$module.py")
    fi
done
pure+=(nash_tf/report)
if ((${#pure[@]})); then
    mypy "${pure[@]}"
fi

python -m pytest -q "$@"
