# shellcheck shell=sh disable=SC2015,SC2034,SC2154
# The host program of gopub, mode side-by-side: two units, INSTANCE@a and INSTANCE@b, each a slot with a port of its own.
#
# What comes starts in the slot that does not serve and is proven there, while the other goes on. Then `current` moves: that
# one rename says which slot serves. A unit of a slot starts where `current` names its release, or where this program started
# it since the machine did (its name in $SLOTS, which a start of the machine empties): so after a power cut at any moment the
# slot that serves starts, and no other. What does not serve any more is stopped by the next prune, when no edge needs it.
#
# A release of another mode has the one unit INSTANCE.service. Beside slots it is held to the same rule by a drop-in.

SLOTS=/run/gopub-slots
slot=   # that of what serves: a, b, or empty where that is the one unit, or nothing

# use_slot SLOT: from here on the unit is that of the slot; empty: the one unit.
use_slot() {
    slot=$1
    unit=$o_instance${1:+@$1}.service
    unit_file=/etc/systemd/system/$unit
}

# serving: the unit is that of the slot in which the release lies that `current` names.
serving() {
    for one in a b; do
        ! lies_in "$one" "$current" || break
        one=
    done
    use_slot "$one"
}

# lies_in SLOT DIR: whether the slot's unit is the release's. A release lies in one slot at the most.
lies_in() {
    [ -n "$2" ] && [ -f "/etc/systemd/system/$o_instance@$1.service" ] || return 1
    head=
    read -r head <"/etc/systemd/system/$o_instance@$1.service"
    case $head in "$MARK $2;"*) ;; *) return 1 ;; esac
}

has_slots() {
    for one in a b; do
        ! has_mark "/etc/systemd/system/$o_instance@$one.service" || return 0
    done
    return 1
}

# slot_port SLOT: its port, by the manifest that was read.
slot_port() {
    case $1 in
    a) slot_port=${m_ports%,*} ;;
    b) slot_port=${m_ports#*,} ;;
    *) slot_port= ;;
    esac
}

# at_slot: side by side there is no port but the slot's. So whatever the order asks for is asked there: an answer of the
# other slot, by which digits ever its port was written, would prove nothing.
at_slot() {
    : "${told_port:=$o_arg_port}" "${told_traffic:=$o_arg_traffic_port}" "${told_health:=$o_arg_health}"
    slot_port "$slot"
    o_arg_port=${told_port:+${slot_port:-$told_port}}
    o_arg_traffic_port=${told_traffic:+${slot_port:-$told_traffic}}
    o_arg_health=$told_health
    [ -z "$slot_port" ] || [ -z "$told_health" ] || health_at "$slot_port"
}

# health_at PORT: the health URL with that port.
health_at() {
    rest=${told_health#*://}
    place=${rest%%[/?#]*}
    name=$place
    case $place in *:*) case ${place##*:} in *[!0-9]*) ;; *) name=${place%:*} ;; esac ;; esac
    o_arg_health=${told_health%%://*}://$name:$1${rest#"$place"}
}

tell_slot() {
    slot_port "$slot"
    [ -n "$slot_port" ] || return 0
    value slot "$slot"
    value port "$slot_port"
}

# aim DIR: which unit the release, whose manifest was read, is to run in; in $was_slot the slot that serves until then.
aim() {
    was_slot=$slot was_unit=$unit
    if [ "$m_mode" != side-by-side ]; then
        use_slot ''
        return
    fi
    if [ -z "$current" ]; then
        own_place
        [ -z "$foreign$stands" ] ||
            fail GP547 "${foreign:-$home/current} is from before gopub: no slot takes its place, a release by restart does"
    fi
    free_slot "$1"
    use_slot "$one"
}

# free_slot DIR: the slot that has the release, else the one that does not serve, in $one. Beside the one unit it is the one
# whose port that does not hold, also where the release lay in the other one before.
free_slot() {
    for has in a b; do
        ! lies_in "$has" "$1" || break
        has=
    done
    one=$has
    [ -z "$has" ] || [ "$has" != "$was_slot" ] || return 0
    [ -z "$has" ] || ! systemctl is-active --quiet "$o_instance@$has.service" 2>/dev/null || return 0
    unit_facts
    exe_facts
    listening "$u_pid"
    [ -n "$was_slot" ] || ! systemctl is-active --quiet "$socket" 2>/dev/null || ports=$ports,$(listens_at)
    case $was_slot in
    a) one=b ;;
    b) one=a ;;
    *)
        one=${has:-a}
        slot_port "$one"
        case ,$ports, in *",$slot_port,"*) [ "$one" = a ] && one=b || one=a ;; esac
        ;;
    esac
    slot_port "$one"
    case ,$ports, in *",$slot_port,"*)
        fail GP549 "$unit, which serves, listens on $slot_port, which is the port of the free slot $one" ;;
    esac
}

# listens_at: the ports on which systemd listens for the one unit.
listens_at() {
    systemctl show "$socket" -p Listen --value 2>/dev/null | sed -n 's/^.*:\([0-9]*\) (Stream)$/\1/p' | tr '\n' ','
}

side_place() {
    [ -f "$releases/$1/$unit" ] || fail GP439 "$1 has no $unit"
    [ "$current" = "$1" ] || {
        enough_memory "$1"
        # What is left there of before must not hold the slot's port, nor start in its place.
        [ -z "$was_slot" ] || drop_unit ''
        for one in a b; do
            [ "$o_instance@$one.service" = "$unit" ] || ! lies_in "$one" "$1" || drop_unit "$one"
        done
    }
    [ -d "$releases/$1/.gopub-$1" ] || mkdir "$releases/$1/.gopub-$1" && sync "$releases/$1" || unwritten "$releases/$1"
    unit_changed=
    wanted="$MARK $1; do not edit, the next switch writes it again
$(pinned_text "$1")

[Unit]
$(conditions "$1")"
    if [ "$wanted" != "$(cat "$unit_file" 2>/dev/null)" ]; then
        [ ! -e "$unit_file" ] || systemctl stop "$unit" || refused "systemd does not stop $unit"
        durable "$unit_file" "$wanted" || unwritten "$unit_file"
        unit_changed=1
        changed=true
    fi
    unit_facts
    [ "$unit_changed$u_reload" = no ] || reload_units
}

# conditions DIR: when the unit may start.
conditions() {
    printf 'ConditionPathExists=|%s\nConditionPathExists=|%s' "$home/current/.gopub-$1" "$SLOTS/$unit"
}

# may_start UNIT: it may, until the machine is started again.
may_start() {
    mkdir -p "$SLOTS" && : >"$SLOTS/$1" || unwritten "$SLOTS/$1"
}

side_take() {
    if [ -n "$unit_changed" ] || [ "$u_active" != active ] || ! runs_file "$releases/$1/bin/$m_app"; then
        may_start "$unit"
        side_start "$1"
    fi
    if [ "$current" != "$1" ]; then
        [ "$verb" != switch ] || side_prove
        # What served goes on, also where it dies and systemd starts it again: the edges send to it until they know better.
        [ -z "$current" ] || may_start "$was_unit"
        [ -n "$was_slot" ] || hold_one "$current"
        place_link "$1"
    fi
}

side_start() {
    begin_start "$1"
    systemctl reset-failed "$unit" 2>/dev/null
    complaint=$(systemctl restart "$unit" 2>&1) || {
        unit_facts
        words="$unit does not start ($u_result, exit status $u_status): $(last_words)"
        leave_slot
        refused "$words"
    }
    unit_facts
}

# side_prove: what comes has to run and answer before anything else changes; else it is stopped, and what serves goes on.
side_prove() {
    patience=5
    load_started
    at_slot
    uptime_ds
    deadline=$((now + o_arg_within * 10))
    while :; do
        bad='' why='' hopeless=''
        unit_facts
        exe_facts
        listening "$u_pid"
        look_unit
        [ "$exe_digest" = "$m_binary" ] || wrong GP444 "process $u_pid runs ${exe:-nothing} with another digest than $m_binary"
        look_listen
        look_health
        [ -n "$bad" ] || return 0
        uptime_ds
        [ -z "$hopeless" ] && [ "$now" -lt "$deadline" ] || break
        sleep 0.3
    done
    case $bad in GP442 | GP443 | GP445) holders_of_ports ;; esac
    leave_slot
    [ "$bad" != GP451 ] || fail_unkept "$bad" "$why"
    fail "$bad" "$why"
}

# leave_slot: what came does not stay; what serves is not touched.
leave_slot() {
    systemctl stop "$unit" 2>/dev/null
    systemctl reset-failed "$unit" 2>/dev/null
    rm -f "$SLOTS/$unit"
    use_slot "$was_slot"
}

# What verify asks beside the rest is the slot's port, which `look` asks for already.
side_proof() { :; }

# hold_one DIR: the one unit is pinned to its release, and starts where `current` names it, or where it was started before.
hold_one() {
    [ -n "$1" ] && has_mark "/etc/systemd/system/$o_instance.service" || return 0
    (
        use_slot ''
        place_unit "$1" >/dev/null # one that goes by the link would start what comes
        [ -d "$releases/$1/.gopub-$1" ] || mkdir "$releases/$1/.gopub-$1" && sync "$releases/$1" &&
            mkdir -p "$unit_file.d" && durable "$unit_file.d/gopub-slots.conf" "[Unit]
$(conditions "$1")"
    ) || unwritten "/etc/systemd/system/$o_instance.service.d"
    reload_units
}

# from_slots DIR: a release of another mode comes where a slot serves, or came and was cut. Its unit is in its place, and held,
# before `current` moves; slots are stopped before it starts ($leaving), for it may want a port of theirs, unless it still
# runs beside them.
from_slots() {
    leaving=
    [ "$m_mode" != side-by-side ] && has_slots || return 0
    place_unit "$1"
    unit_facts
    leaving=$unit_changed
    [ "$u_active" = active ] || leaving=1
    may_start "$unit"
    hold_one "$1"
    systemctl is-enabled --quiet "$unit" 2>/dev/null || systemctl enable --quiet "$unit" 2>/dev/null ||
        refused "systemd does not enable $unit"
}

stop_slots() {
    for one in a b; do
        has_mark "/etc/systemd/system/$o_instance@$one.service" || continue
        systemctl stop "$o_instance@$one.service" || refused "systemd does not stop $o_instance@$one.service"
        rm -f "$SLOTS/$o_instance@$one.service"
    done
}

# drop_unit SLOT: that unit runs no more, and is gone.
drop_unit() {
    name=$o_instance${1:+@$1}.service
    has_mark "/etc/systemd/system/$name" || return 0
    [ -n "$1" ] || drop_socket
    systemctl disable --quiet "$name" 2>/dev/null
    systemctl stop "$name" || refused "systemd does not stop $name"
    systemctl reset-failed "$name" 2>/dev/null
    rm -f "/etc/systemd/system/$name" "$SLOTS/$name" && sync /etc/systemd/system ||
        fail GP448 "cannot remove /etc/systemd/system/$name"
    changed=true
}

# drop_beside SLOT: what runs beside it is stopped, and its unit is gone.
drop_beside() {
    keep=$1
    ! has_slots || for one in a b ''; do
        [ "$one" = "$keep" ] || drop_unit "$one"
    done
    drop_rest
}

# drop_rest: what a killed order may have left of files, once the units are those that stay.
drop_rest() {
    rest=/etc/systemd/system/$o_instance
    for place in "$rest.service.d/gopub-slots.conf" "$rest.service.d/gopub-slots.conf.tmp" "$rest.service.tmp" \
        "$rest@a.service.tmp" "$rest@b.service.tmp"; do
        [ -e "$place" ] || continue
        rm -f "$place" || fail GP448 "cannot remove $place"
        changed=true
    done
    [ ! -d "$rest.service.d" ] || rmdir "$rest.service.d" 2>/dev/null
    [ "$changed" = false ] && ! has_slots || {
        sync /etc/systemd/system
        reload_units
    }
}

# stop_sides: nothing is to run: no slot is left. The one unit beside them is held until it is gone: it has an older release.
stop_sides() {
    has_slots || return 0
    [ -z "$slot" ] || {
        rm -f "$home/current" && sync "$home" || fail GP448 "cannot remove $home/current"
        current=
    }
    use_slot ''
    drop_unit a
    drop_unit b
    reload_units
}

# units_of_stage: the units that the rendered files must have.
units_of_stage() {
    case $o_arg_mode in
    side-by-side) echo "$o_instance@a.service $o_instance@b.service" ;;
    *) echo "$o_instance.service" ;;
    esac
}

# pids_of UNIT: its processes.
pids_of() {
    group=$(systemctl show -p ControlGroup --value "$1" 2>/dev/null)
    for procs in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
        [ -z "$group" ] || cat "$procs$group/cgroup.procs" 2>/dev/null
    done | sort -u
}

# pids_beside: the processes of this instance that do not serve.
pids_beside() {
    has_slots || return 0
    for one in a b ''; do
        name=$o_instance${one:+@$one}.service
        [ "$name" = "$unit" ] || ! has_mark "/etc/systemd/system/$name" || pids_of "$name"
    done | tr '\n' ' '
}

# side_values: what the facts tell of it.
side_values() {
    tell_slot
    value beside "$(grep -l -x mode=side-by-side "$releases"/*/.gopub-manifest 2>/dev/null | sed 's#/[^/]*$##; s#.*/##' | tr '\n' ' ' | sed 's/ $//')"
    memory "$unit"
    value memory.free "$mem_free"
    [ "$u_pid" -eq 0 ] || value memory.used "$mem_used"
}
