# shellcheck shell=sh disable=SC2015,SC2034,SC2154
# The host program of gopub, part 5 of 9: making a staged release the one that runs.
#
# The unit file that systemd gets names the release's own folder where the release's unit says
# /opt/INSTANCE/current. So binary, arguments and config always belong together: whatever restarts the
# service between two steps of a switch, or after a power cut, starts the whole old or the whole new release.

MARK='# Written by gopub for'

do_switch() {
    [ -n "$dir" ] || fail GP430 "a switch needs release and render"
    go_to "$dir"
}

do_rollback() {
    [ -n "$dir" ] || dir=$(cat "$state/previous" 2>/dev/null)
    [ -n "$dir" ] || fail GP438 "this host has no previous release"
    backward=1
    go_to "$dir"
}

go_to() {
    [ -f "$releases/$1/.gopub-manifest" ] || fail GP439 "$1 is not staged on this host"
    manifest "$1"
    digest "$releases/$1/bin/$m_app"
    [ "$digest" = "${o_digest_binary:-$m_binary}" ] ||
        fail GP425 "bin/$m_app of $1 has not the digest of the release"
    remember_previous "$1"
    converge "$1"
    value current "$1"
    value main_pid "$u_pid"
    value invocation "$u_invocation"
    value n_restarts "$u_restarts"
    tell_way
    finish true '' "$1 runs"
}

remember_previous() {
    had_previous=$(cat "$state/previous" 2>/dev/null)
    [ -n "$current" ] && [ "$current" != "$1" ] || return 0
    durable "$state/previous" "$current" || unwritten "$state/previous"
}

# do_stop: back to nothing, or to what was there before gopub: a first release has nothing else to go back to.
do_stop() {
    converge ''
    value current ''
    [ ! -f "$before/manifest" ] || finish true '' "what was there before gopub is there again"
    finish true '' "$o_instance is stopped"
}

# settle: an earlier switch that never ended is finished if `current` moved, else undone.
settle() {
    case ${half%%:*} in switch | rollback | stop) ;; *) return 0 ;; esac
    value settled "${current:-stopped}"
    backward=1
    converge "$current"
    [ -z "$current" ] || tell_way
}

# converge DIR: unit, link and process become those of DIR (empty: stopped), from whatever state they are in.
converge() {
    [ -n "$1" ] || {
        converge_stopped
        return
    }
    [ -f "$releases/$1/.gopub-manifest" ] || fail GP439 "$1, which current names, is not staged on this host"
    manifest "$1"
    aim "$1"
    own_place
    took=
    way_of "$1"
    from_slots "$1"
    by "$way" place "$1"
    [ -z "$leaving" ] || stop_slots
    systemctl is-enabled --quiet "$unit" 2>/dev/null || systemctl enable --quiet "$unit" 2>/dev/null ||
        refused "systemd does not enable $unit"
    exe_facts
    by "$way" take "$1"
    note_start "$1"
    ! goes_loose || let_loose "$1"
}

# The mode restart (see modes.sh).
restart_place() {
    place_unit "$1"
    place_link "$1"
}

restart_take() {
    if [ -n "$unit_changed" ] || [ "$u_active" != active ] || ! runs_file "$releases/$1/bin/$m_app" || ! holds_files "$1"; then
        [ "$way" = socket ] || close_socket
        ! goes_loose || before_restart "$1"
        restart "$1"
    fi
    [ "$way" = socket ] || drop_socket
}

restart_proof() { :; }

# runs_file FILE: whether the unit's process runs it. /opt may be a link: the kernel names the real file.
runs_file() { [ "$exe" = "$(readlink -f "$1")" ]; }

# pinned_text DIR: its unit, with its own folder in the place of `current`.
pinned_text() { sed "s#$home/current\\([/\"' ]\\|\$\\)#$releases/$1\\1#g" "$releases/$1/$unit"; }

place_unit() {
    unit_changed=
    wanted="$MARK $1; do not edit, the next switch writes it again
$(pinned_text "$1")"
    if [ "$wanted" != "$(cat "$unit_file" 2>/dev/null)" ]; then
        durable "$unit_file" "$wanted" || unwritten "$unit_file"
        unit_changed=1
        changed=true
    fi
    [ "$unit_changed$u_reload" = no ] || reload_units
}

# Whether systemd can read its units says nothing of the release. Unit and link may disagree now, so no record is kept.
reload_units() { systemctl daemon-reload || fail_unkept GP451 "systemd does not reload its units"; }

# refused WORDS: systemd did not do to the unit what it was told. That blames the release, unless the machine is on
# its way up or down, or systemd does not answer: then the order, asked again, has to finish what it began.
refused() {
    ! in_passing || fail_unkept GP451 "this machine is ${passing:-without systemd}; $1"
    fail GP441 "$1"
}

place_link() {
    [ "$current" != "$1" ] || return 0
    put_aside
    rm -f "$home/.current"
    ln -s "releases/$1" "$home/.current" && mv -fT "$home/.current" "$home/current" && sync "$home" ||
        unwritten "$home/current"
    current=$1
    changed=true
}

restart() {
    begin_start "$1"
    systemctl reset-failed "$unit" 2>/dev/null
    complaint=$(systemctl restart "$unit" 2>&1) || {
        unit_facts
        close_socket
        refused "$unit does not start ($u_result, exit status $u_status): $(last_words)"
    }
    unit_facts
}

# begin_start DIR: a start begins. One that was begun and not noted keeps what it began with, else a repeat would miss the
# old process.
begin_start() {
    took=1
    changed=true
    load_started
    [ "$s_dir" = "$1" ] && [ -z "$s_invocation$s_old" ] || note "$1" '' "$u_invocation" 0
}

# last_words: what the service said last, for a message; what systemd said of it where it said nothing.
last_words() {
    timeout 5 journalctl --sync 2>/dev/null
    words=$(said _SYSTEMD_UNIT="$unit" --lines 3)
    [ -n "$words" ] || words=$(said --unit "$unit" --lines 3)
    printf %s "$words" | tr '\n' ' ' | cut -c 1-300
}

# last_end: how its last process died. systemd's properties tell of the newest process, which may be alive;
# the message of this number is "Main process exited", and there is none after a good end.
last_end() {
    timeout 5 journalctl --sync 2>/dev/null
    end=$(said --unit "$unit" --lines 1 MESSAGE_ID=98e322203f7a4ed290d09fe03c09fe15)
    end=${end#*Main process exited, }
    printf %s "${end:-after a good end}"
}

# said WHICH..: lines of the journal since the last start that was noted; some seconds more, for the note came later.
said() {
    since=$(stat -c %Y "$state/started" 2>/dev/null) || since=10
    journalctl --quiet --output cat --since "@$((since - 10))" "$@" 2>/dev/null
}

# note_start: which start the next verify has to prove. A start that this call did not make keeps its own past,
# and restarts that happened before this order are not counted against it.
note_start() {
    load_started
    [ "$s_dir.$s_invocation" != "$1.$u_invocation" ] || return 0
    if [ "$s_dir" = "$1" ] && [ -z "$s_invocation" ] && [ -n "$s_old" ]; then
        note "$1" "$u_invocation" '' "$s_restarts" "$s_old"
    elif [ "$s_dir" = "$1" ] && [ -z "$s_invocation" ]; then
        note "$1" "$u_invocation" "$s_before" 0
    else
        note "$1" "$u_invocation" '' "$u_restarts"
    fi
}

load_started() {
    s_dir='' s_invocation='' s_before='' s_restarts=0 s_old=''
    load "$state/started" s
}

# note DIR INVOCATION BEFORE RESTARTS [OLD]: keeps it for load_started. OLD is PID/START of the process from which another one
# took over under the same invocation.
note() {
    durable "$state/started" "dir=$1
invocation=$2
before=$3
restarts=$4${5:+
old=$5}" ||
        unwritten "$state/started"
}

converge_stopped() {
    stop_sides
    unit_facts
    foreign
    if read_before; then
        drop_rest
        bring_back
        return
    fi
    if [ -n "$current" ]; then
        rm -f "$home/current" && sync "$home" || fail GP448 "cannot remove $home/current"
        current=
        changed=true
    fi
    own_place
    [ -e "$unit_file" ] || {
        drop_socket
        drop_rest
        [ "$u_reload" != yes ] || reload_units
        return 0
    }
    systemctl disable --quiet "$unit" 2>/dev/null
    close_socket # before the service: what comes would start it again
    systemctl stop "$unit" || refused "systemd does not stop $unit"
    systemctl reset-failed "$unit" 2>/dev/null
    drop_socket
    rm -f "$unit_file" "$state/started" && sync "${unit_file%/*}" || fail GP448 "cannot remove $unit_file"
    drop_rest
    reload_units
    changed=true
}
