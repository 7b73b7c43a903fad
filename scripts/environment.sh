# Sourced by the other scripts. Makes .venv with the project in it, once, and puts it on PATH.
# What it says goes to standard error: standard output belongs to the command that follows.

set -euo pipefail
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf 'lowmem-sentiment: %s\n' "$*" >&2; }

supported() { "$1" -c 'import sys, venv; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; }

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

# What is installed depends on pyproject.toml alone, so it is installed anew when that changes.
stamp="$project/.venv/installed-from"
if ! cmp -s "$project/pyproject.toml" "$stamp"; then
    python=$(find_python)
    say "making $project/.venv with $("$python" --version) (TensorFlow is 600 MB to fetch; once)"
    quiet=$([ -t 2 ] || echo --quiet)
    "$python" -m venv "$project/.venv" >&2
    "$project/.venv/bin/python" -m pip install $quiet --disable-pip-version-check \
        --editable "$project[test]" >&2
    cp "$project/pyproject.toml" "$stamp"
fi
export PATH="$project/.venv/bin:$PATH"
