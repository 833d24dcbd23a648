# shellcheck shell=sh disable=SC2015,SC2034,SC2154
# The host program of gopub, part 1 of 9: words that every other part uses. The parts are one program, so each
# of them uses names that another one sets; `a && b || fail` is meant as it reads: fail ends the program.
#
# The parts are joined in the order base, order, facts, stage, switch, modes, mode_…, verify, runtime, before, job, host and run
# as root by
#     sh -c PROGRAM gopub VERB            an order on standard input, a record on standard output
#     sh FILE VERB ORDER ANSWER           the same as a job of systemd, from and to files
# On an enrolled host signed and pinned stand in the place of host (see pinned.sh), and the program lies there.
# Needs: coreutils, util-linux (flock), tar, gzip, awk, sed, systemd; curl for URLs. Speaks POSIX sh (dash).
#
# It may be killed at any instruction. So: what an order is about to do is on disk before it is done, files
# and links are made beside their place and renamed into it, and every verb can be repeated.
set -u
umask 022
LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH

accepted=    # not empty once the fence let the order in: from then on its record is kept
changed=false
values=
work=        # a folder that is gone when the order ends, however it ends
inbox=       # how files begin that are gone as well: what came in

# value NAME TEXT: adds a value to the record; TEXT is cleaned of anything that could end a line.
value() {
    case $2 in
    *[![:print:]]*) values="${values}value.$1=$(printf '%s' "$2" | tr -c '[:print:]' ' ')
" ;;
    *) values="${values}value.$1=$2
" ;;
    esac
}

# finish OK CODE MESSAGE: writes the record and ends the program.
finish() {
    [ -z "$work$inbox" ] || rm -rf ${work:+"$work"} ${inbox:+"$inbox".*} # before the record: on a full disk it makes the room for it
    message=$3
    case $message in *[![:print:]]*) message=$(printf '%s' "$3" | tr -c '[:print:]' ' ') ;; esac
    [ ${#message} -le 600 ] || message=$(printf '%s' "$message" | cut -c 1-600)
    record="gopub-record=1
host=$o_host
verb=$o_verb
epoch=$o_epoch
token=$o_token
n=$o_n
ok=$1
changed=$changed
code=$2
message=$message
${values}end=1"
    [ -z "$accepted" ] || keep_record "$1" "$2"
    printf '%s\n' "$record"
    [ "$1" = true ]
    exit
}

# fail CODE MESSAGE: the order ends here; asked again with the same n it gives the same record.
fail() { finish false "$1" "$2"; }

# fail_unkept CODE MESSAGE: as fail, but leaves no record: asked again with the same n it is tried again.
fail_unkept() {
    accepted=
    fail "$1" "$2"
}

# durable FILE TEXT: the text becomes FILE at once or not at all, also when the power fails.
durable() {
    printf '%s\n' "$2" >"$1.tmp" && sync "$1.tmp" && mv -f "$1.tmp" "$1" && sync "${1%/*}"
}

# unwritten WHAT: it could not be written; the order ends here, and says so where the disk is full.
unwritten() {
    full "$1"
    fail GP448 "cannot write $1"
}

full() {
    free_space
    [ "$free_bytes" -ge 1000000 ] && [ "$free_inodes" -ge 10 ] || fail GP421 "the disk is full: no room for $1"
}

# load FILE PREFIX: sets PREFIX_key for every key=value line of a file that only this program writes.
load() {
    [ -f "$1" ] || return 0
    while IFS= read -r line; do
        key=${line%%=*}
        case $key in '' | *[!a-z_]*) continue ;; esac
        val=${line#*=}
        eval "$2_$key=\$val"
    done <"$1"
}

is_number() { # 08 is none: a shell that counts takes it for an octal one, and ends there
    case $1 in '' | *[!0-9]* | 0?* | ????????????????*) return 1 ;; esac
}

# is_name TEXT: whether it is the name of a release's folder.
is_name() {
    case $1 in
    ????????????-????????????) is_hex "${1%-*}" && is_hex "${1#*-}" ;;
    *) return 1 ;;
    esac
}

is_hex() {
    case $1 in '' | *[!0-9a-f]*) return 1 ;; esac
}

# short HEX: its first 12 characters, in $short (no subshell: it is called often).
short() {
    rest=${1#????????????}
    short=${1%"$rest"}
}

# digest FILE: its SHA-256, in $digest; empty when it cannot be read.
digest() {
    digest=$(sha256sum 2>/dev/null <"$1")
    digest=${digest%% *}
}

# size FILE: its bytes, in $size.
size() { size=$(stat -c %s "$1" 2>/dev/null) || size=0; }

# uptime_ds: tenths of a second since boot, in $now; a clock that nobody sets.
uptime_ds() {
    read -r now rest </proc/uptime
    rest=${now#*.}
    now=${now%%.*}${rest%?}
}
