# shellcheck shell=bash
# Sourced by the other scripts. Makes .venv with the project in it, once, and puts it on PATH.
# A script that needs the development tools sets extra=dev first, one that needs the tests extra=test.
# Its own lines go to standard error: standard output belongs to the command that follows.

set -euo pipefail
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$project/.venv

say() { printf 'lowmem-sentiment: %s\n' "$*" >&2; }

# Debian has venv in every Python, and ensurepip, which it needs, in python3-venv.
supported() {
    "$1" -c 'import ensurepip, sys, venv; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.10}; do
        if supported "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    say "error: no Python 3.10 to 3.13 with the module venv found; install one (Debian: apt-get install python3-venv) or name it: PYTHON=/path/to/python $0"
    exit 69
}

# What is installed depends on the project's place and on pyproject.toml: each extra is installed
# anew when one of them changes, and the stamp is written last.
wanted() { printf '%s\n' "$project" && cat "$project/pyproject.toml"; }
installed() { "$venv/bin/python" -c '' 2>/dev/null && wanted | cmp -s - "$venv/installed-$1"; }

install_project() {
    local python quiet=()
    if ! supported "$venv/bin/python"; then
        python=$(find_python)
        say "making $venv with $("$python" --version)"
        "$python" -m venv --clear "$venv" >&2
    fi
    say "installing the project in $venv (TensorFlow is 600 MB to fetch; once)"
    [ -t 2 ] || quiet=(--quiet)
    "$venv/bin/python" -m pip install "${quiet[@]}" --disable-pip-version-check \
        --editable "${project}[$1]" >&2
    wanted >"$venv/installed-$1"
    say "the command is $venv/bin/lowmem-sentiment; to have it on PATH: source $venv/bin/activate"
    if [ "$1" = dev ]; then cp "$venv/installed-dev" "$venv/installed-test"; fi # dev holds test
}

# An environment that these scripts did not make (with tensorflow-cpu, say) is used as it is, unless tests are run.
foreign() {
    [ -z "${extra-}" ] && [ -x "$venv/bin/lowmem-sentiment" ] && ! compgen -G "$venv/installed-*" >/dev/null
}

if ! foreign; then
    extra=${extra:-test}
    installed "$extra" || install_project "$extra"
fi
export PATH="$venv/bin:$PATH"

# Prepares the IMDb reviews, once, where $dataset says.
prepare_imdb() {
    dataset=$project/data/imdb
    [ -e "$dataset/dataset.json" ] || lowmem-sentiment prepare imdb --out "$dataset" >&2
}
