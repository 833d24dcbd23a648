# shellcheck shell=sh disable=SC2015,SC2034,SC2154
# The host program of gopub, part 3 of 9: what is so on this host. Changes nothing, takes no lock.

# unit_facts: u_load, u_active, u_sub, u_pid, u_restarts, u_invocation, u_result, u_status, u_reload, u_path, u_cgroup.
unit_facts() {
    u_load='' u_active='' u_sub='' u_pid=0 u_restarts=0 u_invocation='' u_result='' u_status='' u_reload='' u_path=''
    u_cgroup=''
    while IFS= read -r line; do
        val=${line#*=}
        case $line in
        LoadState=*) u_load=$val ;;
        ActiveState=*) u_active=$val ;;
        SubState=*) u_sub=$val ;;
        MainPID=*) u_pid=$val ;;
        NRestarts=*) u_restarts=$val ;;
        InvocationID=*) u_invocation=$val ;;
        Result=*) u_result=$val ;;
        ExecMainStatus=*) u_status=$val ;;
        NeedDaemonReload=*) u_reload=$val ;;
        FragmentPath=*) u_path=$val ;;
        ControlGroup=*) u_cgroup=$val ;;
        esac
    done <<END
$(systemctl show "$unit" -p LoadState,ActiveState,SubState,MainPID,NRestarts,InvocationID,Result \
    -p ExecMainStatus,NeedDaemonReload,FragmentPath,ControlGroup 2>/dev/null)
END
    : "${u_pid:=0}" "${u_restarts:=0}"
}

# in_passing: whether the machine is booting or going down, so that a unit that does not run says nothing of its
# release; $passing names it. Some machines never end their boot, because a unit of theirs never does: five minutes do.
in_passing() {
    passing=$(systemctl is-system-running 2>/dev/null)
    case $passing in
    running | degraded | maintenance) return 1 ;;
    starting)
        uptime_ds
        booted=$(systemctl show -p UserspaceTimestampMonotonic --value) # microseconds of the same clock
        [ "$((now - ${booted:-0} / 100000))" -lt 3000 ]
        ;;
    esac
}

# exe_facts: path and digest of the file that the unit's main process runs, in $exe and $exe_digest; see script.sh.
exe_facts() {
    exe='' exe_digest='' interpreter=''
    [ "$u_pid" -gt 0 ] || return 0
    program_of "$u_pid"
    if [ -n "$interpreter" ]; then digest "$exe"; else digest "/proc/$u_pid/exe"; fi
    exe_digest=$digest
}

# alike: the unit's main process, and those of its cgroup that run the same file ($exe): a service may have workers. Of a script
# these are processes of its interpreter with its words.
alike() {
    echo "$u_pid"
    for group in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
        [ -z "$u_cgroup" ] || [ -z "$exe" ] || cat "$group$u_cgroup/cgroup.procs" "$group$u_cgroup"/*/cgroup.procs 2>/dev/null
    done | sort -un | while read -r pid; do
        [ "$pid" = "$u_pid" ] || [ "$(readlink "/proc/$pid/exe" 2>/dev/null)" != "${interpreter:-$exe}" ] || ! has_words "$pid" || echo "$pid"
    done
}

# listening PID: the TCP ports on which this very process listens, or one that is alike, in $ports, comma separated.
listening() {
    ports=
    [ "$1" -gt 0 ] || return 0
    # shellcheck disable=SC2012 # the names are numbers; the link texts are what is wanted
    inodes=$(for pid in $(alike); do ls -l "/proc/$pid/fd" 2>/dev/null; done |
        sed -n 's/.*socket:\[\([0-9]*\)\]$/\1/p' | tr '\n' ' ')
    found=$(cat "/proc/$1/net/tcp" "/proc/$1/net/tcp6" 2>/dev/null | awk -v mine="$inodes" '
        BEGIN { n = split(mine, list, " "); for (i = 1; i <= n; i++) wanted[list[i]] = 1 }
        $4 == "0A" && ($10 in wanted) { sub(/.*:/, "", $2); print "0x" $2 }')
    ports=$(for port in $found; do echo "$((port))"; done | sort -un | tr '\n' ',')
    ports=${ports%,}
}

# architecture: the machine's by Go's name, in $machine. MIPS kernels do not say in which order their bytes are, programs do.
architecture() {
    kernel_says
    case $machine in
    x86_64) machine=amd64 ;;
    aarch64) machine=arm64 ;;
    armv[5-8]*) machine=arm ;;
    i?86) machine=386 ;;
    loongarch64) machine=loong64 ;;
    mips | mips64) [ "$(od -An -tu1 -j5 -N1 /bin/sh | tr -d ' ')" = 2 ] || machine=${machine}le ;;
    esac # the others have one name: riscv64, ppc64le, ppc64, s390x
}

# kernel_says: its name of the machine, in $machine, as uname does: to a process that was told to be of 32 bits it says
# another one (setarch). Newer kernels say it in a file, which costs no process.
kernel_says() {
    machine='' personality=''
    { read -r personality </proc/self/personality && read -r machine </proc/sys/kernel/arch; } 2>/dev/null || :
    case $personality.$machine in *00.?*) ;; *) machine=$(uname -m) ;; esac
}

do_facts() {
    value machine_id "$(cat /etc/machine-id)"
    value boot_id "$(cat /proc/sys/kernel/random/boot_id)"
    value hostname "$(cat /proc/sys/kernel/hostname)"
    architecture
    value arch "$machine"
    read_current
    value kernel "$(uname -r)"
    free_space
    value free_bytes "$free_bytes"
    value free_inodes "$free_inodes"
    read_state
    value epoch "$h_epoch"
    value token "$h_token"
    value n "$h_n"
    value half "$half"
    value current "$current"
    value previous "$(cat "$state/previous" 2>/dev/null)"
    value releases "$(staged_list)"
    manifest "$current"
    value current_release "$m_release"
    value current_render "$m_render"
    value current_digest "$m_binary"
    value mode "${m_mode:-restart}"
    digest=
    [ ! -f "$releases/${current:-.}/$unit" ] || digest "$releases/$current/$unit"
    value unit_raw "$digest"
    file_values
    unit_facts
    exe_facts
    listening "$u_pid"
    unit_values
    taken_value
    side_values
    before_values
    finish true '' ''
}

# taken_value: which release's files the process took in after it was started with another one's (mode_config.sh).
taken_value() {
    case $(cat "$state/taken" 2>/dev/null) in "$current $u_invocation") value took_in "$current" ;; esac
}

# file_values: the digest of each file that was rendered for the release that `current` names, as it was put there.
file_values() {
    [ -n "$current" ] && [ -f "$releases/$current/.gopub-sums" ] || return 0
    while read -r sum name; do
        case $name in ./bin/* | ./.gopub*) ;; *) value "file.${name#./}" "$sum" ;; esac
    done <"$releases/$current/.gopub-sums"
}

unit_values() {
    value unit.load "$u_load"
    value unit.active "$u_active"
    value unit.sub "$u_sub"
    value unit.main_pid "$u_pid"
    value unit.n_restarts "$u_restarts"
    value unit.invocation "$u_invocation"
    value unit.exe "$exe"
    value unit.exe_digest "$exe_digest"
    [ -z "$interpreter" ] || value unit.interpreter "$interpreter"
    value unit.listening "$ports"
    [ "$u_pid" -gt 0 ] || return 0
    # what the process itself took, in bytes: without the pages of files that the kernel may drop
    value unit.memory "$(awk '$1 == "RssAnon:" { printf "%.0f", $2 * 1024 }' "/proc/$u_pid/status" 2>/dev/null)"
    value unit.files "$(open_files)"
    while read -r name number; do
        [ -z "$name" ] || value "unit.$name" "$number"
    done <<END
$(unit_use)
END
}

# unit_use: what the process and its cgroup use, a name and a number a line; what this host does not tell is no line.
# A process' own name stands in its stat, in parentheses, and may hold anything: all up to the last one is cut off.
unit_use() {
    {
        sed 's/^/uptime /' /proc/uptime
        sed 's/^.*) /stat /' "/proc/$u_pid/stat"
        set -- "/proc/$u_pid/fd"/*
        [ ! -L "$1" ] || echo "descriptors $#"
        cat "/proc/$u_pid/status" "/proc/$u_pid/limits"
        [ -n "$u_cgroup" ] && [ "$u_cgroup" != / ] && for group in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/memory \
            /sys/fs/cgroup/cpu /sys/fs/cgroup/cpuacct; do
            cat "$group$u_cgroup/memory.events" "$group$u_cgroup/memory.oom_control" "$group$u_cgroup/cpu.stat"
            sed 's/^/memory_limit /' "$group$u_cgroup/memory.max"
            sed 's/^/cpu_ns /' "$group$u_cgroup/cpuacct.usage"
        done
    } 2>/dev/null | awk '
        function say(name, number) { if (number ~ /^[0-9]+$/) said[name] = number }
        $1 == "uptime" { up = $2 }
        $1 == "stat" { started = $21; own = $13 + $14 }
        $1 == "descriptors" { say("descriptors", $2) }
        $1 == "VmRSS:" { said["resident"] = sprintf("%.0f", $2 * 1024) }
        $1 == "Threads:" { say("threads", $2) }
        /^Max open files / { say("descriptors_limit", $4) }
        $1 == "oom_kill" { say("oom_kills", $2) }
        $1 == "oom" { say("oom_limit", $2) }
        $1 == "memory_limit" { say("memory_limit", $2) }
        $1 == "nr_periods" { say("cpu_periods", $2) }
        $1 == "nr_throttled" { say("cpu_throttled", $2) }
        $1 == "usage_usec" { said["cpu_ms"] = sprintf("%.0f", $2 / 1000) }
        $1 == "cpu_ns" { said["cpu_ms"] = sprintf("%.0f", $2 / 1000000) }
        END {
            if (started != "" && up * 100 >= started) said["age_ms"] = sprintf("%.0f", up * 1000 - started * 10)
            if (started != "" && !("cpu_ms" in said)) said["cpu_ms"] = own * 10
            for (name in said) print name, said[name]
        }'
}

# open_files: how many descriptors the main process holds, but for connections that came in: those its users hold.
open_files() {
    wanted=
    for port in $(printf %s "$ports" | tr ',' ' '); do wanted="$wanted $(printf %04X "$port")"; done
    came=$(cat "/proc/$u_pid/net/tcp" "/proc/$u_pid/net/tcp6" 2>/dev/null | awk -v wanted="$wanted" '
        BEGIN { n = split(wanted, list, " "); for (i = 1; i <= n; i++) ours[list[i]] = 1 }
        $4 == "01" { sub(/.*:/, "", $2); came += $2 in ours } END { print came + 0 }')
    set -- "/proc/$u_pid/fd"/*
    [ ! -L "$1" ] || echo "$(($# > came ? $# - came : 0))"
}

# free_space: what is left where releases will lie, in $free_bytes and $free_inodes.
# A file system that counts no inodes (btrfs says 0 of 0) has enough of them.
free_space() {
    place=$releases
    while [ ! -d "$place" ]; do place=${place%/*}; done
    read -r blocks block_size free_inodes inodes <<END
$(stat -f -c '%a %S %d %c' "${place:-/}")
END
    free_bytes=$((blocks * block_size))
    [ "$inodes" -gt 0 ] || free_inodes=1000000
}

# staged_list: the folders of complete releases, newest first.
staged_list() {
    [ -d "$releases" ] || return 0
    listed=
    # shellcheck disable=SC2010,SC2045 # of all names there only those of hex digits and one dash are taken
    for name in $(ls -1t "$releases/" 2>/dev/null | grep -x '[0-9a-f]\{12\}-[0-9a-f]\{12\}'); do
        ! is_ours "$name" || listed="$listed$name "
    done
    printf %s "${listed% }"
}

# is_ours DIR: whether this program made the release folder DIR: no link, and its manifest says what its name says.
# What is not ours is neither counted nor removed.
is_ours() {
    [ -d "$releases/$1" ] && [ ! -L "$releases/$1" ] && [ ! -L "$releases/$1/.gopub-manifest" ] || return 1
    manifest "$1"
    short "$m_release"
    of=$short
    short "$m_render"
    [ "$of-$short" = "$1" ]
}

# manifest DIR: what a staged release says of itself, in m_release, m_render, m_app, m_binary, m_files, m_mode, m_reload, m_ports.
manifest() {
    m_release='' m_render='' m_app='' m_binary='' m_files='' m_mode='' m_reload='' m_ports=''
    [ -z "$1" ] || load "$releases/$1/.gopub-manifest" m
}
