# shellcheck shell=sh disable=SC2015,SC2034,SC2154,SC2174,SC2194
# Enrolment, part 2 of 4: what it asks, what is so on this host, and what would stand in its way. Changes nothing.
#
# The parts are joined in the order away, enroll_look, enroll, unenroll and run as root by
#     sh -c PROGRAM gopub-enroll         a request on standard input, an answer on standard output
# The request is key=value lines up to an empty line; what follows are the files, one after another, of the sizes that
# the lines say. An answer is key=value lines, the last of which is end=1. Speaks POSIX sh (dash, busybox).
at_opt=/opt
answer=''
began=       # not empty once something of this host was changed that is to be undone when it fails
changed=false

say() { answer="$answer$1=$(printf '%s' "$2" | tr -c '[:print:]' ' ')
"; }

finish() {
    printf 'gopub-enrol=1\n%schanged=%s\nok=%s\ncode=%s\nmessage=%s\nend=1\n' "$answer" "$changed" "$1" "$2" \
        "$(printf '%s' "$3" | tr -c '[:print:]' ' ' | cut -c 1-600)"
    [ "$1" = true ]
    exit
}

# fail CODE MESSAGE: it ends here; a host that was not enrolled before is left as it was.
fail() {
    if [ -n "$began" ]; then
        began=
        take_away || say left "$left"
        changed=false
    fi
    finish false "$1" "$2"
}

read_request() {
    i_verb='' i_machine_id='' i_names='' i_envs='' i_gopub='' i_now=0 i_order=0 i_roles=0 i_login=0 i_enrolled='' i_socket='' i_seen=''
    whole=
    while IFS= read -r line; do
        [ -n "$line" ] || {
            whole=1
            break
        }
        val=${line#*=}
        case $line in
        verb=*) i_verb=$val ;; machine_id=*) i_machine_id=$val ;; names=*) i_names=$val ;; envs=*) i_envs=$val ;;
        gopub=*) i_gopub=$val ;; now=*) i_now=$val ;; enrolled=*) i_enrolled=$val ;;
        socket=*) i_socket=$val ;; seen=*) i_seen=$val ;;
        order=*) i_order=$val ;; roles=*) i_roles=$val ;; login=*) i_login=$val ;;
        *) fail GP481 "the request has the line '$line', which this program does not know" ;;
        esac
    done
    [ -n "$whole" ] || fail GP481 "the request ends before its empty line"
    for number in "$i_now" "$i_order" "$i_roles" "$i_login"; do
        case $number in '' | *[!0-9]* | ????????????*) fail GP481 "'$number' is no number of a request" ;; esac
    done
}

# digest FILE: its SHA-256, in $digest; empty when it cannot be read.
digest() {
    digest=$(sha256sum 2>/dev/null <"$1")
    digest=${digest%% *}
}

# of_host KEY: what the host file says, in $said; also one that a change of the list has moved aside.
of_host() {
    said=
    for place in "$at_etc/host.old" "$at_etc/host"; do
        [ -f "$place" ] && while IFS= read -r line; do case $line in "$1="*) said=${line#*=} ;; esac done <"$place"
    done
}

# seen: what an enrolment goes by of what was there before, in one word.
seen() {
    digest=$(cat "$at_etc/host.old" "$at_etc/host" "$at_etc/roles.next" "$at_etc/roles" \
        "$at_home/.ssh/authorized_keys" "$at_lib/order" 2>/dev/null | sha256sum)
    printf %s "${digest%% *}"
}

# still: it is as it was when the request was made, and stays so: somebody else may have enrolled the host for another env
# since, let another login in, or brought it a later list or program. Ours would take back what they did: a key that was
# taken off would be believed again.
still() {
    if [ -d "$at_var" ] && [ -f "$at_etc/host" ]; then
        { (umask 077 && true >>"$at_var/root.lock"); } 2>/dev/null || fail GP494 "$at_var cannot be written"
        exec 7>>"$at_var/root.lock"
        flock -w 30 7 || fail GP481 "a word of the roots is carried out there: call it again"
    fi
    [ -z "$i_seen" ] || [ "$i_seen" = "$(seen)" ] ||
        fail GP481 "somebody else enrolled it or brought it a list of roles or a program just now: call it again"
}

# stands: enrolled, half or none, in $stands.
stands() {
    stands=none
    account
    for place in "$at_lib/order" "$at_lib/shell" "$at_rule" "$at_home" "$at_etc/keys" "$at_etc/roles" "$at_etc/host.old" "$at_var/ran"; do
        [ ! -e "$place" ] && [ ! -L "$place" ] || stands=half
    done
    case $account in *":$at_home:$at_lib/shell") stands=half ;; esac
    [ -f "$at_etc/host" ] || return 0
    stands=enrolled
    for place in "$at_lib/order" "$at_lib/shell" "$at_rule" "$at_home/.ssh/authorized_keys" "$at_etc/keys/root" "$at_etc/roles"; do
        [ -e "$place" ] || stands=half
    done
    [ -n "$account" ] || stands=half
}

look() {
    read -r machine_id </etc/machine-id
    say machine_id "$machine_id"
    say now "$(date +%s)"
    stands
    say stands "$stands"
    say seen "$(seen)"
    for key in names envs machine_id enrolled gopub socket; do
        of_host "$key"
        say "host.$key" "$said"
    done
    digest "$at_lib/order"
    say program "$digest"
    say program.gopub "$(sed -n '2s/^gopub=\([0-9A-Za-z.+-]\{1,64\}\)$/\1/p' "$at_lib/order" 2>/dev/null)"
    list=$at_etc/roles
    [ ! -f "$list.next" ] || list=$list.next # one that is being laid counts already
    say roles "$(head -c 16384 "$list" 2>/dev/null | base64 | tr -d '\n')"
    say roots "$(cd "$at_etc/keys/root" 2>/dev/null && echo *.pem)"
    say login "$(head -c 16385 "$at_home/.ssh/authorized_keys" 2>/dev/null | base64 | tr -d '\n')"
    say root_keys "$(root_keys)"
}

# root_keys: how many keys of root's let somebody in here, by the file where they usually lie.
root_keys() {
    of_root=$(getent passwd root 2>/dev/null || grep '^root:' /etc/passwd)
    of_root=${of_root%:*}
    grep -c -v -e '^[[:space:]]*#' -e '^[[:space:]]*$' "${of_root##*:}/.ssh/authorized_keys" 2>/dev/null || :
}

# fit: what would stand in the way is told before anything is changed.
fit() {
    [ "$(id -u)" = 0 ] || fail GP420 "enrolment needs root, it runs as $(id -un)"
    read -r machine_id </etc/machine-id
    [ "$i_machine_id" = "$machine_id" ] ||
        fail GP434 "the request is for machine ${i_machine_id:-(none)}, this is $machine_id"
    has openssl || fail GP478 "this host has no program openssl, which checks the signatures of orders"
    has sudo visudo flock tar gzip awk sed sha256sum base64 fold stat sync systemctl ||
        fail GP491 "this host lacks:$lacks"
    has useradd userdel || has adduser deluser || fail GP491 "this host has neither useradd nor adduser"
    now=$(date +%s)
    [ "$((now - i_now))" -lt 3600 ] && [ "$((i_now - now))" -lt 3600 ] ||
        fail GP497 "this host's clock is off by $((now - i_now)) seconds"
    of_host machine_id
    [ -z "$said" ] || [ "$said" = "$machine_id" ] ||
        fail GP495 "$at_etc/host is that of machine $said, this is $machine_id: an image was copied"
    ours
    room
    sudo_reads
    sshd_lets_in
}

# ours: no path of ours is somebody else's, and user gopub is nobody else.
ours() {
    account
    case $account in
    '' | *":$at_home:$at_lib/shell") ;;
    *) fail GP492 "there is a user gopub already, and it is not enrolment's: ${account#*:*:}" ;;
    esac
    [ -n "$account" ] || ! grep -q '^gopub:' /etc/group || fail GP492 "there is a group gopub already, and no such user"
    for place in "$at_etc" "$at_lib" "$at_var" "$at_home" "$at_home/.ssh" "$at_etc/keys" "$at_var/ran"; do
        [ ! -L "$place" ] && { [ ! -e "$place" ] || [ -d "$place" ]; } || fail GP492 "$place is no plain folder"
        [ ! -d "$place" ] || [ "$(stat -c '%u' "$place")" = 0 ] || fail GP492 "the folder $place is not root's"
    done
    for place in "$at_etc/host" "$at_etc/roles" "$at_lib/order" "$at_lib/shell" "$at_rule" "$at_home/.ssh/authorized_keys"; do
        [ ! -L "$place" ] && { [ ! -e "$place" ] || [ -f "$place" ]; } || fail GP492 "$place is no plain file"
    done
    [ ! -e "$at_rule" ] || grep -q -x -F "$at_mark" "$at_rule" || fail GP492 "$at_rule is there already, and it is not enrolment's"
}

# room: every place can be written, and has space.
room() {
    for place in "$at_lib" "$at_etc" "$at_var" "$at_home/.ssh" "${at_rule%/*}"; do
        while [ ! -d "$place" ]; do place=${place%/*}; done
        [ -w "${place:-/}" ] || fail GP494 "${place:-/} cannot be written: is it mounted read-only?"
        read -r blocks size inodes all <<END
$(stat -f -c '%a %S %d %c' "${place:-/}")
END
        [ "$((blocks * size))" -ge 1000000 ] && { [ "$all" = 0 ] || [ "$inodes" -ge 50 ]; } ||
            fail GP494 "the disk is full: no room in ${place:-/}"
    done
    for place in "$at_lib/order" "$at_lib/shell" "$at_home/.ssh/authorized_keys" "$at_etc/host" "$at_etc/roles" "$at_rule"; do
        [ ! -e "$place" ] || case $(lsattr -d "$place" 2>/dev/null) in
        [!\ ]*[ia]*\ *) ! is_fixed "$place" || fail GP494 "$place is immutable (chattr)" ;;
        esac
    done
}

# is_fixed FILE: whether its attributes have i or a.
is_fixed() {
    attributes=$(lsattr -d "$1" 2>/dev/null)
    case ${attributes%% *} in *[ia]*) return 0 ;; esac
    return 1
}

# sudo_reads: sudo's files are in order, and it reads the folder in which the rule will lie.
sudo_reads() {
    [ -d "${at_rule%/*}" ] || fail GP493 "there is no ${at_rule%/*}"
    said=$(visudo -c 2>&1) || fail GP493 "sudo's own files are not in order: $said"
    grep -q -E "^[#@]includedir[[:space:]]+${at_rule%/*}/?[[:space:]]*\$" /etc/sudoers ||
        fail GP493 "/etc/sudoers does not include ${at_rule%/*}"
}

# sshd_lets_in: what sshd says of user gopub, where it says so; a host with another server is not asked.
sshd_lets_in() {
    sshd=$(sshd -T -C user=gopub,host=localhost,addr=127.0.0.1 2>/dev/null) || return 0
    while read -r key val; do
        case $key in
        pubkeyauthentication) [ "$val" = yes ] || fail GP496 "sshd takes no keys here (PubkeyAuthentication $val)" ;;
        forcecommand) [ "$val" = none ] || fail GP496 "sshd forces another command on user gopub: $val" ;;
        authorizedkeysfile)
            case " $val " in
            *" .ssh/authorized_keys "* | *" %h/.ssh/authorized_keys "* | *" $at_home/.ssh/authorized_keys "*) ;;
            *) fail GP496 "sshd looks for keys elsewhere (AuthorizedKeysFile $val)" ;;
            esac
            ;;
        denyusers) ! named "$val" || fail GP496 "sshd keeps user gopub out (DenyUsers $val)" ;;
        allowusers) allow="${allow:-} $val" ;; # a line for each
        allowgroups) named "$val" || fail GP496 "sshd lets only certain groups in (AllowGroups $val)" ;;
        esac
    done <<END
$sshd
END
    [ -z "${allow:-}" ] || named "$allow" || fail GP496 "sshd lets only others in (AllowUsers$allow)"
}

# named WORDS: whether one of these patterns of sshd means user gopub.
named() {
    set -f
    # shellcheck disable=SC2086 # words are wanted
    set -- $1
    set +f
    for word; do
        # shellcheck disable=SC2254 # a pattern is wanted
        case gopub in ${word%%@*}) return 0 ;; esac
    done
    return 1
}
