# shellcheck shell=sh disable=SC2015,SC2034,SC2154
# The host program of gopub: the ways in which the process that serves becomes that of another release.
#
# Each mode has a part of its own (mode_MODE.sh, restart is in switch.sh) with the same functions:
#     MODE_place DIR    unit, other files of systemd, and the link are those of DIR
#     MODE_take DIR     the process becomes that of DIR; what is DIR's already stays
#     MODE_proof        what verify asks beside the rest; says it by `wrong`
# A release's mode stands in its manifest, so a host needs nobody's knowledge to go on with it, or back.

# by WAY STEP WORD..: the table.
by() {
    step=$2
    case $1 in
    restart) shift 2 && "restart_$step" "$@" ;;
    socket) shift 2 && "socket_$step" "$@" ;;
    handover) shift 2 && "handover_$step" "$@" ;;
    reload) shift 2 && "reload_$step" "$@" ;;
    config) "config_$step" "$3" ;; # no mode of its own: files alone changed (mode_config.sh)
    side-by-side) shift 2 && "side_$step" "$@" ;;
    *) fail GP430 "'$1' is no way to switch that this program knows" ;;
    esac
}

# is_mode TEXT: whether a release may have it; restart is said by none.
is_mode() {
    case $1 in '' | socket | handover | reload | side-by-side) ;; *) return 1 ;; esac
}

had_previous='' # what was the previous release before this order
backward=    # not empty on the way back, and where an order that was cut is settled: there a restart is the last resort

# way_of DIR: by which way the process becomes that of the release, whose manifest was read, in $way; why that is not its mode's
# own, in $way_why. Decides only. A mode that this program does not know can still be restarted. Needs unit_facts.
way_of() {
    way=${m_mode:-restart} way_why=''
    ! takes_in "$1" || {
        way=config
        return
    }
    is_mode "$m_mode" || way_why="this program knows no mode $m_mode"
    ! is_handed "$m_mode" || why_restart "$1"
    [ -z "$way_why" ] || way=restart
}

# tell_way: how the process was brought there, for the record; nothing where it was there already.
tell_way() {
    [ -n "$took" ] || return 0
    value way "$way"
    [ -z "$way_why" ] || value way_why "$way_why"
}
