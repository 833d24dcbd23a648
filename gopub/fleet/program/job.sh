# shellcheck shell=sh disable=SC2015,SC2034,SC2154
# The host program of gopub, part 8 of 9: jobs that outlive the connection.

# as_job: the order is carried out by a unit of systemd; this process only waits for its answer. If the
# connection drops, the job goes on, and the same order asked again waits for it and gets its record.
as_job() {
    make_folders
    short "$o_token"
    job=gopub-$o_instance-$o_epoch-$o_n-$short
    of_trace
    file=$state/jobs/$job.$$
    write_job || unwritten "$file"
    most=$((o_arg_stop_timeout + o_arg_lock_wait + 60 + (o_arg_within > 30 ? o_arg_within - 30 : 0)))
    [ -z "$o_arg_port" ] || most=$((most + 30)) # it proves before it ends
    tries=$((most * 5))
    until start_job; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || fail_unkept GP436 "the job $job does not end"
        sleep 0.2
    done
    answer=$(cat "$file.answer" 2>/dev/null)
    rm -f "$file".*
    case $answer in
    *"
end=1") ;;
    *) fail_unkept GP449 "the job $job died; ask again" ;;
    esac
    printf '%s\n' "$answer"
    case $answer in *"
ok=true
"*) exit 0 ;; *) exit 1 ;; esac
}

# start_job: runs the job and waits for it; false while another one of the same name still runs.
start_job() {
    case $(systemctl show "$job.service" -p ActiveState) in
    ActiveState=active | ActiveState=activating | ActiveState=deactivating) return 1 ;;
    esac
    systemd-run --quiet --wait --collect --unit="$job" --description="gopub $o_verb of $o_instance, trace $of_trace" \
        --property=SyslogIdentifier=gopub --property="RuntimeMaxSec=$most" \
        -- /bin/sh "$file.sh" "$o_verb" "$file.order" "$file.answer" </dev/null >"$file.log" 2>&1 && return 0
    ! grep -q -i -e 'already' -e 'exists' "$file.log"
}
