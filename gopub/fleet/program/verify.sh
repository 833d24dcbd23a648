# shellcheck shell=sh disable=SC2015,SC2034,SC2154
# The host program of gopub, part 6 of 9: proof that the process that serves is the release, and nothing else.
#
# In order: the unit is active; it did not restart by itself; the file that its main process runs has the
# signed digest; that process started with the switch; it holds its ports; the health URL answers what it
# should; it has the variables and limits that its release says (runtime.sh).
# What can still come right is tried again until arg.within seconds are over; then all of it must hold for
# arg.settle seconds more. A restart by itself ends the waiting at once: it will not get better.

do_verify() {
    patience=5
    expect
    uptime_ds
    deadline=$((now + o_arg_within * 10))
    while :; do
        look
        [ -n "$bad" ] || break
        uptime_ds
        [ -z "$hopeless" ] && [ "$now" -lt "$deadline" ] || judge
        sleep 0.3
    done
    uptime_ds
    deadline=$((now + o_arg_settle * 10))
    while [ "$now" -lt "$deadline" ]; do
        sleep 0.5
        look
        [ -z "$bad" ] || judge
        uptime_ds
    done
    judge
}

# do_status: one look, without waiting, without a fence; for the judge and for people.
# A service that hangs is asked three times by the judge, so it is not given long.
do_status() {
    patience=2
    expect
    look
    read_state
    value half "$half"
    judge
}

# expect: what should run: the order's release, else the one that `current` names.
expect() {
    read_current
    [ -n "$dir" ] || dir=$current
    manifest "$dir"
    mode=restart
    ! is_mode "$m_mode" || mode=${m_mode:-restart}
    [ -n "$o_digest_binary" ] || o_digest_binary=$m_binary
    load_started
}

judge() {
    value current "$current"
    value boot_id "$(cat /proc/sys/kernel/random/boot_id)"
    value restarts "$restarts"
    value result "$u_result"
    value exit_status "$u_status"
    tell_slot
    value check.unit "$c_unit"
    value check.restarts "$c_restarts"
    value check.exe "$c_exe"
    value check.start "$c_start"
    value check.listen "$c_listen"
    value check.traffic "$c_traffic"
    value check.health "$c_health"
    old_one
    [ -z "$m_reload" ] || value check.config "$c_config"
    unit_values
    runtime_values
    case $bad in GP442 | GP443 | GP445) holders_of_ports ;; esac
    [ "$bad" != GP451 ] || fail_unkept "$bad" "$why"
    [ -z "$bad" ] || finish false "$bad" "$why"
    finish true '' "${dir:-nothing} serves"
}

wrong() {
    [ -z "$bad" ] || return 0
    bad=$1 why=$2
}

# look: all checks once; the first that fails is in $bad and $why, $hopeless says that waiting will not help.
look() {
    bad='' why='' hopeless=''
    c_unit='' c_restarts='' c_exe='' c_start='' c_listen=unchecked c_traffic=unchecked c_health=unchecked c_config=unchecked
    read_current
    unit_facts
    exe_facts
    listening "$u_pid"
    at_slot
    look_unit
    look_exe
    look_listen
    by "$mode" proof
    look_health
    look_runtime
    look_config
}

look_unit() {
    restarts=$((u_restarts - s_restarts))
    [ "$restarts" -ge 0 ] || restarts=$u_restarts # somebody restarted it by hand: the count began again
    c_restarts=$restarts
    if [ "$restarts" -gt 0 ]; then
        hopeless=1
        again="$restarts times"
        [ "$restarts" -gt 1 ] || again=once
        wrong GP443 "$unit restarted $again by itself ($(last_end)): $(last_words)"
    fi
    c_unit=$u_active/$u_sub
    [ "$u_active" != active ] || return 0
    ! in_passing || wrong GP451 "this machine is ${passing:-without systemd}, $unit is $u_active"
    case $u_active in failed | inactive) hopeless=1 ;; esac
    wrong GP442 "$unit is $u_active ($u_result, exit status $u_status): $(last_words)"
}

look_exe() {
    c_exe=$exe_digest
    [ -n "$dir" ] && [ "$dir" = "$current" ] || wrong GP444 "current is ${current:-nothing}, not ${dir:-a release}"
    [ -n "$exe_digest" ] && [ "$exe_digest" = "$o_digest_binary" ] ||
        wrong GP444 "process $u_pid runs ${exe:-nothing} with digest ${exe_digest:-(none)}, not $o_digest_binary$(unproven)"
    c_start=$u_invocation
    [ -z "$s_before" ] || [ "$s_before" != "$u_invocation" ] ||
        wrong GP447 "it is still the process from before the switch (invocation $u_invocation)"
}

# look_listen: a service may answer the health check on one port and the traffic on another; both have to be its own.
look_listen() {
    holds "$o_arg_port" 'of the health check'
    c_listen=$held
    holds "$o_arg_traffic_port" 'of the traffic'
    c_traffic=$held
}

# holds PORT WHAT: whether the process holds it, in $held.
holds() {
    held=unchecked
    [ -n "$1" ] || return 0
    held=$1
    case ,$ports, in *",$1,"*) return 0 ;; esac
    held=no
    [ -n "$bad" ] ||
        wrong GP445 "process $u_pid does not listen on port $1 $2 ($(who_listens "$1")), it listens on ${ports:-none}"
}

# who_listens PORT: another process that holds it, for the message.
who_listens() {
    inode=$(listener "$1")
    [ -n "$inode" ] || {
        echo "nobody does"
        return
    }
    holder=$(holder_of "$inode")
    echo "held by process ${holder:-?} $(cat "/proc/$holder/comm" 2>/dev/null)"
}

# holders_of_ports: who else holds a port that the service needs, as values: whoever reads of several hosts compares these,
# and does not blame the release. As in the survey before (taken), one on another address alone need not be in the way.
holders_of_ports() {
    for port in $o_arg_port $o_arg_traffic_port; do
        inode=$(listener "$port" '^0+$|^0+1000000$|^......7F$')
        [ -n "$inode" ] || continue
        holder=$(holder_of "$inode")
        [ -n "$holder" ] && ! is_the_units "$holder" && ! is_the_socket "$holder" || continue
        value taken.port "$port"
        value taken.pid "$holder"
        value taken.by "$(cat "/proc/$holder/comm" 2>/dev/null)"
        return
    done
}

# is_the_units PID: whether it is a process of the unit.
is_the_units() {
    [ "$1" = "$u_pid" ] || { [ -n "$u_cgroup" ] && grep -qF -- "$u_cgroup" "/proc/$1/cgroup" 2>/dev/null; }
}

# is_the_socket PID: whether it is systemd, which listens for the unit.
is_the_socket() {
    [ "$1" = 1 ] && systemctl is-active --quiet "$socket" 2>/dev/null
}

# listener PORT [ADDRESSES]: the socket that listens there, IPv4 or IPv6; on any address, or on one that fits (in hex).
listener() {
    hex=$(printf '%04X' "$1")
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v port="$hex" -v fits="${2:-.}" '
        $4 == "0A" { split($2, at, ":"); if (at[2] == port && at[1] ~ fits) { print $10; exit } }'
}

# holder_of INODE: the process that holds the socket.
holder_of() {
    # shellcheck disable=SC2012 # link texts are wanted, names are numbers
    ls -l /proc/[0-9]*/fd 2>/dev/null | awk -v inode="socket:[$1]" '
        /^\/proc/ { split($1, part, "/") } index($0, inode) { print part[3]; exit }'
}

look_health() {
    [ -n "$o_arg_health" ] || return 0
    case $o_arg_health in *[\"\\[:space:]]*) fail GP430 "the health URL has a character that is not allowed" ;; esac
    case $o_arg_health_host in *[!A-Za-z0-9.:_\[\]-]*) fail GP430 "the health check's host has a character that is not allowed" ;; esac
    host_line=${o_arg_health_host:+"header = \"Host: $o_arg_health_host\""}
    trace_line=${o_trace:+"header = \"traceparent: $o_trace\""}
    c_health=$(printf 'url = "%s"\n%s\n%s\n' "$o_arg_health" "$host_line" "$trace_line" |
        curl --config - --globoff --silent --show-error --noproxy '*' \
            --proto =http,https --insecure --max-time "$patience" --output /dev/null --write-out '%{http_code}' 2>&1)
    means_well "$c_health" || case $c_health in
    *000) wrong GP446 "no health answer from $o_arg_health: ${c_health%000}" ;;
    *) wrong GP446 "$o_arg_health answers $c_health$(unusual)" ;;
    esac
}

# means_well CODE: whether arg.health_accept, such as 2xx,401, has it.
means_well() {
    case $1 in [1-9][0-9][0-9]) ;; *) return 1 ;; esac
    case ,$o_arg_health_accept, in *",$1,"* | *",${1%??}xx,"*) return 0 ;; esac
    return 1
}

# unusual: how it was asked, where that is not the usual way.
unusual() {
    [ -z "$o_arg_health_host" ] || printf ' to %s' "$o_arg_health_host"
    [ "$o_arg_health_accept" = 2xx ] || printf ', not %s' "$o_arg_health_accept"
}
