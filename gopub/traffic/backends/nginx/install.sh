#!/bin/sh
# Lays gopub's files of an edge, and keeps them only where nginx takes them; what it says goes to stdout.
#   sh -c "$(cat install.sh)" sh DIR check|install NGINX [ARGUMENT...]
# On stdin is a tar archive of what belongs into DIR. Files of others in DIR stay.
# Ends with 0 (fine), 3 (nginx refuses; the old files lie there again) or 4 (fine, and nginx does not run).

set -eu
dir=$1
mode=$2
shift 2

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
mv "$dir.old" "$dir.gone" # at once: half of it must never come back
rm -rf "$dir.gone"
[ "$same" = yes ] || "$@" -s reload 2>&1 || exit 4
