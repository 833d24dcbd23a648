# shellcheck shell=sh disable=SC2015,SC2034,SC2154
# The host program of gopub, a part of its proof: the variables and limits that a release says are those of the process.
#
# INSTANCE.runtime in the release folder has a line for each, "variable NAME=TEXT" or "limit NAME=NUMBER". An environment
# holds secrets: of /proc/PID/environ nothing is read but the variables of these names, and nothing else is told. A limit
# of systemd's that this kernel does not hold is no limit, and is told like one that differs.

# look_runtime: what the main process has, in $c_runtime (lines for the record); wrong GP572 where it is another.
look_runtime() {
    c_runtime=
    [ -n "$dir" ] && [ "$dir" = "$current" ] && [ -f "$releases/$dir/$o_instance.runtime" ] && [ "$u_pid" -gt 0 ] || return 0
    while IFS= read -r line; do
        kind=${line%% *} text=${line#* }
        name=${text%%=*} wants=${text#*=} has=
        case $name in '' | *[!A-Za-z0-9_]*) continue ;; esac
        case $kind in
        variable) look_variable ;;
        limit) look_limit ;;
        esac
    done <"$releases/$dir/$o_instance.runtime"
}

look_variable() {
    # the first of that name is the one that programs get; a dot marks that there is one, since it may be empty
    has=$(sed -z -n "/^$name=/{s///;s/\$/./p;q}" "/proc/$u_pid/environ" 2>/dev/null | tr '\n\0' ' \n' | head -c 1000)
    case $has in
    *.) has=${has%.} && found "runtime.$name" "$has" ;;
    *) has='not set' && found "runtime.$name" '' ;;
    esac
    [ "$has" = "$wants" ] || differs "the variable $name of process $u_pid is $has, not $wants"
}

look_limit() {
    case $name in
    files) has=$(of_process 'Max open files') ;;
    processes) has=$(of_process 'Max processes') ;;
    core) has=$(of_process 'Max core file size') ;;
    locked) has=$(of_process 'Max locked memory') ;;
    memory) has=$(of_group memory.max memory/ memory.limit_in_bytes) ;;
    tasks) has=$(of_group pids.max pids/ pids.max) ;;
    cpu) has=$(share_of_cpu) ;;
    *) return 0 ;;
    esac
    found "limit.$name" "${has:-none}"
    meant=$has
    # the kernel keeps memory in pages
    [ "$name" != memory ] || ! is_number "$has" || [ $((has / 65536)) -ne $((wants / 65536)) ] || meant=$wants
    [ "$meant" = "$wants" ] ||
        differs "the limit $name of $unit is ${has:-none (its cgroup holds no such limit)}, not $wants"
}

# of_process NAME: a limit of the main process; soft:hard where these differ.
of_process() {
    awk -v name="$1" 'index($0, name) == 1 { $0 = substr($0, length(name) + 1); print $1 == $2 ? $1 : $1 ":" $2 }' \
        "/proc/$u_pid/limits" 2>/dev/null
}

# of_group FILE FOLDER OLD: what the unit's cgroup says, in the second version of cgroups or in the first.
of_group() {
    [ -n "$u_cgroup" ] && [ "$u_cgroup" != / ] || return 0
    cat "/sys/fs/cgroup$u_cgroup/$1" 2>/dev/null || cat "/sys/fs/cgroup/unified$u_cgroup/$1" 2>/dev/null ||
        cat "/sys/fs/cgroup/$2$u_cgroup/$3" 2>/dev/null
}

share_of_cpu() {
    quota=$(of_group cpu.max cpu/ cpu.cfs_quota_us)
    period=${quota#* }
    [ "$period" != "$quota" ] || period=$(of_group cpu.max cpu/ cpu.cfs_period_us)
    quota=${quota%% *}
    is_number "$quota" && is_number "$period" && [ "$period" -gt 0 ] && echo $((quota * 100 / period))
}

# found NAME TEXT: one more line for the record.
found() {
    c_runtime="$c_runtime$1=$2
"
}

# differs WORDS: a process keeps what it was started with, so waiting does not help.
differs() {
    [ -n "$bad" ] || hopeless=1
    wrong GP572 "$1"
}

runtime_values() {
    while IFS= read -r line; do
        [ -z "$line" ] || value "${line%%=*}" "${line#*=}"
    done <<END
$c_runtime
END
}
