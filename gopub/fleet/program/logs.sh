# shellcheck shell=sh disable=SC2015,SC2030,SC2031,SC2034,SC2094,SC2154
# The program of an enrolled host: the verb logs, one reading of what the instance's own service said.
#
# What is run is the text that is sent to hosts that are not enrolled (gopub/tails). Here it reads nothing but
#     the journal of INSTANCE.service, where gopub wrote that unit, or it was adopted, or there is none
#     a file (arg.path) below /var/log, /var/lib/gopub-logs, or the folders that the instance keeps things in
# The answer is the record, and behind its last line what was read, byte for byte (answer).

o_arg_path='' o_arg_cursor='' o_arg_age=0 o_arg_most=0 o_arg_lines=0
MOST_READ=2097152  # bytes of one answer
MOST_LOOKED=20000  # lines of the journal
LONGEST=60         # seconds
MOST_SAID=4194304  # bytes that anything may print

do_logs() {
    for text in "$o_arg_age" "$o_arg_most" "$o_arg_lines"; do
        is_number "$text" || fail GP430 "'$text' is not a number that an order can hold"
    done
    [ "$o_arg_most" -le "$MOST_READ" ] && [ "$o_arg_lines" -le "$MOST_LOOKED" ] && in_bounds ||
        fail GP430 "a reading has at most $MOST_READ bytes, $MOST_LOOKED lines and $LONGEST seconds"
    read_current
    [ -z "$o_arg_path" ] || read_file
    is_readable || fail GP473 "$unit is no service of gopub's on this host: its journal is not read"
    case $o_arg_cursor in *[!A-Za-z0-9=\;._-]*) fail GP430 "no journal has the place '$o_arg_cursor'" ;; esac
    answer sh -c "$(journal_text)" gopub "$unit" "$o_arg_cursor" "$o_arg_age" "$o_arg_most" "$o_arg_lines" "$o_arg_within"
}

# in_bounds: whether the order says for how many seconds, and no more than there may be.
in_bounds() { [ "$o_arg_within" -gt 0 ] && [ "$o_arg_within" -le "$LONGEST" ]; }

# is_readable: another service's journal is nobody's business, whatever instance an order names.
is_readable() {
    ! is_marked || return 0
    [ ! -f "$before/manifest" ] || return 0
    unit_facts
    [ "$u_load" = not-found ]
}

read_file() {
    file_place || fail GP430 "no file has the place '$o_arg_cursor'"
    log_folders
    is_log "$o_arg_path" || fail GP473 "$o_arg_path is not read: logs lie below $(printf %s "$folders" | tr '\n' ' ')"
    is_own "$o_arg_path" || fail GP473 "$o_arg_path is not read: $unit is no service of gopub's on this host"
    real=$(readlink -f "$o_arg_path")
    [ -z "$real" ] || is_below "$real" || fail GP473 "$o_arg_path is not read: it leads to $real"
    [ ! -e "$o_arg_path" ] || [ -f "$o_arg_path" ] || fail GP473 "$o_arg_path is not read: it is no regular file"
    answer timeout "$o_arg_within" sh -c "$(logfile_text)" gopub "$o_arg_path" "$inode" "$offset" "$o_arg_most" "$real_folders"
}

# file_place: where the last reading ended, INODE:OFFSET, in $inode and $offset; no inode before the first one.
file_place() {
    inode='' offset=0
    [ -n "$o_arg_cursor" ] || return 0
    inode=${o_arg_cursor%%:*} offset=${o_arg_cursor#*:}
    [ "$inode:$offset" = "$o_arg_cursor" ] && is_number "$offset" || return 1
    case $inode in
    none) ;; # there was no file
    '' | *[!0-9]* | ?????????????????????*) return 1 ;;
    esac
}

# log_folders: where logs lie, in $folders, and where these really are, in $real_folders: root alone makes links there.
log_folders() {
    folders="/var/log
/var/lib/gopub-logs
$home/shared
/var/lib/$o_instance"
    real_folders=$(printf '%s\n' "$folders" | while read -r folder; do readlink -f "$folder"; done)
}

# is_log PATH: whether it is plainly below one of the folders.
is_log() {
    case $1 in *[[:cntrl:]]* | *//* | */./* | */../* | */. | */.. | */) return 1 ;; esac
    case $1 in /var/log/* | /var/lib/gopub-logs/* | "$home"/shared/* | /var/lib/"$o_instance"/*) ;; *) return 1 ;; esac
}

# is_own PATH: what a service keeps is read where gopub runs that service: an order may name any instance. Of one that was
# adopted only what it shares; that a file is not there yet may be told.
is_own() {
    case $1 in /var/log/* | /var/lib/gopub-logs/*) return 0 ;; esac
    ! is_marked || return 0
    case $1 in "$home"/shared/*) [ ! -f "$before/manifest" ] || return 0 ;; esac
    [ ! -e "$1" ] && [ ! -L "$1" ]
}

# is_below PATH: whether it is below a real folder; what is read asks that again of what was opened.
is_below() {
    while read -r folder; do
        case $folder:$1 in /*:"$folder"/*) return 0 ;; esac
    done <<END
$real_folders
END
    return 1
}

# answer WORDS..: runs them and tells their exit code and how much they printed, then what: first all that they said on
# standard output, then on standard error. It is kept where nobody finds it, and is gone with this process.
answer() {
    kept=$(umask 077 && mktemp -d "$RUN/answer.XXXXXX") || fail GP448 "cannot write below $RUN"
    exec 3>"$kept/out" 4<"$kept/out" 5>"$kept/err" 6<"$kept/err"
    rm -rf "$kept"
    (
        ulimit -f $((MOST_SAID / 512))
        exec 4<&- 6<&-
        "$@" </dev/null >&3 2>&5 3>&- 5>&-
    )
    value exit "$?"
    value out "$(stat -L -c %s /proc/self/fd/4)"
    value err "$(stat -L -c %s /proc/self/fd/6)"
    [ -z "$inbox" ] || leave_inbox
    (work='' && finish true '' '')
    cat <&4 && cat <&6
    exit
}
