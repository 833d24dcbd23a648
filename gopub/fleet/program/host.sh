# shellcheck shell=sh disable=SC2015,SC2034,SC2154
# The host program of gopub, part 9 of 9: which verb does what, on a host that is not enrolled.

main() {
    verb=$1
    if [ $# -eq 3 ]; then
        exec <"$2" >"$3" # a job of systemd
    fi
    read_order
    case $verb in
    facts) do_facts ;;
    status) do_status ;;
    stage | hook | switch | verify | stop | rollback | prune | adopt | disown) ;;
    *) fail GP430 "'$verb' is no verb of this program" ;;
    esac
    needs_root
    right_machine
    case $verb in hook | switch | stop | rollback) [ $# -eq 3 ] || as_job ;; esac
    locked
    case $verb in
    adopt) do_adopt ;; # a person's word, not a driver's order: the lock is enough
    disown) do_disown ;;
    esac
    fence
    case $verb in
    stage) settle && do_stage ;;
    hook) settle && do_hook ;;
    switch) do_switch ;;
    verify) settle && do_verify ;;
    stop) do_stop ;;
    rollback) do_rollback ;;
    prune) settle && do_prune ;;
    esac
}

# piece SIZE: the next bytes of the payload.
piece() { take "$1"; }

# read_state: what this host holds; nobody signs here, so all of it counts.
read_state() { load_state; }

# write_job: what a job of systemd runs, and its order; without the URL, for no verb of a job has one.
write_job() {
    self_text >"$file.sh" && printf '%s%s\n' "$order_text" "${o_trace:+trace=$o_trace
}" >"$file.order"
}

# self_text: the text of this program, to hand it to a job.
self_text() {
    case $0 in
    /*) cat "$0" ;;
    *) sed -z -n 3p "/proc/$$/cmdline" | tr -d '\0' ;;
    esac
}

main "$@"
