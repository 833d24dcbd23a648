#!/bin/sh
# Brings route tables from a source to the edge on this machine, for as long as it runs: `sh watch.sh FILE`, where FILE
# says a key and its value on each line (see read_settings). It holds no key and decides nothing: whatever a source says
# is put to the edge's control socket, and the edge takes it or refuses it. A source that is away, or that says what no
# edge takes, changes nothing: the last table goes on. Needs curl, base64 and sha256sum; dash and busybox sh run it.
#
# A table in a source is an envelope: a line `gopub-table/v1 UPSTREAM`, a line with its signature or `-`, then the
# document byte for byte. Each kind of source has a file that says look(): one look, ended by a change or after $wait.

set -u
umask 077
here=$(dirname "$0")
# shellcheck disable=SC2034
many=1000    # upstreams, which no edge has
most=1114112 # bytes of an envelope: what an edge takes, and the lines before it

settings=${1:?the file of settings}
kind='' endpoints='' prefix='' folder=''
wait=20 limit=5 again=60
socket=/run/gopub/edge.sock
run=/run/gopub-source/work
access=/etc/gopub/source

# shellcheck disable=SC2034 # the file of a kind reads them
read_settings() {
    while read -r key value; do
        case $key in
        kind) kind=$value ;;
        endpoint) endpoints="$endpoints $value" ;; # may come again: the next one is asked where one fails
        prefix) prefix=$value ;;
        folder) folder=$value ;;
        socket) socket=$value ;;
        run) run=$value ;;       # what is kept while it runs
        access) access=$value ;; # a folder: curl.conf for how the source is reached, login.json for a user of etcd
        wait) wait=$value ;;     # seconds of one look
        limit) limit=$value ;;   # seconds for an answer
        again) again=$value ;;   # seconds after which everything is put once more
        esac
    done <"$settings"
}

# --- telling ---------------------------------------------------------------------------------------------------------

up=false
what='it was not asked yet'
since=$(date +%s)
last=0    # when the source last answered
refused=0 # values that were not taken, since the edge was last told
lacking='' # why the last one was not

plain() { printf %s "$1" | tr -c 'A-Za-z0-9 .,:;/_=()@-' ' ' | cut -c 1-200; }

# tell: the edge shows it in its metrics and its status. An edge that is away is told later.
tell() {
    text=$(plain "${what:-$lacking}")
    printf '{"kind":"%s","up":%s,"since":%s,"last":%s,"refused":%s,"within":%s,"what":"%s"}' \
        "$kind" "$up" "$since" "$last" "$refused" $((2 * wait + 4 * limit + 40)) "$text" >"$run/told"
    [ "$(at_edge PUT /v1/source "$run/told")" != 200 ] || refused=0
}

# became UP WHAT: what is new is told on stderr as well.
became() {
    [ "$up" = "$1" ] || since=$(date +%s)
    [ "$up/$what" = "$1/$2" ] || echo "gopub source: $kind: ${2:-it answers}" >&2
    up=$1 what=$2
}

# --- asking ----------------------------------------------------------------------------------------------------------

child=''
trap 'trap - TERM; [ -z "$child" ] || kill "$child" 2>/dev/null; rm -rf "$run"; exit 0' TERM INT HUP

# at_edge METHOD PATH FILE [ARGUMENT...]: prints the status; what the edge says lies in $run/said.
at_edge() {
    method=$1 path=$2 file=$3
    shift 3
    curl -q --silent --max-time 15 --unix-socket "$socket" --request "$method" --header 'Expect:' \
        --header 'Content-Type: application/json' "$@" --data-binary "@$file" --output "$run/said" \
        --write-out '%{http_code}' "http://edge$path" 2>/dev/null
}

# reach SECONDS ARGUMENT...: curl as a source is asked: no proxy of this machine's, no redirect, keepalive, bounded.
reach() {
    seconds=$1
    shift
    [ ! -r "$access/curl.conf" ] || set -- --config "$access/curl.conf" "$@"
    [ ! -s "$run/token" ] || set -- --config "$run/token" "$@"
    curl -q --silent --show-error --noproxy '*' --proto =http,https --connect-timeout "$limit" --keepalive-time 10 \
        --max-time "$seconds" "$@"
}

# ask SECONDS ARGUMENT...: the answer lies in $run/answer; 1 and $problem where it is none. 64 MiB are enough.
ask() {
    : >"$run/answer"
    status=$(ulimit -f 131072 && reach "$@" --output "$run/answer" --write-out '%{http_code}' 2>"$run/problem") && return 0
    problem=$(tail -n 1 "$run/problem" 2>/dev/null)
    problem="no answer: ${problem:-it is too large}"
    return 1
}

# endpoint: the one that is asked now; next_endpoint goes on to another.
endpoint() { printf %s "${endpoints# }" | cut -d ' ' -f 1; }
next_endpoint() {
    first=$(endpoint)
    rest=${endpoints# }
    rest=${rest#"$first"}
    endpoints="${rest# } $first"
}

# --- bringing --------------------------------------------------------------------------------------------------------

refuse() {
    refused=$((refused + 1))
    lacking="$1: $2"
    echo "gopub source: $kind: not taken: $(plain "$lacking")" >&2
}

is_name() {
    case $1 in
    '' | [!a-z0-9]* | *[!a-z0-9._-]*) return 1 ;;
    esac
    [ "${#1}" -le 100 ]
}

# bring NAME FILE: put what a source holds for an upstream, once. 1 where the edge does not answer: ask again later.
bring() {
    if ! is_name "$1"; then
        odd="$run/seen/_$(printf %s "$1" | sha256sum | cut -c 1-32)"
        [ -e "$odd" ] || fresh=yes
        [ -e "$odd" ] || refuse "$(plain "$1" | cut -c 1-60)" 'no name of an upstream'
        : >"$odd"
        return 0
    fi
    digest=$(sha256sum <"$2")
    [ "$(cat "$run/seen/$1" 2>/dev/null)" != "$digest" ] || return 0
    fresh=yes
    if [ "$(wc -c <"$2")" -gt "$most" ]; then
        refuse "$1" 'more than 1 MiB'
    elif ! opened "$1" "$2"; then
        refuse "$1" 'no envelope of a table'
    else
        put "$1" || return 1
    fi
    printf %s "$digest" >"$run/seen/$1"
}

# opened NAME FILE: whether it is an envelope for that upstream; $signature is its second line.
opened() {
    signature=''
    head -c 8192 "$2" | tr -d '\000' | head -n 2 >"$run/head"
    { read -r title && read -r signature; } <"$run/head"
    [ "$title" = "gopub-table/v1 $1" ] || return 1
    case $signature in
    '' | *[!A-Za-z0-9+/=:.,_\ -]*) return 1 ;;
    esac
    tail -n +3 "$2" >"$run/body"
}

put() {
    if [ "$signature" = - ]; then
        status=$(at_edge PUT "/v1/tables/$1" "$run/body")
    else
        status=$(at_edge PUT "/v1/tables/$1" "$run/body" --header "X-Gopub-Signature: $signature")
    fi
    case $status in
    200) echo "gopub source: $kind: $1: taken" >&2 ;;
    4??) refuse "$1" "status $status $(head -c 160 "$run/said" | tr -d '"{}')" ;;
    *)
        problem="the edge does not answer (status $status)"
        return 1
        ;;
    esac
}

# --- going on --------------------------------------------------------------------------------------------------------

# pause: longer after each failure, up to 30 s, and never at the same moment on all edges.
failures=0
pause() {
    tenths=$((5 << (failures < 6 ? failures : 6)))
    [ "$tenths" -le 300 ] || tenths=300
    random=$(od -An -N 2 -tu2 /dev/urandom | tr -d ' ')
    tenths=$((tenths / 2 + random % (tenths / 2 + 1)))
    sleep "$((tenths / 10)).$((tenths % 10))" 2>/dev/null || sleep $((tenths / 10 + 1))
}

read_settings
case $kind in
etcd | consul | file) ;;
none) exit 0 ;; # the driver puts tables here itself
*)
    echo "gopub source: $settings: kind ${kind:-is missing}: not etcd, consul or file" >&2
    exit 2
    ;;
esac
rm -rf "$run" # what another one kept: everything is put once more
mkdir -p "$run/seen" || exit 1
# shellcheck disable=SC1090 # etcd.sh, consul.sh, file.sh
. "$here/$kind.sh"

renewed=$(date +%s)
# shellcheck disable=SC2034 # the file of a kind reads it
whole=yes # look at everything, and not only at what changed
while :; do
    began=$(date +%s)
    if [ $((began - renewed)) -ge "$again" ] || [ "$began" -lt "$renewed" ]; then
        rm -f "$run"/seen/*
        renewed=$began whole=yes lacking=''
    fi
    fresh=no problem=''
    if look; then
        last=$(date +%s)
        became true ''
        failures=0 whole=no
        tell
        # What does not wait, or always changes, must not make this turn fast.
        if [ "$fresh" = yes ]; then sleep 0.2 2>/dev/null || sleep 1; elif [ $((last - began)) -lt 1 ]; then sleep 1; fi
    else
        became false "$problem"
        failures=$((failures + 1))
        # shellcheck disable=SC2034
        whole=yes
        tell
        next_endpoint
        pause
    fi
done
