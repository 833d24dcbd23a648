# shellcheck shell=sh disable=SC2015,SC2034,SC2154
# The host program of gopub, mode side-by-side: whether there is the memory for two processes.

# memory: bytes that one process more would find, in $mem_free, and that those of the unit that serves hold, in $mem_used.
memory() {
    mem_used=$(held_by "$1")
    mem_free=$(awk '$1 == "MemAvailable:" { printf "%.0f", $2 * 1024 }' /proc/meminfo)
    group=$(systemctl show -p ControlGroup --value "$1" 2>/dev/null)
    room=$(room_in "${group%/*}")
    [ -z "$room" ] || [ "$room" -ge "$mem_free" ] || mem_free=$room
    for one in a b ''; do
        name=$o_instance${one:+@$one}.service
        [ "$name" != "$1" ] && has_mark "/etc/systemd/system/$name" || continue
        mem_free=$((mem_free + $(held_by "$name")))
    done
}

# room_in GROUP: the bytes that the limits of a cgroup, and of those around it, leave; nothing where none has a limit. A slice
# or a container may have less than the machine. Pages of files count as room: the kernel drops them first.
room_in() {
    group=$1 told=
    while :; do
        for at in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/memory; do
            told="$told $at$group"
        done
        case $group in */*) group=${group%/*} ;; *) break ;; esac
    done
    # shellcheck disable=SC2086 # names of cgroups have no blanks: systemd writes them as \\x20
    for at in $told; do
        set -- "$@" "$at/memory.max" "$at/memory.high" "$at/memory.current" "$at/memory.limit_in_bytes" \
            "$at/memory.usage_in_bytes" "$at/memory.stat"
    done
    shift
    grep -s -H -e '^[0-9]*$' -e inactive_file "$@" | awk '
        function done() {
            left = most - held + files
            if (most != "" && (room == "" || left < room)) room = left > 0 ? left : 0
            most = ""; held = files = 0
        }
        { split($0, part, "/memory[.]"); value = $0; sub(/.*[: ]/, "", value); kind = part[2]; sub(/:.*/, "", kind) }
        part[1] != at { done(); at = part[1] }
        kind ~ /^(max|high|limit_in_bytes)$/ && value + 0 < 1e18 && (most == "" || value + 0 < most) { most = value + 0 }
        kind ~ /^(current|usage_in_bytes)$/ { held = value }
        kind == "stat" && /:(total_)?inactive_file / { files = value }
        END { done(); if (room != "") printf "%.0f", room }'
}

# held_by UNIT: the bytes that its processes hold.
held_by() {
    pids_of "$1" | while read -r pid; do cat "/proc/$pid/status" 2>/dev/null; done |
        awk '$1 == "VmRSS:" { held += $2 } END { printf "%.0f", held * 1024 }'
}

# enough_memory DIR: for what comes as much as what serves holds; none more where it runs already.
enough_memory() {
    exe_facts
    [ "$u_active" != active ] || ! runs_file "$releases/$1/bin/$m_app" || return 0
    memory "$was_unit"
    [ "$mem_free" -ge "$mem_used" ] ||
        fail GP548 "$mem_free bytes of memory are available for a second process, and the one that serves holds $mem_used"
}
