# shellcheck shell=sh disable=SC2015,SC2034,SC2154
# The host program of gopub on an enrolled host, its last part: which verb does what.
#
# It lies at /usr/local/lib/gopub/order, root's. Whoever may run it gives an order on standard input and gets a record
# on standard output; a command line is not looked at. An order does nothing before verify_order (signed.sh).

pinned_main() {
    take_in
    enrolled
    case $first in
    gopub-root=1\ *) do_root ;;
    esac
    verify_order
    read_signed "$signed"
    for_this_host
    case $verb in
    stage | table-put) # with a payload, which begins there in what was taken in
        at=$((${#first} + 1 + ${#head_text} + 3))
        carry_out
        ;;
    esac
    leave_inbox
    carry_out </dev/null
}

carry_out() {
    case $verb in
    facts) tell_facts ;;
    status)
        remember_head
        do_status
        ;;
    heads) do_heads ;;
    # further verbs that change nothing stand here, each a line
    logs) do_logs ;;
    table-get) do_table_get ;;
    table-put) fresh_once && do_table_put ;;
    stage | hook | switch | verify | stop | rollback | prune | adopt | disown) ;;
    *) fail GP473 "'$verb' is no verb of this program" ;;
    esac
    needs_root
    case $verb in hook | switch | stop | rollback) as_job ;; esac
    obey
}

# obey: what is done under the lock, here or in a job of systemd.
obey() {
    loosen
    locked
    note_holder
    let_in
    case $verb in
    stage) settle && do_stage ;;
    hook) settle && do_hook ;;
    switch) do_switch ;;
    verify) settle && do_verify ;;
    stop) do_stop ;;
    rollback) do_rollback ;;
    prune) settle && sweep_inboxes && do_prune ;;
    adopt) do_adopt ;;
    disown) do_disown ;;
    esac
}

# sweep_inboxes: what orders left that were killed; one that is under way is younger.
sweep_inboxes() { find "$RUN" -mindepth 1 -maxdepth 1 -mmin +60 -exec rm -rf {} +; }

# loosen: ends an order that holds the instance's lock by a key that counts no more: whoever stole it can have ordered what
# never ends, and nobody would get in after the key was taken off.
loosen() {
    pid='' key=''
    { read -r pid key <"$state/holder"; } 2>/dev/null && ! believed "$key" || return 0
    [ "$(readlink "/proc/$pid/fd/9" 2>/dev/null)" = "$(readlink -f "$state/lock")" ] || return 0
    group=$(sed 's/^.*) . [0-9]* \([0-9]*\) .*/\1/' "/proc/$pid/stat" 2>/dev/null)
    ! is_number "$group" || kill -KILL "-$group" 2>/dev/null || :
}

# note_holder: this very process, which may be a part of a pipeline, and whose order it carries out.
note_holder() {
    read -r pid _ </proc/self/stat
    { printf '%s %s\n' "$pid" "$signer_key" >"$state/holder"; } 2>/dev/null || :
}

# let_in: the fence, which may give the kept record; then whether the order is fresh; then it is written down.
let_in() {
    case $verb in
    adopt | disown)
        fresh_once
        bind
        remember_head
        return
        ;;
    esac
    in_turn
    fresh
    # Before anything is written: what is refused leaves nothing behind, and a half switch stays known.
    admit_order
    bind
    signed_by="
key=$signer_key"
    intend
    accepted=1
    remember_head
}

tell_facts() {
    read_state
    value enrolled 1
    value traces 1 # an order may say for which trace it is
    value now "$(date +%s)"
    value names "$e_names"
    value envs "$e_envs"
    IFS= read -r line <"$ETC/roles"
    value roles "${line#serial=}"
    digest "$PROGRAM"
    value program "$digest"
    held=
    for file in "$ETC/keys/controller"/*.pem; do
        file=${file##*/}
        ! believed "${file%.pem}" || held="$held${file%.pem} "
    done
    value keys.controller "${held% }"
    admits_value
    give_nonce
    do_facts
}

# write_job: the job is this very program but for its last line, and the order as it was verified: both are root's.
write_job() {
    # shellcheck disable=SC2016 # that shell expands them, and these are its own words
    sed '$d' "$PROGRAM" >"$file.sh" && printf '%s\n' 'pinned_job "$2" "$3"' >>"$file.sh" &&
        printf 'signer=%s\n%s\nend=1\n' "$signer_key" "$head_text" >"$file.order"
}

# pinned_job ORDER ANSWER: what such a job does.
pinned_job() {
    exec >"$2"
    beside=${1%order} # as_job takes it away with the order
    signed=$(cat "$1")
    case $signed in
    *"
end=1") ;;
    *) fail GP462 "the order ends before its end" ;;
    esac
    signed=${signed%?end=1}
    signer_key=${signed%%"
"*}
    signer_key=${signer_key#*=}
    read_signed "$signed"
    enrolled
    believed "$signer_key" || fail GP461 "key $signer_key signed the order; this host believes it no controller"
    for_this_host
    obey
}

pinned_main
