#!/bin/sh
# Lays gopub's files of an edge, and keeps them only where nginx takes them; what it says goes to stdout.
#   sh -c "$(cat install.sh)" sh DIR PID_FILE ERROR_LOG check|install NGINX [ARGUMENT...]
# On stdin is a tar archive of what belongs into DIR. Files of others in DIR stay, but the keys that keys/.off names.
# Ends with 0 (fine), 3 (nginx refuses), 4 (fine, and nginx does not run) or 5 (the nginx that runs did not take them up:
# `nginx -t` binds no port and asks for no memory). After 3 and 5 the old files lie there again. Ends with 6 where all
# that is so, but the watcher of a source of tables does not run.

set -eu
dir=$1
pid_file=$2
error_log=$3
mode=$4
shift 4

if [ "$mode" = check ]; then
    cat >/dev/null
    "$@" -t 2>&1 || exit 3
    exit 0
fi

exec 9>"$dir.lock"
flock 9
back() {
    [ -d "$dir.old" ] || return 0
    rm -rf "$dir"
    mv "$dir.old" "$dir"
}
back # one before was cut off: what it laid was not tried
rm -rf "$dir.new" "$dir.gone"
mkdir -p "$dir.new"
[ ! -d "$dir" ] || cp -a "$dir/." "$dir.new/"
tar -x -f - -C "$dir.new" --no-same-owner --no-same-permissions
if [ -f "$dir.new/keys/.off" ]; then
    while read -r key; do
        rm -f "$dir.new/keys/$key.pem"
    done <"$dir.new/keys/.off"
    rm "$dir.new/keys/.off"
fi

trap 'back; exit 1' HUP INT TERM
mkdir -p "$dir" # none yet: an empty one is what to go back to
mv "$dir" "$dir.old"
mv "$dir.new" "$dir"
if ! "$@" -t 2>&1; then
    back
    exit 3
fi
trap - HUP INT TERM
same=no
! diff -r "$dir.old" "$dir" >/dev/null 2>&1 || same=yes

# workers: the processes that the master started, a line each; none where nobody knows the master.
workers() {
    [ -n "$master" ] || return 0
    cat /proc/[0-9]*/stat 2>/dev/null | sed 's/ (.*) / /' | awk -v master="$master" '$3 == master { print $1 }'
}

# emergencies: what the master wrote since then of what it could not do.
emergencies() {
    tail -n "+$((lines + 1))" "$error_log" 2>/dev/null | grep -F '[emerg]'
}

# taken_up: whether the master started workers anew, which it does where it could use what it read. Once it has written
# of an emergency it is given 5 seconds more: for a port it tries so often itself.
taken_up() {
    tries=50
    while [ "$tries" -gt 0 ]; do
        for worker in $(workers); do
            case " $before " in *" $worker "*) ;; *) return 0 ;; esac
        done
        [ "$tries" -le 10 ] || ! emergencies >/dev/null || tries=10
        tries=$((tries - 1))
        if [ "$tries" -ge 40 ]; then sleep 0.1; else sleep 0.5; fi # to look costs more than to wait
    done
    return 1
}

# left: waits until none of the workers that there were takes anything more; at most 10 seconds, for what was laid is in
# force all the same. A worker that ends says so in its title; until then it goes by the old files.
left() {
    tries=100
    while [ "$tries" -gt 0 ]; do
        at_work=no
        for worker in $before; do
            title=$(tr '\000' ' ' 2>/dev/null <"/proc/$worker/cmdline") || continue
            case $title in '' | *'shutting down'*) ;; *) at_work=yes ;; esac
        done
        [ "$at_work" = yes ] || return 0
        tries=$((tries - 1))
        sleep 0.1
    done
}

if [ "$same" = no ]; then
    master=$(cat "$pid_file" 2>/dev/null) || master=
    before=$(workers | tr '\n' ' ')
    lines=$(wc -l 2>/dev/null <"$error_log") || lines=0
    [ -z "$before" ] || sh "$dir/gopub-farewell.sh" || :
    if ! "$@" -s reload 2>&1; then
        rm -rf "$dir.old"
        exit 4
    fi
    if [ -n "$before" ] && ! taken_up; then
        emergencies | head -n 3 || :
        back
        exit 5
    fi
    left
fi
mv "$dir.old" "$dir.gone" # at once: half of it must never come back
changed=yes
! diff -r "$dir.gone/source" "$dir/source" >/dev/null 2>&1 || changed=no
rm -rf "$dir.gone"

# The watcher of a source: a unit where systemd runs, and only where there is a source. Other supervisors start it by
#     sh $dir/source/watch.sh $dir/source/settings
unit=gopub-source.service
place=/etc/systemd/system
case $dir in
/etc/*) [ -d /run/systemd/system ] || exit 0 ;;
*) exit 0 ;; # not where the unit looks for it
esac
if grep -q '^kind none$' "$dir/source/settings"; then
    [ -e "$place/$unit" ] || exit 0
    systemctl disable --quiet --now "$unit" 2>&1 || exit 6
    rm -f "$place/$unit"
    systemctl daemon-reload 2>&1 || exit 6
    exit 0
fi
if [ "$changed" = yes ] || [ ! -e "$place/$unit" ] || ! systemctl is-active --quiet "$unit"; then
    cp "$dir/source/$unit" "$place/$unit"
    systemctl daemon-reload 2>&1 || exit 6
    systemctl enable --quiet "$unit" 2>&1 || exit 6
    systemctl restart "$unit" 2>&1 || exit 6
fi
