# shellcheck shell=sh
# One reading of a unit's log, newest lines first: sh -c TEXT gopub UNIT CURSOR AGE BYTES LINES SECONDS
#
# It begins at the newest line and goes back to the one that the last reading began with (CURSOR); without one, to the
# line that is AGE seconds old by this machine's own clock. So whatever was left out, the next reading is a short one.
# At most BYTES of whole lines are printed, LINES of them looked at, for SECONDS. What every line repeats is left out.
# The last line says how it went:  gopub READ LEFT END CURSOR  with END one of
#   start   everything since then was seen     first   the journal has no older line of the unit
#   lines   LINES was reached                  slow    SECONDS was reached
#   failed  journalctl says why on its standard error; without lines it may say nothing
start=$(($(date +%s) - $3))
{
    timeout "$6" journalctl --unit="$1" --reverse --output=json --all --no-pager --quiet \
        --output-fields=MESSAGE,PRIORITY,_SYSTEMD_UNIT,_SYSTEMD_INVOCATION_ID
    echo "code $?" 2>/dev/null
} | LC_ALL=C awk -v cursor="$2" -v start="$start" -v most="$4" -v lines="$5" '
    function named(key) { # the text of a field; the quotes inside of values are escaped, so this is the field itself
        if (!match($0, "\"" key "\" ?: ?\"[^\"]*\"")) return ""
        found = substr($0, RSTART, RLENGTH - 1)
        sub(/.*"/, "", found)
        return found
    }
    /^code / {
        end = $2 == 0 ? "first" : $2 == 124 ? "slow" : "failed"
        next
    }
    {
        here = named("__CURSOR")
        if (cursor != "" && here == cursor) { end = "start"; exit }
        if (cursor == "" && named("__REALTIME_TIMESTAMP") / 1000000 < start) { end = "start"; exit }
        if (newest == "") newest = here
        if (++seen > lines) { end = "lines"; exit }
        gsub(/"(__CURSOR|__MONOTONIC_TIMESTAMP|__SEQNUM|__SEQNUM_ID|_BOOT_ID)" ?: ?"[^"]*", ?/, "")
        if (used + length($0) + 1 > most) { left++; next }
        used += length($0) + 1
        read++
        print
    }
    END { print "gopub", read + 0, left + 0, end == "" ? "broken" : end, newest == "" ? cursor : newest }'
