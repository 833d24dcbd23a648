# shellcheck shell=sh disable=SC2015,SC2034,SC2154,SC2174,SC2194
# Enrolment, part 3 of 4: making a host one that asks for signatures.
#
# It may be killed at any instruction. Everything is made beside its place and renamed into it; the last rename, that of
# $at_etc/host, is what makes the host an enrolled one: until then the program that lies there serves nobody (GP477). Run
# again it finishes what is there; `unenroll` takes it away. Where the list of roles of an enrolled host changes, its host
# file is moved aside meanwhile: a host of two lists serves nobody either.

do_enroll() {
    fit
    still
    stands
    [ "$stands" = enrolled ] || [ -e "$at_etc/host.old" ] || began=1
    [ ! -e "$at_etc/host" ] || began=
    receive
    folders
    remember
    put "$at_lib/shell" 0755 "$(shell_text)"
    lay_keys
    take_user
    put "$at_home/.ssh/authorized_keys" 0644 "$login"
    lay_rule
    bring_in
    swap_roles
    prove_rule
    rm -f "$at_etc/ending" # an end that roots had said, of the enrolment before
    put "$at_etc/host" 0644 "names=$i_names
envs=$i_envs
machine_id=$machine_id
enrolled=$i_enrolled
gopub=$i_gopub${i_socket:+
socket=$i_socket}"
    rm -f "$at_etc/host.old"
    began=
    look
    finish true '' "enrolled"
}

# shell_text: what user gopub has for a shell. It does one thing; who wants another one done is told so at once.
shell_text() {
    refused='GP472'
    echo '#!/bin/sh' # a line that begins with it would stay at home, as comments do
    cat <<END
case \${SSH_ORIGINAL_COMMAND-\${2-}} in
'' | $at_lib/order | $at_lib/shell | 'sudo -n -- $at_lib/order') exec $(command -v env) -i $(command -v sudo) -n $at_lib/order ;;
esac
printf '%s\n' gopub-record=1 host= verb= epoch=0 token= n=0 ok=false changed=false code=$refused \\
    'message=a program came on the command line; this host runs none: it is enrolled' end=1
exit 1
END
}

# receive: the files of the request; what did not come whole is refused before anything is changed.
receive() {
    work=$at_run/gopub-enroll
    rm -rf "$work"
    mkdir -m 0700 "$work" || fail GP494 "$at_run cannot be written"
    cat >"$work/all" || fail GP494 "$at_run cannot be written"
    from=1
    for name in order roles login; do
        eval "size=\$i_$name"
        tail -c "+$from" "$work/all" | head -c "$size" >"$work/$name"
        [ "$(stat -c %s "$work/$name")" = "$size" ] && [ "$size" -gt 0 ] ||
            fail GP481 "the request ends in the middle of '$name'"
        from=$((from + size))
    done
    sh -n "$work/order" 2>/dev/null || fail GP481 "the program that came does not parse here"
    login=$(cat "$work/login")
    i_names=$(in_order "$i_names")
    i_envs=$(in_order "$i_envs")
}

in_order() { printf '%s\n' "$1" | tr ' ' '\n' | sort -u | tr '\n' ' ' | sed 's/^ *//; s/ *$//'; }

# put FILE MODE TEXT: the text becomes FILE at once or not at all, also when the power fails.
put() {
    printf '%s\n' "$3" >"$1.new" 2>/dev/null || unwritten "$1"
    settle_in "$1" "$2"
}

# settle_in FILE MODE: FILE.new, which lies there, becomes FILE; the same again changes nothing.
settle_in() {
    if [ -f "$1" ] && cmp -s "$1" "$1.new" && [ "$(stat -c '%a %u %g' "$1")" = "${2#0} 0 0" ]; then
        rm -f "$1.new"
        return
    fi
    chown 0:0 "$1.new" && chmod "$2" "$1.new" && sync "$1.new" && mv -f "$1.new" "$1" 2>/dev/null && sync "${1%/*}" ||
        unwritten "$1"
    changed=true
}

unwritten() {
    rm -f "$1.new" 2>/dev/null
    fail GP494 "$1 cannot be written"
}

folders() {
    for place in "$at_etc" "$at_lib" "$at_home" "$at_home/.ssh"; do
        [ -d "$place" ] || mkdir -p -m 0755 "$place" || fail GP494 "$place cannot be made"
    done
    chown 0:0 "$at_lib" "$at_home" "$at_home/.ssh" && chmod 0755 "$at_lib" "$at_home" "$at_home/.ssh" || fail GP494 "$at_home cannot be written"
    # others must pass through it where an edge's tables lie below; what is enrolment's is root's alone
    [ -d "$at_var" ] || mkdir -p -m 0711 "$at_var" || fail GP494 "$at_var cannot be made"
    (umask 077 && true >>"$at_var/root.lock") || fail GP494 "$at_var cannot be written"
    for place in $at_kept; do
        case $place in *[!a-z]* | ran) continue ;; esac # a file; what is made whole later
        [ -d "$at_var/$place" ] || mkdir -m 0700 "$at_var/$place" || fail GP494 "$at_var/$place cannot be made"
    done
}

# remember: what is staged at this moment may be gone back to, though nobody admitted it under this list.
remember() {
    [ -z "$began" ] && [ -d "$at_var/ran" ] && return
    rm -rf "$at_var/ran.new" "$at_var/ran"
    mkdir -m 0700 "$at_var/ran.new" || fail GP494 "$at_var/ran cannot be made"
    for place in "$at_opt"/*/releases; do
        [ -d "$place" ] && [ ! -L "$place" ] || continue
        instance=${place%/releases}
        instance=${instance##*/}
        case $instance in *[!a-z0-9-]*) continue ;; esac
        found=$(staged "$place")
        [ -z "$found" ] || printf '%s\n' "$found" >"$at_var/ran.new/$instance" || fail GP494 "$at_var/ran cannot be written"
    done
    find "$at_var/ran.new" -exec sync {} + && mv "$at_var/ran.new" "$at_var/ran" && sync "$at_var" || fail GP494 "$at_var/ran cannot be written"
}

# staged FOLDER: of each release that lies there its folder and the digest of its binary, a line each.
staged() {
    for dir in "$1"/????????????-????????????; do
        [ -d "$dir" ] && [ ! -L "$dir" ] && [ -f "$dir/.gopub-manifest" ] && [ ! -L "$dir/.gopub-manifest" ] || continue
        release='' render='' binary=''
        while IFS= read -r line; do
            case $line in
            release=*) release=${line#*=} ;; render=*) render=${line#*=} ;; binary=*) binary=${line#*=} ;;
            esac
        done <"$dir/.gopub-manifest"
        case $release$render$binary in *[!0-9a-f]*) continue ;; esac
        [ "$(printf %.12s-%.12s "$release" "$render")" = "${dir##*/}" ] && [ ${#binary} -eq 64 ] || continue
        printf '%s %s\n' "${dir##*/}" "$binary"
    done
}

# lay_keys: the keys of the list that came, each under its fingerprint, beside those that count now.
lay_keys() {
    rm -rf "$at_etc/keys.new"
    mkdir -m 0755 "$at_etc/keys.new" && for role in release admission controller root; do
        mkdir -m 0755 "$at_etc/keys.new/$role" || fail GP494 "$at_etc/keys cannot be made"
    done || fail GP494 "$at_etc/keys cannot be made"
    while IFS= read -r line && [ -n "$line" ]; do
        role=${line%%=*}
        case $role in release | admission | controller | root) lay_key "$role" "${line#*=}" ;; esac
    done <"$work/roles"
    for role in admission controller root; do
        [ -n "$(ls "$at_etc/keys.new/$role")" ] || fail GP481 "the list of roles that came has no key of the role $role"
    done
    cp "$work/roles" "$at_etc/roles.new" || fail GP494 "$at_etc/roles cannot be written"
    chmod 0644 "$at_etc/roles.new"
    find "$at_etc/keys.new" -exec sync {} + && sync "$at_etc/roles.new" || fail GP494 "$at_etc/keys cannot be written"
}

lay_key() {
    key=$(printf %s "$2" | base64 -d 2>/dev/null | sha256sum)
    key=${key%% *}
    printf -- '-----BEGIN PUBLIC KEY-----\n%s\n-----END PUBLIC KEY-----\n' "$(printf %s "$2" | fold -w 64)" \
        >"$at_etc/keys.new/$1/$key.pem" || fail GP494 "$at_etc/keys cannot be written"
    [ "$(openssl pkey -pubin -in "$at_etc/keys.new/$1/$key.pem" -outform DER 2>/dev/null | sha256sum)" = "$key  -" ] ||
        fail GP478 "openssl of this host cannot use key $key: $(openssl version 2>&1)"
}

# swap_roles: list and keys take the place of the old ones. Meanwhile the host serves nobody.
swap_roles() {
    if [ -f "$at_etc/host" ] && cmp -s "$at_etc/roles" "$at_etc/roles.new" && same_keys; then
        rm -rf "$at_etc/keys.new" "$at_etc/roles.new" "$at_etc/roles.next"
        return
    fi
    changed=true
    [ ! -f "$at_etc/host" ] || { mv -f "$at_etc/host" "$at_etc/host.old" && sync "$at_etc"; } || fail GP494 "$at_etc cannot be written"
    rm -rf "$at_etc/keys.old"
    [ ! -d "$at_etc/keys" ] || mv "$at_etc/keys" "$at_etc/keys.old" || fail GP494 "$at_etc cannot be written"
    mv "$at_etc/keys.new" "$at_etc/keys" && mv -f "$at_etc/roles.new" "$at_etc/roles" && sync "$at_etc" || fail GP494 "$at_etc cannot be written"
    rm -rf "$at_etc/keys.old" "$at_etc/roles.next" # what root was laying: this list is no earlier one
}

same_keys() {
    [ "$(cd "$at_etc/keys" 2>/dev/null && find . -type f -exec sha256sum {} + | sort)" = \
        "$(cd "$at_etc/keys.new" && find . -type f -exec sha256sum {} + | sort)" ]
}

# take_user: a user of the system whose home and keys are root's, with no password and a shell that is none.
take_user() {
    account
    [ -z "$account" ] || return 0
    changed=true
    if has useradd; then
        said=$(useradd -r -M -d "$at_home" -s "$at_lib/shell" -c 'gopub signed orders' -p '*' gopub 2>&1)
    else
        said=$(adduser -S -D -H -h "$at_home" -s "$at_lib/shell" -g 'gopub signed orders' gopub 2>&1)
        echo 'gopub:*' | chpasswd -e >/dev/null 2>&1 # sshd takes a ! for an account that is locked
    fi
    account
    case $account in *":$at_home:$at_lib/shell") ;; *) fail GP494 "user gopub cannot be made: $said" ;; esac
}

lay_rule() {
    printf '%s\nDefaults:gopub !requiretty, !use_pty, !setenv, env_reset\ngopub ALL=(root) NOPASSWD: %s ""\n' \
        "$at_mark" "$at_lib/order" >"$at_rule.new" || unwritten "$at_rule" # sudo passes over names with a dot
    said=$(visudo -c -f "$at_rule.new" 2>&1) || {
        rm -f "$at_rule.new"
        fail GP493 "visudo refuses the rule: $said"
    }
    settle_in "$at_rule" 0440
    said=$(visudo -c 2>&1) || fail GP493 "visudo refuses sudo's files with the rule among them: $said"
}

# bring_in: the program. From here on the host says GP477 to everybody, until its host file lies there.
bring_in() {
    cp "$work/order" "$at_lib/order.new" 2>/dev/null || unwritten "$at_lib/order"
    settle_in "$at_lib/order" 0755
    rm -rf "$work"
}

# prove_rule: sudo itself says that user gopub may run the program, and that it may run nothing else by this rule.
prove_rule() {
    sudo -n -l -U gopub "$at_lib/order" >/dev/null 2>&1 || fail GP493 "sudo does not let user gopub run $at_lib/order"
}
