# shellcheck shell=sh disable=SC2015,SC2034,SC2154
# The host program of gopub on an enrolled host: what the roots' word alone does. Stands before pinned.sh.
#
#     gopub-root=1 VERB SIZE        then SIZE bytes: lines, an empty line, and signatures of roots, each on a line
#
# No key of a controller has a say in it, so that roots get a host back whose controller's key is lost or stolen. There
# is no nonce either. An old word that is brought back does nothing: a list has a serial, an upgrade has one that is
# higher than the last and than the moment of the enrolment, and the end of an enrolment names that very one.

MOST_WORD=8192      # bytes of lines and signatures
MOST_PROGRAM=400000 # bytes of a program
MOST_KEYS=8         # of a role
MOST_SIGNATURES=16
P256=MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE # how each key on that curve begins, in Base64

refusal="GP473" # the code of the verb at hand

refuse() { fail "$refusal" "$1"; }

do_root() {
    work=$inbox.root
    { rm -rf "$work" && mkdir -m 700 "$work"; } || fail GP448 "cannot write below $RUN"
    [ ${#first} -le 80 ] || refuse "its first line is not: gopub-root=1 VERB SIZE" # a shell is slow with long ones
    o_verb=${first#* } told=${first##* } o_host=${e_names%% *}
    o_verb=${o_verb%% *}
    case $o_verb in
    ask) most=0 ;;
    roles) refusal="GP474" most=$MOST_WORD ;;
    upgrade) refusal="GP475" most=$((MOST_WORD + MOST_PROGRAM)) ;;
    unenroll) refusal="GP476" most=$MOST_WORD ;;
    *) o_verb='' && refuse "that is no verb of the roots" ;;
    esac
    [ "$first" = "gopub-root=1 $o_verb $told" ] && is_number "$told" || refuse "its first line is not: gopub-root=1 VERB SIZE"
    [ "$told" -le "$most" ] || refuse "it says that it has $told bytes, and may have $most"
    take_rest
    size "$work/word"
    [ "$size" -eq "$told" ] || refuse "it has $size bytes where its first line says $told: it was cut"
    [ "$o_verb" != ask ] || tell_roles
    command -v openssl >/dev/null || fail GP478 "this host has no program 'openssl'"
    (is_roots) || exit 1 # who is none of the roots never holds the lock, for which they would wait
    lock_list
    "root_$o_verb"
}

# take_rest: the bytes that the first line tells of in $work/word; they have as long to come as the first ones had.
take_rest() {
    size "$inbox.in"
    missing=$((told - size + ${#first} + 1))
    {
        tail -c "+$((${#first} + 2))" "$inbox.in"
        [ "$missing" -le 0 ] || timeout "$PATIENCE" head -c "$missing"
    } | head -c "$told" >"$work/word"
}

# is_roots: ends here unless enough roots signed what came.
is_roots() {
    know
    take_word
    signed_as "application/vnd.gopub.$o_verb"
    insist "$ETC/keys/root" "$k_threshold" "that list $k_serial asks for"
}

# lock_list: one change of lists and programs at a time.
lock_list() {
    # nobody else may open it: whoever can holds it. And exec would end the program without a word
    { (umask 077 && true >>"$KEPT/root.lock"); } 2>/dev/null || unwritten "$KEPT/root.lock"
    exec 7>>"$KEPT/root.lock"
    flock -w 60 7 || fail GP436 "another word of the roots is carried out here"
}

tell_roles() {
    know
    value roles "$k_serial"
    value threshold "$k_threshold"
    value names "$e_names"
    value envs "$e_envs"
    value machine_id "$e_machine_id"
    value enrolled "$e_enrolled"
    value upgraded "$k_upgraded"
    digest "$PROGRAM"
    value program "$digest"
    value gopub "${gopub-}" # the second line of this program
    finish true '' "list of roles $k_serial"
}

# know: the list that counts here, and the last upgrade.
know() {
    k_serial=0 k_threshold=1 u_serial=0 u_program='' u_half=
    sed '/^$/,$d' "$ETC/roles" >"$work/known" && load "$work/known" k # its signatures are no lines of it
    load "$KEPT/upgraded" u
    k_upgraded=$u_serial floor=$(printf '%s' "$e_enrolled" | tr -d -c 0-9)
    is_number "$floor" && is_number "$k_upgraded" && is_number "$k_serial" || fail GP477 "the enrolment of this host is not whole"
    [ "$k_upgraded" -ge "$floor" ] || k_upgraded=$floor
}

# take_word: the lines in $said and $work/said, the signatures in $work/sig.N; what follows them is left on descriptor 6.
take_word() {
    said='' signatures=0 seen=' ' body='' taken=1
    exec 6<"$work/word"
    while :; do
        IFS= read -r line <&6 || refuse "it ends before its empty line"
        [ -n "$line" ] || break
        case $line in *[!!-~]*) refuse "it holds something else than lines of plain text" ;; esac
        said="$said$line
"
        [ ${#said} -le "$MOST_WORD" ] || refuse "its lines are more than $MOST_WORD bytes"
    done
    while IFS= read -r line <&6; do
        [ -n "$line" ] || {
            body=1
            break
        }
        take_signature
    done
    [ -z "$line" ] || refuse "its last line has no end"
    [ "$signatures" -gt 0 ] || refuse "nobody signed it"
    taken=$((taken + ${#said}))
    printf '%s' "$said" >"$work/said"
}

take_signature() {
    case $line in *[!A-Za-z0-9+/=]*) refuse "a signature is not Base64" ;; esac
    taken=$((taken + ${#line} + 1))
    case $seen in *" $line "*) refuse "a signature stands twice" ;; esac
    seen="$seen$line "
    signatures=$((signatures + 1))
    [ "$signatures" -le "$MOST_SIGNATURES" ] && [ ${#line} -le 120 ] || refuse "it has more signatures than $MOST_SIGNATURES"
    printf '%s\n' "$line" >"$work/line.$signatures"
    base64 -d <"$work/line.$signatures" >"$work/sig.$signatures" 2>/dev/null || refuse "a signature is not Base64"
}

# ends_there: nothing follows the signatures, and nothing was in between that a shell does not see.
ends_there() {
    [ -z "$body" ] || refuse "something follows its signatures"
    [ "$taken" -eq "$told" ] || refuse "it holds something else than lines of plain text" # which read leaves out
    exec 6<&-
}

# signed_as TYPE: what the signatures are over (DSSE) in $work/signed.
signed_as() { printf 'DSSEv1 %d %s %d %s' ${#1} "$1" ${#said} "$said" >"$work/signed"; }

# insist FOLDER THRESHOLD WHOSE: as many of the keys in that folder signed it; each counts once.
insist() {
    count=0
    for key in "$1"/*.pem; do
        [ "$count" -lt "$2" ] || break
        for signature in "$work"/sig.*; do
            openssl dgst -sha256 -verify "$key" -signature "$signature" "$work/signed" >/dev/null 2>&1 || continue
            count=$((count + 1))
            break
        done
    done
    [ "$count" -ge "$2" ] || refuse "$count of the $2 roots $3 signed it"
}

root_roles() {
    know
    take_word
    ends_there
    signed_as application/vnd.gopub.roles
    insist "$ETC/keys/root" "$k_threshold" "that list $k_serial asks for"
    read_list "$work/said"
    if [ "$l_serial" -eq "$k_serial" ] && sed '/^$/,$d' "$ETC/roles" | cmp -s - "$work/said"; then
        value roles "$k_serial"
        finish true '' "list of roles $k_serial stands"
    fi
    [ "$l_serial" -gt "$k_serial" ] || refuse "list $l_serial cannot take the place of $k_serial"
    insist "$work/keys/root" "$l_threshold" "that it asks for itself"
    signed_list
    write_list || {
        rm -f "$ETC/roles.part" "$ETC/roles.next.part" "$ETC/keys"/*/*.part
        unwritten "$ETC/keys"
    }
    mv -f "$ETC/roles.next.part" "$ETC/roles.next" && sync "$ETC" || unwritten "$ETC/roles.next"
    lay_list || unwritten "$ETC/keys"
    changed=true
    value roles "$l_serial"
    finish true '' "list of roles $l_serial stands"
}

# signed_list: the list with the signatures of roots in $work/list: whoever brings it may have put other lines among them.
signed_list() {
    printf '%s\n' "$said" >"$work/list"
    number=0
    while [ "$number" -lt "$signatures" ]; do
        number=$((number + 1))
        for key in "$ETC/keys/root"/*.pem "$work/keys/root"/*.pem; do
            openssl dgst -sha256 -verify "$key" -signature "$work/sig.$number" "$work/signed" >/dev/null 2>&1 || continue
            cat "$work/line.$number" >>"$work/list" || unwritten "$ETC/roles"
            break
        done
    done
}

# read_list FILE: its lines, each looked at: l_serial, l_threshold, and the keys below $work/keys; ends here where the
# list is not exactly one.
read_list() {
    l_serial='' l_threshold=1 number=0 at=0 roots=0 seen=' '
    rm -rf "$work/keys" && mkdir -p "$work/keys/release" "$work/keys/admission" "$work/keys/controller" "$work/keys/root" ||
        unwritten "$work/keys"
    while IFS= read -r line && [ -n "$line" ]; do
        number=$((number + 1)) val=${line#*=}
        case $number.$line in
        1.serial=[1-9]*) is_number "$val" && [ ${#val} -le 9 ] && l_serial=$val || refuse "its serial is no number" ;;
        1.*) refuse "its first line is no serial" ;;
        2.expires=[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]Z) ;;
        2.*) refuse "its second line is no moment" ;;
        3.threshold=[2-8]) l_threshold=$val ;;
        *) take_holder ;;
        esac
    done <"$1"
    for role in release admission controller root; do
        set -- "$work/keys/$role"/*.pem
        [ -f "$1" ] && [ $# -le "$MOST_KEYS" ] || refuse "it has not one to $MOST_KEYS keys of the role $role"
    done
    [ "$l_threshold" -le "$roots" ] || refuse "$l_threshold of its $roots roots would have to sign"
}

take_holder() {
    case $line in
    release=*) take_key 1 ;;
    admission=*) take_key 2 ;;
    controller=*) take_key 3 ;;
    root=*) take_key 4 && roots=$((roots + 1)) ;;
    *) refuse "it has a line that no list has there" ;;
    esac
}

# take_key PLACE: a key of a role; roles stand in their order, keys on P-256 in the one way in which they are written.
take_key() {
    [ "$1" -ge "$at" ] || refuse "its roles are not in their order"
    at=$1 role=${line%%=*}
    case $seen in *" $val "*) refuse "a key stands twice in it: one stolen key must not forge two things" ;; esac
    seen="$seen$val "
    case $val in
    *[!A-Za-z0-9+/=]*) refuse "the key of $role is not Base64" ;;
    "$P256"*[AQgw]==) [ ${#val} -eq 124 ] || refuse "the key of $role is not one on P-256" ;;
    *) refuse "the key of $role is not one on P-256" ;;
    esac
    printf '%s\n' "$val" | base64 -d >"$work/der" 2>/dev/null || refuse "the key of $role is not Base64"
    digest "$work/der"
    key=$work/keys/$role/$digest.pem
    printf -- '-----BEGIN PUBLIC KEY-----\n%.64s\n%s\n-----END PUBLIC KEY-----\n' "$val" \
        "${val#????????????????????????????????????????????????????????????????}" >"$key" || unwritten "$key"
    openssl pkey -pubin -in "$key" -noout >/dev/null 2>&1 || refuse "the key of $role is not one on P-256"
}

root_upgrade() {
    know
    take_word
    {
        read -r serial
        read -r wanted
        read -r bytes
        ! read -r line || refuse "it is not exactly three lines: serial, program, size"
    } <"$work/said"
    serial=${serial#serial=} wanted=${wanted#program=} bytes=${bytes#size=}
    [ "$said" = "serial=$serial
program=$wanted
size=$bytes
" ] && is_number "$serial" && is_number "$bytes" && is_hex "$wanted" && [ ${#wanted} -eq 64 ] ||
        refuse "it is not exactly three lines: serial, program, size"
    signed_as application/vnd.gopub.upgrade
    insist "$ETC/keys/root" "$k_threshold" "that list $k_serial asks for"
    digest "$PROGRAM"
    if [ "$serial.$wanted" = "$u_serial.$u_program" ] && [ "$digest" = "$wanted" ]; then
        finish true '' "upgrade $serial is installed"
    fi
    [ "$serial" -gt "$k_upgraded" ] || [ "$serial.$wanted.$u_half" = "$u_serial.$u_program.1" ] ||
        refuse "upgrade $serial is over: this host had $k_upgraded"
    [ -n "$body" ] || refuse "no program follows its signatures"
    cat <&6 >"$PROGRAM.part" || unwritten "$PROGRAM"
    exec 6<&-
    size "$PROGRAM.part"
    digest "$PROGRAM.part"
    [ "$size.$digest" = "$bytes.$wanted" ] && [ $((taken + 1 + size)) -eq "$told" ] || spoilt "the program is another one than the roots signed: sha256 $digest"
    bring_program
}

# spoilt WHY: the new program goes, the old one stays.
spoilt() {
    rm -f "$PROGRAM.part"
    refuse "$1"
}

# bring_program: the new one takes its place after it was seen to parse and to answer here.
bring_program() {
    sh -n "$PROGRAM.part" 2>/dev/null || spoilt "the program does not parse here"
    answer=$(printf 'gopub-root=1 ask 0\n' | timeout 30 sh "$PROGRAM.part" 2>/dev/null 6<&- 7>&-)
    case $answer in
    gopub-record=1*"
ok=true
"*"
end=1") ;;
    *) spoilt "the program does not answer here" ;;
    esac
    what="serial=$serial
program=$wanted"
    durable "$KEPT/upgraded" "$what
half=1" || unwritten "$KEPT/upgraded"
    copy "$PROGRAM" "$PROGRAM.before" 0755 && chmod 0755 "$PROGRAM.part" && sync "$PROGRAM.part" &&
        mv -f "$PROGRAM.part" "$PROGRAM" && sync "${PROGRAM%/*}" || unwritten "$PROGRAM"
    durable "$KEPT/upgraded" "$what" || unwritten "$KEPT/upgraded"
    changed=true
    value program "$wanted"
    finish true '' "upgrade $serial is installed"
}

root_unenroll() {
    know
    take_word
    ends_there
    signed_as application/vnd.gopub.unenroll
    insist "$ETC/keys/root" "$k_threshold" "that list $k_serial asks for"
    [ "$said" = "machine_id=$machine_id
enrolled=$e_enrolled
" ] || refuse "it is not about this machine and enrolment: machine_id=$machine_id, enrolled=$e_enrolled"
    copy "$work/said" "$ETC/ending" || : # on a full disk it ends without
    end_it
}

# end_it: what was begun goes on at the next word: with its host file gone the host would obey neither root nor controller,
# and where nobody is root by SSH any more it could not be reached again.
end_it() {
    take_away || fail GP494 "what could not be removed: $left"
    changed=true
    value ended 1
    finish true '' "unenrolled"
}

# settle_end: an end that roots had said, and that was cut.
settle_end() {
    [ -e "$ETC/ending" ] || return 0
    lock_list
    case $first in gopub-root=1\ *) end_it ;; esac
    take_away || fail GP494 "what could not be removed: $left"
    fail GP477 "roots have ended the enrolment of this host"
}
