# shellcheck shell=sh disable=SC2154,SC2034 # what watch.sh says
# Consul's KV, by blocking queries: an answer comes with an index, and the next question waits until that one is over.

index=0

look() {
    [ "$whole" = no ] || index=0
    # Consul waits for up to a sixteenth longer.
    ask $((wait + wait / 16 + limit)) --get --data-urlencode "index=$index" --data-urlencode "wait=${wait}s" \
        --data recurse=true --dump-header "$run/headers" "$(endpoint)/v1/kv/$prefix/" || return 1
    if [ "$status" != 200 ] && [ "$status" != 404 ]; then # 404: there is nothing under it
        problem="status $status: $(head -c 200 "$run/answer" | tr -d '"{}')"
        return 1
    fi
    now=$(tr -d '\r' <"$run/headers" | sed -n 's/^[Xx]-[Cc]onsul-[Ii]ndex: *\([0-9]\{1,18\}\)$/\1/p' | head -n 1)
    if [ -z "$now" ] || [ "$now" -le 0 ]; then
        problem='its answer has no X-Consul-Index'
        return 1
    fi
    # One that went backwards belongs to another state (restored, or emptied): ask without one, as Consul's manual says.
    if [ "$now" -lt "$index" ]; then now=0; fi
    [ "$status" = 404 ] || pairs || return 1
    index=$now
}

pairs() {
    tr -d '\n' <"$run/answer" | tr '{' '\n' | grep '"Key"' | head -n "$many" |
        sed 's/^.*"Key": *"\([^"]*\)".*"Value": *"\{0,1\}\([^",}]*\).*$/\1 \2/' >"$run/pairs"
    cut -d ' ' -f 1 "$run/pairs" >"$run/keys"
    at=0
    while read -r key; do
        at=$((at + 1))
        name=${key#"$prefix/"}
        [ -n "$name" ] || continue # the folder itself
        sed -n "$at{s/^[^ ]* //p;q;}" "$run/pairs" | base64 -d >"$run/value" 2>/dev/null || echo 'no base64' >"$run/value"
        bring "$name" "$run/value" || return 1
    done <"$run/keys"
}
