# shellcheck shell=sh disable=SC2154,SC2034 # what watch.sh says
# etcd, over its JSON gateway (v3): what changed since the last look, then a watch that says that there is more. A watch
# ends after $wait in any case: one whose etcd is frozen, or whose packets are lost, looks like one that has nothing to say.

revision=0
cluster=''
begin=$(printf %s "$prefix/" | base64 | tr -d '\n')
end=$(printf %s "${prefix}0" | base64 | tr -d '\n') # 0 follows / in ASCII

look() {
    [ "$whole" = no ] || revision=0
    [ ! -r "$access/login.json" ] || [ -s "$run/token" ] || log_in || return 1
    changes || return 1
    [ "$fresh" = no ] || return 0 # more may have come meanwhile
    watch || return 1
    [ ! -s "$run/event" ] || changes
}

# log_in: a token, for the gateway knows no user by its certificate.
log_in() {
    ask "$limit" --data "@$access/login.json" "$(endpoint)/v3/auth/authenticate" || return 1
    token=$(sed -n 's/.*"token":"\([A-Za-z0-9._-]*\)".*/\1/p' "$run/answer")
    if [ "$status" != 200 ] || [ -z "$token" ]; then
        problem="the login of $access/login.json is refused (status $status)"
        return 1
    fi
    printf 'header = "Authorization: %s"\n' "$token" >"$run/token"
}

# changes: bring what was changed after $revision, and know the revision up to which that is all.
changes() {
    printf '{"key":"%s","range_end":"%s","min_mod_revision":"%s","limit":"%s"}' \
        "$begin" "$end" $((revision + 1)) "$many" >"$run/question"
    ask $((limit * 2)) --data "@$run/question" "$(endpoint)/v3/kv/range" || return 1
    if [ "$status" != 200 ]; then
        rm -f "$run/token"
        problem="status $status: $(head -c 200 "$run/answer" | tr -d '"{}')"
        return 1
    fi
    # Without spaces, which a newer gateway sets here and there: none is in what is read here.
    tr -d ' \n' <"$run/answer" >"$run/dense"
    now=$(number revision)
    its=$(number cluster_id)
    if [ -z "$now" ]; then
        problem='its answer cannot be read'
        return 1
    fi
    # Emptied, restored from a copy, or another one: what it holds now is looked at from the beginning.
    if [ "$now" -lt "$revision" ] || [ "$its" != "${cluster:-$its}" ]; then
        revision=0 cluster=$its
        changes
        return
    fi
    cluster=$its
    # One pair of key and value on a line; whatever is not base64 stays away.
    tr '{' '\n' <"$run/dense" |
        sed -n -e 's/^"key":"\([^"]*\)".*"value":"\([^"]*\)".*/\1 \2/p' -e t \
            -e 's/^"key":"\([^"]*\)".*/\1 /p' >"$run/pairs" # an empty value is left out
    cut -d ' ' -f 1 "$run/pairs" >"$run/keys"
    at=0
    while read -r key; do
        at=$((at + 1))
        one "$key" "$at" || return 1
    done <"$run/keys"
    revision=$now
}

number() { head -c 1000 "$run/dense" | sed -n "s/.*\"$1\":\"\([0-9]\{1,18\}\)[0-9]*\".*/\1/p" | head -n 1; }

# one KEY LINE: the pair on that line of $run/pairs.
one() {
    name=$(printf %s "$1" | base64 -d 2>/dev/null | head -c 1000 | tr -d '\000')
    sed -n "$2{s/^[^ ]* //p;q;}" "$run/pairs" | base64 -d >"$run/value" 2>/dev/null || echo 'no base64' >"$run/value"
    bring "${name#"$prefix/"}" "$run/value"
}

# watch: until anything under the prefix changes. What it says is not read: the next look asks what there is.
watch() {
    printf '{"create_request":{"key":"%s","range_end":"%s","start_revision":"%s"}}' \
        "$begin" "$end" $((revision + 1)) >"$run/question"
    rm -f "$run/stream"
    mkfifo "$run/stream"
    reach "$wait" --no-buffer --data "@$run/question" "$(endpoint)/v3/watch" 2>"$run/problem" >"$run/stream" &
    child=$!
    { read -r opening && head -n 1 | head -c 20; } <"$run/stream" >"$run/event"
    [ ! -s "$run/event" ] || kill "$child" 2>/dev/null # without one it is about to end, and its code says why
    wait "$child"
    code=$?
    child=''
    case $(printf %s "$opening" | tr -d ' ') in
    *'"canceled":true'* | *'"error"'*) # compacted meanwhile, or not allowed: the next look begins anew
        rm -f "$run/token"
        problem="its watch was refused: $(printf %.200s "$opening" | tr -d '"{}')"
        return 1
        ;;
    esac
    # 28: nothing came in time, which is as it should be.
    if [ ! -s "$run/event" ] && [ "$code" -ne 28 ]; then
        problem="its watch ended: $(tail -n 1 "$run/problem")"
        return 1
    fi
}
