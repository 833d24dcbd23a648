# shellcheck shell=sh disable=SC2015,SC2034,SC2154
# The host program of gopub: hooks, which run once per rollout from a staged release, as the service's user (a migration).
#
# What was begun is on disk before it is done, in hooks/NAME: of which rollout and way (arg.id), and what came of it.
# What began and has no end is never run again unless the order says that it may be (arg.again). The end is written by
# systemd, when the hook's own unit is over: it is known, too, where this program was killed meanwhile.
#
# While it runs the instance is not locked: it may take hours, and whoever goes back meanwhile waits for no migration.

do_hook() {
    check_hook
    hook_unit=gopub-$o_instance-hook-$o_arg_hook.service
    mark=$state/hooks/$o_arg_hook
    { [ -d "$state/hooks" ] || mkdir -m 700 "$state/hooks"; } || unwritten "$state/hooks"
    w_id='' w_stands='' w_said=''
    load "$mark" w
    if [ "$w_id" = "$o_arg_id" ]; then
        [ "$w_stands" != began ] || take_up_hook
        case $w_stands in
        done) finish true '' "$o_arg_hook ran before, and ended well" ;;
        failed) [ "$o_arg_again" = 1 ] || fail GP588 "$o_arg_hook ran before: $w_said" ;;
        *) [ "$o_arg_again" = 1 ] || fail GP589 "$o_arg_hook began here, and nobody saw its end: the machine or its systemd went down in it" ;;
        esac
    elif hook_is_up; then
        # What takes a rollout's hook back takes the place of what still runs of it: an undo copes with half of the work.
        [ "${w_id%.*}" = "${o_arg_id%.*}" ] && { systemctl stop "$hook_unit" || :; } && ! hook_is_up ||
            fail_unkept GP590 "$o_arg_hook of ${w_id:-somebody} still runs on this host ($hook_unit)"
    fi
    run_hook
}

check_hook() {
    case $o_arg_hook in [a-z]*) ;; *) fail GP430 "'$o_arg_hook' is no name of a hook" ;; esac
    case $o_arg_hook in *[!a-z0-9-]*) fail GP430 "'$o_arg_hook' is no name of a hook" ;; esac
    case $o_arg_id in '' | *[!A-Za-z0-9._-]*) fail GP430 "'$o_arg_id' names no run of a hook" ;; esac
    [ "$words" -gt 0 ] || fail GP430 "the order has no words to run"
    [ -f "$releases/$dir/.gopub-manifest" ] || fail GP439 "${dir:-(no release)} is not staged on this host"
    service_user
    manifest "$dir"
    digest "$releases/$dir/bin/$m_app"
    [ "$digest" = "${o_digest_binary:-none}" ] || fail GP425 "bin/$m_app of $dir has not the digest of the order"
    why=$(cd "$releases/$dir" && sha256sum --check --quiet --strict .gopub-sums 2>&1 | head -n 1)
    [ -z "$why" ] || fail GP429 "$dir was altered on this host: $why"
}

hook_is_up() {
    case $(systemctl show "$hook_unit" -p ActiveState) in
    ActiveState=active | ActiveState=activating | ActiveState=deactivating | ActiveState=reloading) ;;
    *) return 1 ;;
    esac
}

# take_up_hook: waits for one that goes on though whoever began it is gone, and writes down what came of it.
take_up_hook() {
    exec 9>&-
    uptime_ds
    deadline=$((now + (o_arg_within + 30) * 10))
    while hook_is_up; do
        uptime_ds
        [ "$now" -lt "$deadline" ] || fail_unkept GP590 "$o_arg_hook still runs ($hook_unit)"
        sleep 0.3
    done
    locked_again
    hook_ended
}

# locked_again: ends here where another order was let in meanwhile: what is kept is that one's now.
locked_again() {
    locked
    read_state
    [ "$h_epoch.$h_token.$h_n" = "$o_epoch.$o_token.$o_n" ] ||
        fail_unkept GP590 "another order came while $o_arg_hook ran (n $h_n of epoch $h_epoch); what came of it is not looked at"
}

run_hook() {
    changed=true
    rm -f "$mark.end" && sync "$state/hooks" || unwritten "$mark.end"
    note_hook began ''
    exec 9>&-
    said=$(start_hook) || code=$?
    take_up_hook
    case $w_stands in
    done) finish true '' "$o_arg_hook ended well" ;;
    failed) fail GP588 "$o_arg_hook $w_said: $(hook_words)" ;;
    esac
    # Its unit never came to be, so nothing was begun: asked again it is tried again.
    rm -f "$mark" && sync "$state/hooks"
    fail_unkept GP590 "systemd could not start $o_arg_hook on this host: $said"
}

# start_hook: runs it to its end. Its own words go to the machine's journal, for a pipe of ours would end it with us.
start_hook() (
    eval "program=\$o_arg_word_0"
    [ ! -x "$releases/$dir/bin/$program" ] || program=$releases/$dir/bin/$program
    set -- -- "$program"
    i=1
    while [ "$i" -lt "$words" ]; do
        eval "set -- \"\$@\" \"\$(dollars \"\$o_arg_word_$i\")\""
        i=$((i + 1))
    done
    # The same variables as the service has: where its database is, say. A unit doubles percent signs, a property does not.
    while IFS= read -r line; do
        set -- "--property=$line" "$@"
    done <<END
$(unit_lines | sed -n -e 's/%%/%/g' -e "s#$home/current\\([/\"' ]\\|\$\\)#$releases/$dir\\1#g" -e '/^Environment=..*/p' -e '/^EnvironmentFile=..*/p')
END
    [ "${1#--property=}" != "" ] || shift
    # A folder of state is given to whom the unit says alone: systemd moves it, and all files in it change their owner.
    user=${o_arg_user:-$(unit_says User)}
    case ${o_arg_user:+no}$(unit_says DynamicUser) in
    [1YyTt]* | [Oo][Nn])
        # Without a name of its own it is the unit's, and where that is too long for a user one that systemd makes.
        [ -n "$user" ] || [ ${#o_instance} -gt 31 ] || user=$o_instance
        [ -n "$user" ] || user=$(systemctl show "$o_instance.service" -p User --value)
        set -- --property=DynamicUser=yes ${user:+"--property=User=$user"} "$@"
        folder=$(unit_says StateDirectory)
        [ -z "$folder" ] || set -- --property="StateDirectory=$folder" "$@"
        ;;
    *) [ -z "$user" ] || set -- --property="User=$user" "$@" ;;
    esac
    # shellcheck disable=SC2016 # that shell expands them, when the hook's unit is over
    exec systemd-run --quiet --wait --collect --unit="$hook_unit" --description="hook $o_arg_hook of $o_instance" \
        --property="RuntimeMaxSec=$o_arg_within" --property="WorkingDirectory=$releases/$dir" \
        --property=StandardOutput=journal --property=StandardError=journal --property="SyslogIdentifier=$o_instance-hook" \
        --property="ExecStopPost=+/bin/sh -c 'echo \"\$\$SERVICE_RESULT \$\$EXIT_STATUS\" >$mark.end.tmp && sync $mark.end.tmp && mv $mark.end.tmp $mark.end'" \
        "$@" </dev/null 2>&1
)

# unit_lines: the release's unit, or that of its first slot, a line for each that it says.
unit_lines() {
    said_in=$releases/$dir/$o_instance.service
    [ -f "$said_in" ] || said_in=$releases/$dir/$o_instance@a.service
    sed -e ':a' -e '/\\$/{N' -e 's/\\\n/ /' -e 'ta' -e '}' -e 's/^[[:space:]]*//' "$said_in"
}

# unit_says NAME: what it says last of it.
unit_says() { unit_lines | sed -n "s/^$1[[:space:]]*=[[:space:]]*//p" | tail -n 1; }

# hook_ended: what systemd wrote of its end becomes what is kept; without it nothing is changed.
hook_ended() {
    result='' status=''
    { read -r result status <"$mark.end"; } 2>/dev/null || return 0
    # A signal such as TERM is a good end to systemd: it comes with every shutdown, and from whoever stops the unit.
    case "$result $status" in
    'success 0') note_hook 'done' '' ;;
    success*) note_hook failed "was ended by signal ${status:-(unknown)}, in the middle" ;;
    *) note_hook failed "ended with $result${status:+, exit status $status}" ;;
    esac
}

# note_hook STANDS SAID
note_hook() {
    w_id=$o_arg_id w_stands=$1 w_said=$2
    durable "$mark" "id=$w_id
stands=$w_stands
said=$w_said" || unwritten "$mark"
}

hook_words() {
    timeout 5 journalctl --sync 2>/dev/null
    journalctl --quiet --output cat --unit "$hook_unit" --lines 3 SYSLOG_IDENTIFIER="$o_instance-hook" 2>/dev/null |
        tr '\n' ' ' | cut -c 1-300
}
