# shellcheck shell=sh disable=SC2015,SC2034,SC2154
# The host program of gopub on an enrolled host: how a list of roles takes the place of the one before. Stands before roles.sh.
#
# A list that changes is laid in steps: all that is new is written beside its place, where nobody reads it; $ETC/roles.next
# says which is meant; new keys come, the list takes its place, old keys go, roles.next goes. It was verified before the
# first, and after the second nothing needs room on the disk: where there is none, the list known before goes on. Whoever
# comes upon roles.next takes the other steps.

# copy FROM TO: TO is it at once or not at all, also when the power fails.
copy() { beside "$@" && mv -f "$2.part" "$2" && sync "${2%/*}"; }

# beside FROM TO: it lies beside its place, on the disk, and needs but a new name.
beside() { cp "$1" "$2.part" 2>/dev/null && chmod "${3:-0644}" "$2.part" && sync "$2.part"; }

# lay FROM TO: as copy, of what may lie beside it.
lay() {
    cmp -s "$1" "$2.part" || beside "$1" "$2" || return 1
    mv -f "$2.part" "$2" && sync "${2%/*}"
}

# write_list: all that is new of the list in $work/list, beside its place; false where it cannot be written.
write_list() {
    for role in release admission controller root; do
        mkdir -p "$ETC/keys/$role" || return 1
        for key in "$work/keys/$role"/*.pem; do
            cmp -s "$key" "$ETC/keys/$role/${key##*/}" || beside "$key" "$ETC/keys/$role/${key##*/}" || return 1
        done
    done
    beside "$work/list" "$ETC/roles" && beside "$work/list" "$ETC/roles.next"
}

# lay_list: the steps after roles.next, for the list whose keys lie below $work/keys. Taken twice they change nothing.
lay_list() {
    for role in release admission controller root; do
        mkdir -p "$ETC/keys/$role" || return 1
        for key in "$work/keys/$role"/*.pem; do
            cmp -s "$key" "$ETC/keys/$role/${key##*/}" || lay "$key" "$ETC/keys/$role/${key##*/}" || return 1
        done
    done
    lay "$ETC/roles.next" "$ETC/roles" || return 1
    for role in release admission controller root; do
        for key in "$ETC/keys/$role"/*; do
            [ -e "$work/keys/$role/${key##*/}" ] || rm -f "$key" || return 1
        done
        sync "$ETC/keys/$role" || return 1
    done
    rm -f "$ETC/roles.next" && sync "$ETC"
}

# settle_list: a list that was half laid when the power failed is laid; where that cannot be, nobody is served.
settle_list() {
    [ -e "$ETC/roles.next" ] || return 0
    lock_list
    [ ! -e "$ETC/roles.next" ] || finish_list
    exec 7>&-
}

finish_list() {
    refusal="GP477"
    work=$(umask 077 && mktemp -d "$RUN/list.XXXXXX") || unwritten "$RUN"
    read_list "$ETC/roles.next"
    know
    if [ "$l_serial" -lt "$k_serial" ]; then # somebody enrolled the host anew since, with a later one
        rm -f "$ETC/roles.next" && sync "$ETC"
    else
        lay_list
    fi || fail GP477 "the list of roles in $ETC/roles.next is half laid, and cannot be finished: see its disk"
    rm -rf "$work"
    work=
}
