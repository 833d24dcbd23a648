# shellcheck shell=sh disable=SC2015,SC2034,SC2154
# The host program of gopub, way config: nothing differs from what serves but files that a release calls `apply: reload`. The
# process takes them in and is not restarted. The link's rename is the step that counts: whatever restarts the service
# starts the whole of what `current` names, for the unit of such a release is loose (loose.sh): it goes by that link.
#
# state/taken says which release's files the process took in: DIR INVOCATION, or - INVOCATION while it is not known.

# takes_in DIR: whether the process can come to DIR so. Changes nothing.
takes_in() {
    [ -n "$m_reload" ] && [ -n "$current" ] && [ "$u_active.$u_reload" = active.no ] && is_loose "$1" &&
        [ "$(cat "$state/served" 2>/dev/null)" = "$(digest_of "$releases/$1/$unit")" ] || return 1
    exe_facts
    running
    kept=$(kept_files "$1") # none where it cannot be read: nothing is the same as nothing
    [ -n "$kept" ] && [ -n "$running" ] && [ -f "$releases/$running/.gopub-confirm" ] && [ "$exe_digest" = "$m_binary" ] &&
        [ "$(mode_in "$running")" = "$(mode_in "$1")" ] &&
        [ "$(kept_files "$running")" = "$kept" ]
}

mode_in() { sed -n 's/^mode=//p' "$releases/$1/.gopub-manifest"; }

# kept_files DIR: names of all its files, and the sums of those that a running process does not take in.
kept_files() {
    awk -v files=" $m_reload " '{ name = substr($0, 69) } name ~ /^\.gopub/ { next }
        index(files, " " name " ") { $1 = "-" } { print $1, name }' "$releases/$1/.gopub-sums" | sort
}

config_place() {
    came_from=$current
    unit_changed=
    place_link "$1"
}

# config_take DIR: the process is told, and says itself what it took in. One that does not is brought to where it was; on
# the way back, and where that does not go either, it is restarted.
config_take() {
    holds_already "$1" || {
        took=1 changed=true
        durable "$state/taken" "- $u_invocation" || unwritten "$state/taken"
        bring_in "$1" "$o_arg_within" || {
            [ -n "$backward" ] || give_up "$1"
            restart_instead "$1"
        }
    }
}

# holds_already DIR: a process that nobody told since it was started holds what it was started with.
holds_already() {
    mark=$(cat "$state/taken" 2>/dev/null)
    case $mark in
    "$1 $u_invocation") return 0 ;;
    *" $u_invocation") return 1 ;;
    esac
    running
    [ "$running" = "$1" ]
}

# holds_files DIR: whether a process of that release's own binary needs no restart for its files: one that took in those of
# another release since is none of this one.
holds_files() { [ -z "$m_reload" ] || holds_already "$1"; }

# bring_in DIR SECONDS: tell it, and wait until it says that it holds DIR's files; else $why, and $bad is the code.
bring_in() {
    bad='' why='' told_pid=$u_pid
    uptime_ds
    deadline=$((now + $2 * 10))
    if [ "$(systemctl show "$unit" -p CanReload --value)" = yes ]; then
        complaint=$(timeout "$2" systemctl reload "$unit" 2>&1) || why="systemctl reload: $complaint"
    else
        complaint=$(systemctl kill --kill-who=main --signal=HUP "$unit" 2>&1) || why="it gets no SIGHUP: $complaint"
    fi
    [ -z "$why" ] || bad=GP558
    while [ -z "$bad" ]; do
        ask_held "$1"
        unit_facts
        [ "$u_active.$u_pid" = "active.$told_pid" ] || {
            bad=GP558 why="the process ended ($(last_end)): $(last_words)"
            break
        }
        [ -n "$lacking" ] || break
        ! refuses || break
        uptime_ds
        [ "$now" -lt "$deadline" ] || bad=GP557 why="after ${2}s it says that it holds ${held_sums:-nothing}, not $lacking ($held_said)"
        [ -n "$bad" ] || sleep 0.2
    done
    [ -z "$bad" ] || return 1
    durable "$state/taken" "$1 $u_invocation" || unwritten "$state/taken"
}

# refuses: whether it says that it tried the very file and does not want it, as gopub's own Go module says it.
refuses() {
    case $held_said in *'"last_reload_successful":false'*) ;; *) return 1 ;; esac
    case $held_said in *"\"attempted_sha256\":\"$lacking\""*) ;; *) return 1 ;; esac
    bad=GP556
    why=$(printf %s "$held_said" | sed 's/.*"last_error":"//; s/","[a-z_0-9]*":.*//; s/"[]} ]*$//' | cut -c 1-300)
}

# ask_held DIR: what the process says that it holds, in $held_sums; what of DIR's files is not among it, in $lacking.
ask_held() {
    held_place=$releases/$1
    held_first=
    [ ! -f "$held_place/.gopub-confirm" ] || IFS= read -r held_first <"$held_place/.gopub-confirm"
    case $held_first in
    http://* | https://*)
        held_said=$(printf 'url = "%s"\n' "$held_first" | curl --config - --globoff --silent --show-error --noproxy '*' \
            --proto =http,https --insecure --max-time 3 --max-filesize 65536 2>&1 | head -c 65536 | tr -d '\n')
        ;;
    *) held_said=$(ask_words "$held_place" 2>&1 | head -c 65536 | tr '\n' ' ') ;;
    esac
    case $held_said in
    *'"sha256"'*) held_sums=$(printf %s "$held_said" | grep -o '"sha256"[[:space:]]*:[[:space:]]*"[0-9A-Fa-f]*"' | grep -o '[0-9A-Fa-f]\{64\}' | tr A-F a-f) ;;
    *) held_sums=$(printf %s "$held_said" | tr A-F a-f | tr -c '0-9a-f' '\n' | grep -x '[0-9a-f]\{64\}') ;;
    esac
    held_sums=$(printf %s "$held_sums" | tr '\n' ' ')
    held_said=$(printf %s "$held_said" | sed 's/"[[:space:]]*:[[:space:]]*"/":"/g; s/"[[:space:]]*:[[:space:]]*false/":false/g')
    lacking=
    wanted=$(awk -v files=" $(sed -n 's/^reload=//p' "$held_place/.gopub-manifest") " \
        'index(files, " " substr($0, 69) " ") { print $1 }' "$held_place/.gopub-sums")
    [ -n "$wanted" ] || lacking=unread # nobody knows what it should hold, so that it holds it is not known either
    for sum in $wanted; do
        case " $held_sums " in *" $sum "*) ;; *) lacking=$sum ;; esac
    done
}

# ask_words FOLDER: the team's own command, as the service's user.
ask_words() (
    place=$1
    set --
    while IFS= read -r word; do
        [ $# -gt 0 ] || [ ! -x "$place/bin/$word" ] || word=$place/bin/$word
        set -- "$@" "$(dollars "$word")"
    done <"$place/.gopub-confirm"
    user=$(systemctl show "$unit" -p User --value)
    who=DynamicUser=yes
    [ -z "$user" ] || [ "$user" = "$o_instance" ] || who=User=$user
    exec 9>&-
    systemd-run --quiet --wait --collect --pipe --property=RuntimeMaxSec=10 --property=TimeoutStopSec=2 --property="WorkingDirectory=$place" \
        --property="$who" -- "$@" </dev/null
)

# give_up DIR: back to the files of before, which the process has still to say; where it does not, it is restarted with them.
give_up() {
    gave_bad=$bad gave_why=$why before_it=$came_from
    [ "$before_it" != "$1" ] || before_it=$(cat "$state/previous" 2>/dev/null)
    [ -n "$before_it" ] && [ -f "$releases/$before_it/.gopub-manifest" ] || fail "$gave_bad" "$gave_why"
    manifest "$before_it"
    place_link "$before_it"
    unit_facts
    back="it goes on with the files of before"
    if [ "$u_active" != active ] || ! bring_in "$before_it" 5; then
        restart "$before_it"
        note_start "$before_it"
        back="it was restarted with the files of before"
    fi
    [ -z "$had_previous" ] || durable "$state/previous" "$had_previous" || unwritten "$state/previous"
    fail "$gave_bad" "$gave_why; $back"
}

restart_instead() {
    way=restart way_why="it did not take its files in: $why"
    restart "$1"
}

# look_config: what verify and status ask of a release with such files: the process holds them. A command is not run at each look.
look_config() {
    [ -n "$m_reload" ] && [ -z "$bad" ] && [ -f "$releases/$dir/.gopub-confirm" ] || return 0
    IFS= read -r held_first <"$releases/$dir/.gopub-confirm"
    case $verb.$held_first in verify.* | *.http://* | *.https://*) ;; *) return 0 ;; esac
    ask_held "$dir"
    c_config=ok
    [ -z "$lacking" ] || {
        c_config=no
        wrong GP557 "the process says that it holds ${held_sums:-nothing}, not $lacking ($(printf %s "$held_said" | cut -c 1-200))"
    }
}
