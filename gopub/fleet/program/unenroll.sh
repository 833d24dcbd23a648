# shellcheck shell=sh disable=SC2015,SC2034,SC2154,SC2174,SC2194
# Enrolment, part 4 of 4: taking it away, and which verb does what.

do_unenroll() {
    [ "$(id -u)" = 0 ] || fail GP420 "enrolment needs root, it runs as $(id -un)"
    read -r machine_id </etc/machine-id
    [ "$i_machine_id" = "$machine_id" ] ||
        fail GP434 "the request is for machine ${i_machine_id:-(none)}, this is $machine_id"
    stands
    [ "$stands" = none ] || changed=true
    take_away || fail GP494 "what could not be removed: $left"
    look
    finish true '' "unenrolled"
}

main() {
    read_request
    case $i_verb in
    look) look && finish true '' '' ;;
    enroll | unenroll) ;;
    *) fail GP481 "'$i_verb' is no verb of enrolment" ;;
    esac
    # nobody else may open it: whoever can holds it. And exec would end the program without a word
    { (umask 077 && true >>"$at_run/gopub-enroll.lock"); } 2>/dev/null || fail GP494 "$at_run cannot be written"
    exec 9>>"$at_run/gopub-enroll.lock"
    flock -n 9 || fail GP481 "another enrolment of this host runs"
    "do_$i_verb"
}

main "$@"
