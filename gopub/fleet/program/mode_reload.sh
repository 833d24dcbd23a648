# shellcheck shell=sh disable=SC2015,SC2034,SC2154
# The host program of gopub, mode reload: the unit's own ExecReload= brings the new binary in, in the same process or in another
# one. A service that only reads its configuration anew is refused: its old binary keeps serving.

reload_place() { place_link "$1"; }

reload_take() {
    finish_begun
    has_taken "$1" || reload_into "$1"
    unit_facts
    exe_facts
}

reload_into() {
    begin_taking "$1"
    uptime_ds
    deadline=$((now + o_arg_within * 10))
    complaint=$(timeout "$o_arg_within" systemctl reload "$unit" 2>&1) || {
        main_exe
        not_taken GP537 "$1" "systemctl reload $unit failed ($complaint): $(last_words)"
        return
    }
    main_exe
    until has_taken "$1"; do
        uptime_ds
        [ "$now" -lt "$deadline" ] || {
            not_taken GP536 "$1" "process $u_pid was told to reload and runs ${exe:-nothing} after ${o_arg_within}s"
            return
        }
        sleep 0.2
        main_exe
    done
}

# The digest of the file that the main process runs is the proof: one that is executed in place keeps its number.
reload_proof() { stands_right; }
