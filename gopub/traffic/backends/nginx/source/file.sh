# shellcheck shell=sh disable=SC2154,SC2034 # what watch.sh says
# A folder with a file UPSTREAM.table for each upstream, looked at each second by what the files hold: so it does not
# matter whether one is renamed into its place, written where it lies, or reached through a link. Half of one is refused
# by the edge; a file that is gone changes nothing.

look() {
    if [ ! -d "$folder" ] || [ ! -x "$folder" ] || [ ! -r "$folder" ]; then
        problem="$folder is no folder that can be read"
        return 1
    fi
    for path in "$folder"/*.table; do
        [ -f "$path" ] || continue
        name=${path##*/}
        if head -c $((most + 1)) "$path" >"$run/value" 2>/dev/null; then
            bring "${name%.table}" "$run/value" || return 1
        else
            lacking="$name cannot be read"
        fi
    done
    sleep 1
}
