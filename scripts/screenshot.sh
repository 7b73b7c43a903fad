#!/usr/bin/env bash
# Take a picture of a page, such as a tab of TensorBoard, with headless Chromium.
# Or, to a file named .html, write what the page became, for a test to read.
# screenshot.sh http://127.0.0.1:6006/#timeseries out.png [width,height]
set -euo pipefail
browser=$(command -v chromium || command -v google-chrome) || {
    echo "screenshot.sh: error: no Chromium found; install one (Debian: apt-get install chromium)" >&2
    exit 69
}
profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT
result=(--screenshot="$2")
[[ $2 == *.html ]] && result=(--dump-dom)
# With WebGL a chart's lines are drawn by another thread, which the virtual time does not wait for:
# without it the page draws them itself, as SVG.
result+=(--disable-3d-apis)
# The page has this much virtual time to load and draw, which takes less real time.
timeout 100 "$browser" --headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
    --disable-background-networking --disable-component-update --disable-sync --hide-scrollbars \
    --user-data-dir="$profile" --window-size="${3:-1400,1100}" --virtual-time-budget=60000 \
    "${result[@]}" "$1" | if [[ $2 == *.html ]]; then cat > "$2"; else cat; fi
