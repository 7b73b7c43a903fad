#!/usr/bin/env bash
# Try training by several machines on one: start N workers on 127.0.0.1, as a launcher would on N
# servers. Each one's output goes to worker-<index>.log beside the run (not in it); the chief's is shown
# at the end. Arguments after N go to "lowmem-sentiment train". Ctrl-C ends all, saved.
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

if ! [[ ${1-} =~ ^[1-9][0-9]*$ ]]; then
    say "error: expected the number of workers: $0 N [OPTION OF train ...]"
    exit 2
fi
count=$1
shift
run="$project/runs/workers-$(date +%Y-%m-%d-%H%M%S)" arguments=("$@")
for ((i = 0; i < $#; i++)); do
    case ${arguments[i]} in
    --run) run=${arguments[i + 1]-} ;;
    --run=*) run=${arguments[i]#--run=} ;;
    esac
done
[[ " $* " == *" --run"* ]] || arguments+=(--run "$run")

prepare_imdb

addresses=$(python - "$count" <<'PYTHON'
import json, socket, sys
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(json.dumps([f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]))
PYTHON
)
logs=$(dirname "$run") workers=()
mkdir -p "$logs"
trap 'kill -TERM "${workers[@]}" 2>/dev/null' INT TERM
for ((index = 0; index < count; index++)); do
    export TF_CONFIG="{\"cluster\": {\"worker\": $addresses}, \"task\": {\"type\": \"worker\", \"index\": $index}}"
    # A session of its own: Ctrl-C reaches it once, from the trap. Twice would end it unsaved.
    setsid lowmem-sentiment train "$dataset" "${arguments[@]}" \
        >"$logs/worker-$index.log" 2>&1 </dev/null &
    workers+=($!)
done

worst=0
for worker in "${workers[@]}"; do
    code=0
    while wait "$worker" || code=$?; kill -0 "$worker" 2>/dev/null; do code=0; done # a trap ends a wait
    # 75 is what a worker ends with because another has failed.
    if ((code && (worst == 0 || worst == 75))); then worst=$code; fi
done
if ((worst)); then tail -n 3 "$logs"/worker-*.log >&2; else cat "$logs/worker-0.log"; fi
exit "$worst"
