#!/usr/bin/env bash
# Makes a virtual environment, installs, and runs a search; all arguments are the program's.
#   bash launchers/search.sh --method=shrsep
#   EXTRAS=gpu bash launchers/search.sh --flagfile=paper_shrsep     # with TensorFlow's CUDA libraries
set -euo pipefail
unset CDPATH  # `cd` would print what it finds there, or go there
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
source launchers/environment.sh
make_environment "export${EXTRAS:+,$EXTRAS}"
cd "$OLDPWD"  # so that paths among the arguments are the caller's
exec nash-tf "$@"
