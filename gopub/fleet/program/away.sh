# shellcheck shell=sh disable=SC2015,SC2034,SC2154
# Enrolment, part 1 of 4, and a part of the program of enrolled hosts: taking away what enrolment makes.
#
# First of all goes the host file, so that nothing is served by half; the program goes before the keys, so that a host is
# never one that takes orders without them. Services run on, releases stay, and what is not enrolment's is not touched.
set -u
umask 022
LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH

at_etc=/etc/gopub at_lib=/usr/local/lib/gopub at_var=/var/lib/gopub at_home=/var/lib/gopub-ssh
at_rule=/etc/sudoers.d/gopub at_run=/run
# what is kept of orders below $at_var; other folders there (an edge's tables) are not enrolment's
at_kept='heads nonces admitted ran bound seen upgraded root.lock'
at_mark='# gopub: made by enrolment; gopub host unenroll takes it away'

# has PROGRAM…: whether all of them are there; else $lacks.
has() {
    lacks=
    for tool; do command -v "$tool" >/dev/null || lacks="$lacks $tool"; done
    [ -z "$lacks" ]
}

# account: the line of user gopub, in $account; also one that a directory of users brings.
account() { account=$(getent passwd gopub 2>/dev/null || grep '^gopub:' /etc/passwd); }

# take_away: removes what enrolment makes; false, and $left, where something stays.
take_away() {
    left=
    gone "$at_etc/host" "$at_etc/host.old" "$at_etc/host.new"
    [ ! -d "$at_etc" ] || sync "$at_etc"
    [ ! -f "$at_rule" ] || ! grep -q -x -F "$at_mark" "$at_rule" || gone "$at_rule"
    gone "$at_rule.new" "$at_home/.ssh/authorized_keys" "$at_home/.ssh/authorized_keys.new"
    for place in "$at_home/.ssh" "$at_home"; do
        [ ! -d "$place" ] || [ -L "$at_home" ] || rmdir "$place" 2>/dev/null || left="$left $place"
    done
    drop_user
    gone "$at_lib/order" "$at_lib/order.new" "$at_lib/order.old" "$at_lib/order.part" "$at_lib/order.before"
    gone "$at_lib/shell" "$at_lib/shell.new"
    gone "$at_etc/keys" "$at_etc/keys.new" "$at_etc/keys.old"
    gone "$at_etc/roles" "$at_etc/roles.new" "$at_etc/roles.next" "$at_etc/roles.next.part" \
        "$at_etc/roles.part" "$at_etc/ending.part"
    for place in $at_kept; do gone "$at_var/$place" "$at_var/$place.new"; done
    gone "$at_run/gopub-enroll"
    [ -n "$left" ] || gone "$at_etc/ending"
    for place in "$at_lib" "$at_etc" "$at_var"; do # only where nothing else lies there
        [ ! -d "$place" ] || [ -L "$place" ] || rmdir "$place" 2>/dev/null || :
    done
    [ -z "$left" ]
}

gone() {
    for place; do
        [ ! -e "$place" ] && [ ! -L "$place" ] || rm -rf "$place" 2>/dev/null || left="$left $place"
    done
}

# drop_user: the user, where it is enrolment's. A session of its own may be what asks: it is not ended, and can do
# nothing more.
drop_user() {
    account
    case $account in *":$at_home:$at_lib/shell") ;; *) return 0 ;; esac
    if has userdel; then userdel -f gopub >/dev/null 2>&1; else deluser gopub >/dev/null 2>&1; fi
    account
    [ -z "$account" ] || left="$left user gopub"
}
