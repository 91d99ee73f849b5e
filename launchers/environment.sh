# To be sourced from the repository root: the virtual environment .venv, made and filled only where that is needed.
#
#     source launchers/environment.sh
#     make_environment test    # the extras to install, separated by commas
#
# PYTHON chooses the interpreter that makes it (3.11 or later; default python3).

make_environment() {
    local extras="$1"
    local stamp=".venv/installed-$extras"
    # The stamp holds what was installed and where: a moved checkout or a changed setup.py installs again.
    local wanted
    wanted="$PWD $(cksum <setup.py)"
    if [[ "$(cat "$stamp" 2>/dev/null || true)" != "$wanted" ]]; then
        echo "Installing nash_tf and what it needs, TensorFlow among it, into $PWD/.venv; the first time takes minutes." >&2
        # Not `-d .venv`: an interrupted creation leaves a folder without pip.
        if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
            "${PYTHON:-python3}" -m venv --clear .venv
        fi
        .venv/bin/python -m pip install --quiet --disable-pip-version-check -e ".${extras:+[$extras]}"
        printf '%s\n' "$wanted" >"$stamp"
    fi
    export PATH="$PWD/.venv/bin:$PATH"
}
