# shellcheck shell=sh disable=SC2015,SC2034,SC2154
# The host program of gopub, part 2 of 9: reading an order, and the fence that lets it in.
#
# An order is key=value lines up to an empty line; what follows on standard input is the payload.
# `trace` is a W3C traceparent: it is noted and handed on, and counts for nothing, least of all for what is the same order.
# The fence: a higher epoch, or the same epoch and token with a higher n. The same n gives the kept record.

o_host='' o_verb='' o_epoch=0 o_token='' o_n=0 o_gopub='' o_machine_id='' o_instance='' o_app='' o_env=''
o_release='' o_render='' o_reason='' o_digest_archive='' o_digest_binary='' o_digest_files=''
o_arg_url='' o_arg_archive_size=0 o_arg_files_size=0 o_arg_files_unpacked=0 o_arg_binary_size=0 o_arg_user=''
o_arg_health='' o_arg_port='' o_arg_traffic_port='' o_arg_within=30 o_arg_settle=2 o_arg_remove='' o_arg_stop_timeout=90
o_arg_health_host='' o_arg_health_accept=2xx o_arg_lock_wait=60 o_arg_download_timeout=600 o_arg_mode='' o_arg_ports=''
o_arg_hook='' o_arg_id='' o_arg_again='' o_trace=''
words=0      # how many words a hook has; they are o_arg_word_0, o_arg_word_1 and so on
o_arg_both='' o_arg_reload='' confirms=0 # how many words o_arg_confirm_0, o_arg_confirm_1 and so on are
checks=0     # how many words the config check has; they are o_arg_check_0, o_arg_check_1 and so on
signed_by=   # on an enrolled host one more line for the state: whose order it was
order_text=  # what counts of the order: without the URL (a secret) and without how long to wait

read_order() {
    whole=
    while IFS= read -r line; do
        [ -n "$line" ] || {
            whole=1
            break
        }
        take_line "$line"
    done
    [ -n "$whole" ] || fail GP430 "the order ends before its empty line"
    check_order
    paths
}

take_line() {
    key=${1%%=*} val=${1#*=} name=${1%%=*}
    case $key in
    gopub | host | verb | machine_id | instance | app | env | epoch | token | n | release | render | reason | trace) ;;
    digest.archive | digest.binary | digest.files) ;;
    arg.url | arg.archive_size | arg.files_size | arg.files_unpacked | arg.binary_size | arg.user | arg.health) ;;
    arg.port | arg.traffic_port | arg.health_host | arg.health_accept) ;;
    arg.within | arg.settle | arg.remove | arg.stop_timeout | arg.lock_wait | arg.download_timeout | arg.mode | arg.ports) ;;
    arg.hook | arg.id | arg.again) ;;
    arg.word.[0-9] | arg.word.[1-9][0-9]) words=$((words + 1)) ;;
    arg.check.[0-9] | arg.check.[1-9][0-9]) checks=$((checks + 1)) ;;
    arg.reload | arg.both) ;;
    arg.confirm.[0-9] | arg.confirm.[1-9][0-9]) confirms=$((confirms + 1)) ;;
    *) fail GP430 "the order has the key '$key', which this program does not know" ;;
    esac
    while :; do case $name in *.*) name=${name%%.*}_${name#*.} ;; *) break ;; esac done
    eval "o_$name=\$val"
    case $key in arg.url | arg.lock_wait | trace) ;; *) order_text="$order_text$1
" ;; esac
}

check_order() {
    [ "$o_gopub" = 1 ] || fail GP430 "orders of format '$o_gopub' are not understood here, only 1"
    [ "$o_verb" = "$verb" ] || fail GP430 "the order says '$o_verb', the call says '$verb'"
    case $o_instance in
    [a-z]*) ;;
    *) fail GP430 "'$o_instance' is no name for an instance" ;;
    esac
    case $o_instance$o_app in *[!a-z0-9-]*) fail GP430 "'$o_instance', '$o_app': names have a-z, 0-9 and -" ;; esac
    for text in "$o_epoch" "$o_n" "$o_arg_archive_size" "$o_arg_files_size" "$o_arg_files_unpacked" \
        "$o_arg_binary_size" "$o_arg_within" "$o_arg_settle" "$o_arg_stop_timeout" "$o_arg_lock_wait" "${o_arg_port:-0}" \
        "${o_arg_traffic_port:-0}" "$o_arg_download_timeout"; do
        is_number "$text" || fail GP430 "'$text' is not a number that an order can hold"
    done
    is_trace "$o_trace" || fail GP430 "'$o_trace' is no traceparent"
    case $o_arg_reload in *[!A-Za-z0-9._@+/\ -]*) fail GP430 "'$o_arg_reload' are no names of files" ;; esac
    for text in "$o_digest_archive" "$o_digest_binary" "$o_digest_files"; do
        [ -z "$text" ] || { is_hex "$text" && [ ${#text} -eq 64 ]; } || fail GP430 "'$text' is no SHA-256 digest"
    done
    case $o_arg_ports in '' | [1-9]*,[1-9]*) ;; *) fail GP430 "'$o_arg_ports' are no two ports" ;; esac
    case $o_arg_ports in *[!0-9,]* | *,*,*) fail GP430 "'$o_arg_ports' are no two ports" ;; esac
    is_mode "$o_arg_mode" || fail GP430 "'$o_arg_mode' is no mode of switching that this program knows"
    for text in "$o_release" "$o_render"; do
        [ -z "$text" ] || { is_hex "$text" && [ ${#text} -ge 12 ]; } || fail GP430 "'$text' is no release or render id"
    done
}

# is_trace TEXT: whether it is a W3C traceparent of version 00, or none.
is_trace() {
    case $1 in
    '') ;;
    *[!0-9a-f-]*) return 1 ;;
    00-????????????????????????????????-????????????????-??) ;;
    *) return 1 ;;
    esac
}

# of_trace: the id of the order's trace, in $of_trace; a dash where it has none.
of_trace() {
    of_trace=${o_trace#00-}
    of_trace=${of_trace%%-*}
    : "${of_trace:=-}"
}

# paths: where everything of this instance lies.
paths() {
    home=/opt/$o_instance
    releases=$home/releases
    state=$home/.gopub
    unit=$o_instance.service
    unit_file=/etc/systemd/system/$unit
    socket=$o_instance.socket
    socket_file=/etc/systemd/system/$socket
    before=$state/before           # what was there before gopub, where somebody gave the word for it
    aside=$releases/before-gopub   # where a folder `current` of that time lies; no name of a release
    short "$o_release"
    dir=$short
    short "$o_render"
    dir=$dir-$short
    [ -n "$o_release$o_render" ] || dir=
}

# read_current: the name of the release folder that `current` points to, in $current; empty when there is none, also
# where another tool made the link.
read_current() {
    current=$(readlink "$home/current" 2>/dev/null)
    current=${current##*/}
    is_name "$current" || current=
    serving
}

# right_machine: a machine that was replaced under the same name must not take the old one's orders.
right_machine() {
    read -r machine_id </etc/machine-id
    [ "$o_machine_id" = "$machine_id" ] ||
        fail GP434 "the order is for machine ${o_machine_id:-(none)}, this is $machine_id"
}

needs_root() {
    [ "$(id -u)" = 0 ] || fail GP420 "the host program needs root, it runs as $(id -un)"
    for tool in flock tar gzip awk sed sha256sum systemctl systemd-run; do
        command -v "$tool" >/dev/null || fail GP420 "this host has no program '$tool'"
    done
}

# locked: one order at a time for an instance; the lock ends with this process.
locked() {
    make_folders
    { true >>"$state/lock"; } 2>/dev/null || unwritten "$state/lock" # exec would end the program without a word
    exec 9>>"$state/lock"
    flock -w "$o_arg_lock_wait" 9 ||
        fail_unkept GP436 "another order has held the lock of $o_instance for ${o_arg_lock_wait}s"
    read_current
}

make_folders() {
    [ ! -d "$state/jobs" ] || return 0
    mkdir -p "$home/shared" "$releases" "$state/jobs" && chmod 700 "$state" ||
        unwritten "the folders under $home"
}

load_state() {
    h_epoch=0 h_token='' h_n=0 h_order='' h_verb='' h_to=''
    k_epoch=0 k_token='' k_n=0 k_ok='' k_changed=''
    load "$state/state" h
    load "$state/record" k
    half=
    [ "$h_epoch.$h_token.$h_n" = "$k_epoch.$k_token.$k_n" ] || half=$h_verb:$h_to
}

# fence: lets the order in, refuses it, or repeats the record that is kept of it.
fence() {
    in_turn
    intend
    accepted=1
}

# in_turn: ends here for an order that is not to be let in, or was carried out before.
in_turn() {
    read_state
    digest=$(printf '%s' "$order_text" | sha256sum)
    order_digest=${digest%% *}
    holds="this host holds epoch $h_epoch, token ${h_token:-(none)}, n $h_n"
    is_hex "$o_token" || fail GP430 "'$o_token' is no token"
    [ "$o_epoch" -ge "$h_epoch" ] || fail GP431 "epoch $o_epoch is over: $holds"
    if [ "$o_epoch" -eq "$h_epoch" ]; then
        [ "$o_token" = "$h_token" ] || fail GP432 "epoch $o_epoch belongs to another token: $holds"
        [ "$o_n" -ge "$h_n" ] || fail GP433 "n $o_n is over: $holds"
        [ "$o_n" -gt "$h_n" ] || repeat
    fi
}

repeat() {
    [ "$order_digest" = "$h_order" ] || fail GP435 "n $o_n was another order here: $holds"
    [ -z "$half" ] || return 0 # it was let in but never ended: do it now
    sed "s/^changed=.*/changed=false/; s/^end=1\$/value.repeated=true\nvalue.first_changed=$k_changed\nend=1/" \
        "$state/record"
    [ "$k_ok" = true ]
    exit
}

# intend: the intent record. Whoever comes next learns from it what may be half done.
intend() {
    durable "$state/state" "epoch=$o_epoch
token=$o_token
n=$o_n
order=$order_digest
verb=$o_verb
from=$current
to=$dir$signed_by" || unwritten "$state/state"
}

keep_record() {
    durable "$state/record" "$record" || {
        record="${record%end=1}value.kept=false
end=1" # the truth for the asker; asked again, the order is carried out again, which changes nothing
        return
    }
    of_trace
    printf '%s epoch=%s n=%s verb=%s to=%s ok=%s code=%s trace=%s reason=%s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" \
        "$o_epoch" "$o_n" "$o_verb" "$dir" "$1" "$2" "$of_trace" "$o_reason" >>"$state/history"
}
