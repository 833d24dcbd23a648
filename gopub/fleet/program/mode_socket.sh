# shellcheck shell=sh disable=SC2015,SC2034,SC2154
# The host program of gopub, mode socket: systemd listens, and the service is restarted behind its back. What comes meanwhile
# waits in the kernel's queue. INSTANCE.socket is never enabled: the service's unit requires it, so that one file says
# whether it counts, and whatever starts the service starts the socket first.

# socket_facts: l_active, l_reload (NeedDaemonReload) and l_path of the unit that listens.
socket_facts() {
    l_active='' l_reload='' l_path=''
    while IFS= read -r line; do
        val=${line#*=}
        case $line in
        ActiveState=*) l_active=$val ;;
        NeedDaemonReload=*) l_reload=$val ;;
        FragmentPath=*) l_path=$val ;;
        esac
    done <<END
$(systemctl show "$socket" -p ActiveState,NeedDaemonReload,FragmentPath 2>/dev/null)
END
}

# is_our_socket: whether this program wrote the socket's file.
is_our_socket() { has_mark "$socket_file"; }

socket_place() {
    place_socket "$1"
    restart_place "$1"
}

# place_socket DIR: the file alone; nothing listens by it before the service's unit asks for it.
place_socket() {
    socket_facts
    if ! is_our_socket; then
        [ ! -e "$socket_file" ] && [ ! -L "$socket_file" ] || fail GP440 "$socket_file was not written by gopub"
        [ -z "$l_path" ] || fail GP440 "this host already has $l_path"
    fi
    wanted="$MARK $socket; do not edit, the next switch writes it again
$(cat "$releases/$1/$socket")" || fail GP439 "$1 has no $socket"
    if [ "$wanted" != "$(cat "$socket_file" 2>/dev/null)" ]; then
        durable "$socket_file" "$wanted" || unwritten "$socket_file"
        l_reload=yes
        changed=true
    fi
    [ "$l_reload" = no ] || reload_units
}

socket_take() {
    socket_facts
    digest "$socket_file"
    wanted=$digest
    # systemd starts no socket whose service runs, and one that listens does not notice that its file says something else.
    if [ "$l_active.$(cat "$state/listens" 2>/dev/null)" != "active.$wanted" ]; then
        way_why="$socket is new, is another one or did not listen"
        begin_start "$1"
        systemctl stop "$socket" "$unit" || refused "systemd does not stop $socket and $unit"
        systemctl reset-failed "$socket" "$unit" 2>/dev/null
        complaint=$(systemctl start "$socket" 2>&1) ||
            refused "$socket does not listen: $(said --unit "$socket" --lines 3 | tr '\n' ' ' | cut -c 1-300)"
        durable "$state/listens" "$wanted" || unwritten "$state/listens"
        unit_facts
        unit_changed=1
    fi
    restart_take "$1"
}

# A port that is held proves nothing here: systemd holds it, and every process of the unit inherits it. The health URL is
# answered by a process that lives; a port that is not asked is not proven.
socket_proof() {
    socket_facts
    [ "$l_active" = active ] || wrong GP530 "$socket is ${l_active:-not there}: nobody listens"
    [ -n "$o_arg_health" ] || c_listen="$c_listen, not asked"
    [ "$o_arg_traffic_port" = "$o_arg_port" ] && [ -n "$o_arg_health" ] || c_traffic="$c_traffic, not asked"
}

# close_socket: nobody is kept waiting for a service that does not start, or that is none of this mode any more.
close_socket() {
    is_our_socket || return 0
    systemctl stop "$socket" 2>/dev/null || refused "systemd does not stop $socket"
}

# drop_socket: no socket of this program is left.
drop_socket() {
    is_our_socket || return 0
    close_socket
    rm -f "$socket_file" "$state/listens" && sync "${socket_file%/*}" || fail GP448 "cannot remove $socket_file"
    systemctl reset-failed "$socket" 2>/dev/null
    reload_units
    changed=true
}
