# shellcheck shell=sh disable=SC2015,SC2034,SC2154
# The host program of gopub, mode handover: the main process is asked by SIGUSR2 to start its successor and to give it the
# listeners. What it says (STATUS= of sd_notify) is how it refuses: with "upgrade refused: WHY" or "upgrade failed: WHY" in it.

handover_place() { place_link "$1"; }

handover_take() {
    finish_begun
    has_taken "$1" || hand_over "$1"
    unit_facts
    exe_facts
}

hand_over() {
    begin_taking "$1"
    no=
    before_text=$(status_text)
    came=
    uptime_ds
    deadline=$((now + o_arg_within * 10))
    ask_to_hand
    until has_taken "$1"; do
        look_for_no
        [ -z "$no" ] || {
            not_taken "$no" "$1" "$why"
            return
        }
        sleep 0.2
        main_exe
    done
}

# Asked again where the one before still drains: that is a matter of time.
ask_to_hand() {
    uptime_ds
    again=$((now + 10))
    systemctl kill --kill-who=main --signal=USR2 "$unit" 2>/dev/null
}

status_text() { systemctl show "$unit" -p StatusText --value 2>/dev/null; }

# in_vain CODE WHY: it comes to nothing.
in_vain() { no=$1 why=$2; }

# look_for_no: whether it comes to nothing: the code in $no, the reason in $why.
look_for_no() {
    uptime_ds
    coming=$(coming)
    [ -z "$coming" ] || came=1
    text=$(status_text)
    case $u_active in active | reloading) ;; *) in_vain GP533 "$unit is $u_active: $(last_words)" ;; esac
    case $text in
    *'upgrade refused: '*)
        if [ "$now" -ge "$deadline" ]; then
            in_vain GP532 "process $u_pid does not hand over: ${text#*upgrade refused: }"
        elif [ -z "$coming" ] && [ "$now" -ge "$again" ]; then
            ask_to_hand
        fi
        ;;
    *'upgrade failed: '*)
        [ "$text" = "$before_text" ] && { [ -z "$came" ] || [ -n "$coming" ]; } ||
            in_vain GP533 "the new process did not take over: ${text#*upgrade failed: }"
        ;;
    esac
    [ -z "$no" ] && [ "$now" -ge "$deadline" ] || return 0
    in_vain GP534 "$(unmoved) after ${o_arg_within}s${text:+; it says: $text}"
    [ -z "$came" ] || in_vain GP533 "$why"
}

unmoved() {
    if [ "${old%/*}" = "$u_pid" ]; then
        printf 'process %s still serves' "$u_pid"
    else
        printf 'process %s serves and runs %s' "$u_pid" "$exe"
    fi
}

handover_proof() {
    start_of "$u_pid"
    [ "$s_dir" != "$dir" ] || [ "$s_old" != "$u_pid/$began" ] ||
        wrong GP447 "it is still the process from before the switch ($u_pid)"
    stands_right
}
