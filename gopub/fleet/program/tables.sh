# shellcheck shell=sh disable=SC2015,SC2034,SC2154
# The program of an enrolled edge: table-get and table-put, one request to the control socket of its own nginx.
#
# The order says the path (arg.path), which has to be one that gopub asks for; of a table also its signature
# (arg.signature) and, as of any payload, size and digest. It says neither socket nor method nor another header. The
# answer is the record, and behind its last line the edge's answer, a line end and the HTTP status; then what curl said.

o_arg_signature=''
MOST_TABLE=1048576 # bytes: what an edge takes (client_max_body_size)

do_table_get() {
    is_get "$o_arg_path" || fail GP473 "no edge is asked for '$o_arg_path' here"
    ask_edge GET /dev/null
}

do_table_put() {
    is_put "$o_arg_path" || fail GP473 "nothing is put to an edge at '$o_arg_path' here"
    [ "$o_arg_files_size" -gt 0 ] && [ "$o_arg_files_size" -le "$MOST_TABLE" ] ||
        fail GP430 "a table has 1 to $MOST_TABLE bytes, the order says $o_arg_files_size"
    receive "$inbox.table" "$o_arg_files_size" "$o_digest_files" "the table"
    ask_edge PUT "$inbox.table"
}

# What gopub uses of the control API; the rest stays with whoever is root on the edge.
is_get() {
    case $1 in
    '/v1/status?upstream='*) is_upstream "${1#*=}" ;;
    '/v1/counters/'*'?releases='*)
        rest=${1#/v1/counters/}
        is_upstream "${rest%%\?*}" || return 1
        case ${rest#*\?releases=} in *[!0-9a-f,]*) return 1 ;; esac
        ;;
    *) return 1 ;;
    esac
}

is_put() {
    case $1 in /v1/tables/*) is_upstream "${1#/v1/tables/}" ;; *) return 1 ;; esac
}

is_upstream() {
    case $1 in '' | [!a-z0-9]* | *[!a-z0-9._-]*) return 1 ;; esac
}

# edge_socket: where this edge's own control is, in $socket: by its own word, never by the order's. What somebody else than
# root may have made there is asked nothing.
edge_socket() {
    socket=$(sed -n 's/^socket=//p' "$ETC/host" | head -n 1)
    socket=${socket:-/run/gopub/edge.sock}
    [ -e "$socket" ] || [ -L "$socket" ] || return 0 # curl says so
    me=$(id -u)
    [ "$(stat -c %F:%u "$socket")" = "socket:$me" ] || fail GP473 "$socket is no socket that root made"
    case $(stat -L -c %u:%A "${socket%/*}/") in
    "$me":d????-??-*) ;;
    *) fail GP473 "$socket lies in a folder that others than root may write to" ;;
    esac
}

# ask_edge METHOD FILE: as gopub asks an edge that is not enrolled.
ask_edge() {
    case $o_arg_signature in *[!A-Za-z0-9+/=:]*) fail GP430 "the table's signature has a character that none has" ;; esac
    in_bounds || fail GP430 "an edge is given 1 to $LONGEST seconds"
    edge_socket
    command -v curl >/dev/null || fail GP420 "this host has no program 'curl'"
    answer curl_edge "$@"
}

curl_edge() {
    file=$2
    set -- --disable --silent --show-error --max-time "$o_arg_within" --unix-socket "$socket" --request "$1" \
        --header Expect: --header 'Content-Type: application/json' --path-as-is --globoff
    [ -z "$o_arg_signature" ] || set -- "$@" --header "X-Gopub-Signature: $o_arg_signature"
    [ -z "$o_trace" ] || set -- "$@" --header "traceparent: $o_trace"
    curl "$@" --data-binary "@$file" --write-out '\n%{http_code}' "http://edge$o_arg_path"
}
