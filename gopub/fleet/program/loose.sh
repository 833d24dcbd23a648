# shellcheck shell=sh disable=SC2015,SC2034,SC2154
# The host program of gopub: what the modes have in common in which the process that serves starts its successor itself, or
# becomes it: handover and reload.
#
# It does so with its own words and environment, so it has to come by the link: the unit that serves is not pinned to its
# release's folder. Loose while it serves, pinned while it switches: where the units of two releases are equal, the
# unit's file stays as it is, and the rename of the link is the one step after which whatever starts the service starts
# the new release whole. Where they differ, it is a restart: pinned to the new folder, the link, loose, and then started,
# so that the words of the process name the link as well.
#
# $state/served is the digest of the unit with which what serves was started: none while that is not certain.

# is_handed MODE: whether a release of that mode serves with a loose unit.
is_handed() { case $1 in handover | reload) ;; *) return 1 ;; esac }

# goes_loose: whether the release whose manifest was read does: also one that takes files in (mode_config.sh).
goes_loose() { is_handed "$m_mode" || [ -n "$m_reload" ]; }

# loose_text DIR: its unit as it was rendered, under a mark that names no release, in $wanted.
loose_text() {
    wanted="$MARK $o_instance; do not edit, the next switch writes it again
$(cat "$releases/$1/$unit")"
}

# is_loose DIR: whether the unit's file is that of DIR and goes by the link.
is_loose() {
    loose_text "$1"
    [ "$wanted" = "$(cat "$unit_file" 2>/dev/null)" ]
}

# go_loose DIR: the link names it, and from here on its unit goes by the link.
go_loose() {
    unit_facts
    is_loose "$1" || {
        durable "$unit_file" "$wanted" || unwritten "$unit_file"
        u_reload=yes
        changed=true
    }
    [ "$u_reload" = no ] || reload_units
}

# before_restart DIR: what serves is about to be started with the unit of DIR.
before_restart() {
    rm -f "$state/served" && sync "$state" || unwritten "$state/served"
    go_loose "$1"
}

# let_loose DIR: what serves is DIR's, so it was started with a unit that says what that of DIR says.
let_loose() {
    go_loose "$1"
    wanted=$(digest_of "$releases/$1/$unit")
    [ "$(cat "$state/served" 2>/dev/null)" = "$wanted" ] || durable "$state/served" "$wanted" || unwritten "$state/served"
}

# why_restart DIR: why what serves cannot hand over to DIR, in $way_why; empty where it can. Needs unit_facts.
why_restart() {
    way_why=
    program_of "$u_pid"
    running
    if [ "$u_active" != active ]; then
        way_why="nothing runs"
    elif [ "$running" = "$1" ] && holds_files "$1"; then
        return
    elif [ -z "$running" ] || ! is_loose "$1" || [ "$(cat "$state/served" 2>/dev/null)" != "$(digest_of "$releases/$1/$unit")" ]; then
        way_why="the unit changes"
    elif [ "$u_reload" != no ]; then
        way_why="systemd's files for $unit changed"
    elif ! same_start "$1"; then
        way_why="$differs changes, which a process reads from its unit only"
    elif [ "$running" = "$1" ]; then
        way_why="the process took other files in since"
    fi
}

# running: the release folder of the file that the main process runs, in $running.
running() {
    place=$(readlink -f "$releases")
    rest=${exe#"$place"/}
    running=
    [ "$rest" = "$exe" ] || running=${rest%%/*}
    is_name "$running" || running=
}

# same_start DIR: whether all files that the unit names beside its commands, such as an EnvironmentFile=, are those with which
# the process that serves was started; the first that is not, in $differs.
same_start() {
    names=$(awk -v at="$home/current/" '/^[ \t]*(Exec|WorkingDirectory|#|;)/ { next }
        { while ((i = index($0, at))) { $0 = substr($0, i + length(at)); name = $0; sub(/[ \t"'\'':;].*/, "", name); print name } }' \
        "$releases/$1/$unit")
    for differs in $names; do
        [ "$(digest_of "$releases/$running/$differs")" = "$(digest_of "$releases/$1/$differs")" ] || return 1
    done
}

digest_of() { [ ! -f "$1" ] || sha256sum <"$1" | cut -d ' ' -f 1; }

# start_of PID: when it was started, in $began: with its number that is one process, also after the numbers came round.
start_of() {
    began=$(sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20)
    : "${began:=0}"
}

# main_exe: what the unit's main process runs, in $exe; without its digest, which costs.
main_exe() {
    unit_facts
    program_of "$u_pid"
}

# has_taken DIR: whether the main process is that of DIR.
has_taken() { [ "$u_active" = active ] && runs_file "$releases/$1/bin/$m_app"; }

# coming: processes of the unit that run a release's file and are younger than the main one, which runs another: they may
# take over yet. Those that served before are older.
coming() {
    start_of "$u_pid"
    main=$began mains=$exe
    for group in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
        [ -z "$u_cgroup" ] || cat "$group$u_cgroup/cgroup.procs" 2>/dev/null
    done | sort -un | while read -r pid; do
        program_of "$pid"
        case $exe in "$mains" | '') continue ;; "$(readlink -f "$releases")"/*) ;; *) continue ;; esac
        start_of "$pid"
        [ "$began" -le "$main" ] || echo "$pid"
    done
}

# finish_begun DIR: an order before this one began a take-over and was killed. It comes to its end, or to nothing: what it
# would start from here on is what the link names now.
finish_begun() {
    load_started
    [ -n "$s_old" ] && [ -z "$s_invocation" ] || return 0
    uptime_ds
    deadline=$((now + o_arg_within * 10))
    begins=$((now + 10))
    while :; do
        main_exe
        start_of "$u_pid"
        [ "$u_pid/$began" = "$s_old" ] || return 0
        uptime_ds
        [ -n "$(coming)" ] || [ "$now" -lt "$begins" ] || return 0
        [ "$now" -lt "$deadline" ] || break
        sleep 0.2
    done
    end_coming
}

# end_coming: nobody takes over any more.
end_coming() {
    for pid in $(coming); do kill -KILL "$pid" 2>/dev/null; done
    main_exe
}

# begin_taking DIR: as begin_start, for a process that systemd does not start: InvocationID stays, so the old one is noted by
# its number and start.
begin_taking() {
    took=1
    changed=true
    running
    was=$running
    start_of "$u_pid"
    old=$u_pid/$began
    noted=$(cat "$state/started" 2>/dev/null)
    note "$1" '' '' "$u_restarts" "$old"
}

# not_taken CODE DIR WHY: back to what still serves; on the way back a restart is the last resort.
not_taken() {
    if [ -n "$backward" ]; then
        way=restart
        way_why="$3"
        restart "$2"
        return
    fi
    place_link "$was"
    end_coming
    if has_taken "$2"; then # at the last moment
        place_link "$2"
        return
    fi
    [ "$m_mode" != reload ] || timeout "$o_arg_within" systemctl reload "$unit" 2>/dev/null # what it read may be the new one's
    durable "$state/started" "$noted" || unwritten "$state/started"
    [ -z "$had_previous" ] || durable "$state/previous" "$had_previous" || unwritten "$state/previous"
    fail "$1" "$3"
}

# old_one: the process before, as values; whether it is gone is told, and is no reason against the one that serves.
old_one() {
    [ -n "$s_old" ] && [ "$s_dir" = "$dir" ] || return 0
    value old_pid "${s_old%/*}"
    start_of "${s_old%/*}"
    if [ "$began" = "${s_old#*/}" ] && [ -n "$(readlink "/proc/${s_old%/*}/exe")" ]; then # one that waits for its parent runs nothing
        value old_gone false
    else
        value old_gone true
    fi
}

# stands_right: a process that was not started by systemd stands where its predecessor stood.
stands_right() {
    [ -n "$dir" ] || return 0
    stood=$(readlink "/proc/$u_pid/cwd" 2>/dev/null)
    case $stood in
    "$(readlink -f "$releases")/$dir" | "$(readlink -f "$releases")/$dir"/*) ;;
    "$(readlink -f "$releases")"/*) wrong GP535 "process $u_pid runs $dir and stands in $stood, of another release" ;;
    esac
}
