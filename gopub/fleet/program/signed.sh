# shellcheck shell=sh disable=SC2015,SC2034,SC2154
# The host program of gopub on an enrolled host: what is believed, and of whom. Stands before pinned.sh.
#
# An order comes as
#     gopub-sig=1 KEYID BASE64      whose order it is: the fingerprint of a controller key, and its signature
#     gopub=2                       from here to the empty line: what is signed, behind a line of its own (DOMAIN)
#     key=value ...
#     (an empty line), then the payload
# Nothing of it is looked at before its bytes lie in a file of root's and the signature was found true over that very
# file; what is parsed then is that file.

ETC=/etc/gopub
KEPT=/var/lib/gopub
RUN=/run/gopub-orders # not /run/gopub: systemd removes that whenever an edge's nginx stops
PROGRAM=/usr/local/lib/gopub/order
DOMAIN=gopub-order-v1
MOST_HEAD=65536   # bytes of an order before its payload
PATIENCE=120      # seconds for them to come
NONCE_LIFE=9000   # tenths of a second of uptime that a nonce counts
NONCES=6          # that are kept of an instance, and as many for orders without a fence

releases=$ETC # where room is looked for, until an order names an instance
first=       # the first line that came
signer_key=  # the fingerprint of the key that signed the order
signed=      # what was signed: DOMAIN, and the lines of the order
head_text=   # the lines of the order, for the job that carries it out
beside=      # how files begin that are gone with the order
o_nonce='' o_journal=''
o_admission_key='' o_admission_app='' o_admission_env='' o_admission_target='' o_admission_release=''
o_admission_archive='' o_admission_binary='' o_admission_policy='' o_admission_serial='' o_admission_verified=''
o_admission_expires='' o_admission_level='' o_admission_verifier='' o_admission_signature=''

# take_in: the first bytes of standard input in a file of root's, its first line in $first.
take_in() {
    [ -d "$RUN" ] || mkdir -m 700 "$RUN"
    inbox=$RUN/order.$$ # nobody but root makes one there; what a process of that number left is nothing any more
    beside=$inbox.
    { true >"$inbox.in"; } 2>/dev/null || fail GP448 "cannot write below $RUN"
    timeout "$PATIENCE" head -c "$MOST_HEAD" >"$inbox.in" || {
        [ $? -ne 124 ] || fail GP462 "neither $MOST_HEAD bytes nor an end came within ${PATIENCE}s"
        fail GP448 "cannot write below $RUN"
    }
    IFS= read -r first <"$inbox.in"
}

leave_inbox() {
    rm -rf "$inbox".*
    inbox=
}

# piece SIZE: the next bytes of the payload: of what take_in took the byte $at is the next one, and they may be fewer; then
# those that still come.
piece() {
    size "$inbox.in"
    [ "$at" -le "$size" ] || {
        take "$1"
        return
    }
    tail -c "+$at" "$inbox.in" | head -c "$1" && at=$((at + $1))
}

# verify_order: what was signed, in $signed; ends here if nobody believed signed it.
verify_order() {
    case $first in
    gopub-sig=1\ *) ;;
    *) fail GP460 "the order is not signed, and this host is enrolled" ;;
    esac
    [ ${#first} -le 400 ] || fail GP462 "the line of the signature has ${#first} characters" # to cut one is quadratic
    signature=${first##* } signer_key=${first#* }
    signer_key=${signer_key%% *}
    [ "$first" = "gopub-sig=1 $signer_key $signature" ] && is_fingerprint "$signer_key" ||
        fail GP462 "the line of the signature is not: gopub-sig=1 KEYID BASE64"
    believed "$signer_key" || fail GP461 "key $signer_key signed the order; this host believes it no controller"
    signed=$(sed -n -e '/[[:cntrl:]]/q5' -e "1s/.*/$DOMAIN/" -e p -e '/^$/q7' "$inbox.in")
    case $? in
    7) ;;
    5) fail GP462 "the order has a control character" ;;
    *) fail GP462 "the order has no empty line within $MOST_HEAD bytes: it was cut, or is none" ;;
    esac
    command -v openssl >/dev/null || fail GP478 "this host has no program 'openssl'"
    is_signed "$ETC/keys/controller/$signer_key.pem" "$signature" '%s\n\n' "$signed" || {
        [ -n "$decoded" ] || fail GP462 "the signature is not written in Base64"
        believed "$signer_key" || fail GP461 "key $signer_key signed the order, and was just revoked"
        fail GP462 "the signature does not fit the order: key $signer_key did not sign these lines"
    }
}

# is_signed KEYFILE BASE64 FORMAT TEXT: whether openssl finds that signature true over the text, written so; $decoded is
# empty where it is no Base64. What is parsed must be that same text.
is_signed() {
    decoded='' files=$beside${1##*/}
    # shellcheck disable=SC2059 # it is one of ours
    { printf "$3" "$4" >"$files.text"; } 2>/dev/null || unwritten "$files"
    decode "$2" || return 1
    decoded=1
    # shellcheck disable=SC2059
    { printf "$octal" >"$files.sig"; } 2>/dev/null || unwritten "$files"
    openssl dgst -sha256 -verify "$1" -signature "$files.sig" "$files.text" >/dev/null 2>&1
}

BASE64=ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/

# decode TEXT: a signature's Base64 as printf writes it, in $octal; false where it is none. Each order has one or two, and
# a program for that costs three times as much.
decode() {
    octal='' padded=
    case $1 in '' | *[!A-Za-z0-9+/=]* | *=[!=]* | *===) return 1 ;; esac
    [ ${#1} -le 160 ] && [ $((${#1} % 4)) -eq 0 ] || return 1
    left=${1%%=*}
    while [ $((${#left} % 4)) -ne 0 ]; do left=${left}A padded="????$padded"; done
    while [ -n "$left" ]; do
        a=${left%"${left#?}"} left=${left#?}
        b=${left%"${left#?}"} left=${left#?}
        c=${left%"${left#?}"} left=${left#?}
        d=${left%"${left#?}"} left=${left#?}
        a=${BASE64%%"$a"*} b=${BASE64%%"$b"*} c=${BASE64%%"$c"*} d=${BASE64%%"$d"*}
        n=$((${#a} << 18 | ${#b} << 12 | ${#c} << 6 | ${#d}))
        octal=$octal\\$((n >> 22 & 3))$((n >> 19 & 7))$((n >> 16 & 7))
        octal=$octal\\$((n >> 14 & 3))$((n >> 11 & 7))$((n >> 8 & 7))\\$((n >> 6 & 3))$((n >> 3 & 7))$((n & 7))
    done
    # shellcheck disable=SC2295 # a pattern is wanted
    octal=${octal%$padded}
}

is_fingerprint() { is_hex "$1" && [ ${#1} -eq 64 ]; }

# believed KEY: whether the list of roles names that key for orders.
believed() { is_fingerprint "$1" && [ -f "$ETC/keys/controller/$1.pem" ]; }

# read_signed TEXT: parses what was verified; its first line is no line of the order.
read_signed() {
    head_text=${1#*"
"}
    set -f
    IFS='
'
    # shellcheck disable=SC2086 # lines are wanted
    set -- $head_text
    unset IFS
    set +f
    for line; do take_signed "$line"; done
    [ "$o_gopub" = 2 ] || fail GP430 "orders of format '$o_gopub' are not understood here, only 2"
    case $o_epoch in
    '' | *[!0-9]* | 0?*) ;;
    *) is_number "$o_epoch" || fail GP479 "epoch $o_epoch is more than 999999999999999, the last that there is" ;;
    esac
    for text in "$o_token" "$o_nonce"; do
        [ -z "$text" ] || { is_hex "$text" && [ ${#text} -le 64 ]; } || fail GP430 "'$text' is no token and no nonce"
    done
    o_gopub=1 verb=$o_verb # the other lines are those of format 1
    check_order
    paths
}

# take_signed LINE: what format 2 has besides. None of it counts for whether an order is the same as another one: a
# repeat has a fresh nonce.
take_signed() {
    val=${1#*=} name=${1%%=*}
    case $name in
    nonce | journal) eval "o_$name=\$val" ;;
    arg.path | arg.cursor | arg.age | arg.most | arg.lines | arg.signature) eval "o_arg_${name#arg.}=\$val" ;;
    admission.*)
        name=${name#admission.}
        case $name in
        key | app | env | target | release | archive | binary | policy | serial | verified | expires | level) ;;
        verifier | signature) ;;
        *) fail GP430 "the order has the key 'admission.$name', which this program does not know" ;;
        esac
        eval "o_admission_$name=\$val"
        ;;
    *) take_line "$1" ;;
    esac
}

# enrolled: what this host was enrolled as, in e_names, e_envs; ends here if that is not whole.
enrolled() {
    e_names='' e_envs='' e_machine_id='' e_enrolled=''
    settle_end
    load "$ETC/host" e
    settle_list
    read -r machine_id </etc/machine-id
    [ -n "$e_names" ] && [ -n "$e_envs" ] && [ -f "$ETC/roles" ] && [ -d "$ETC/keys/controller" ] ||
        fail GP477 "the enrolment of this host is not whole: $ETC/host, roles or keys"
    [ "$e_machine_id" = "$machine_id" ] ||
        fail GP477 "machine ${e_machine_id:-(none)} was enrolled, this is $machine_id: unenroll it, then enroll it"
}

# for_this_host: whether the order is for this host, and for an env and instance that it has.
for_this_host() {
    listed "$o_host" "$e_names" || fail GP465 "the order is for host '$o_host', this is $e_names"
    case $verb in facts | status) ;; *) right_machine ;; esac
    case $verb in facts | heads) return ;; esac
    listed "$o_env" "$e_envs" || fail GP466 "the order is for env '$o_env', this host is enrolled for $e_envs"
    case $verb in table-*) ;; *) as_bound ;; esac # an edge has the tables of several envs
}

listed() {
    case $1 in '' | *' '*) return 1 ;; esac
    case " $2 " in *" $1 "*) ;; *) return 1 ;; esac
}

# as_bound: an instance belongs to the app and env of the first order that was let in; what a key bound that counts no
# more binds nobody, as with epochs.
as_bound() {
    b_app='' b_env='' b_key=''
    load "$KEPT/bound/$o_instance" b
    [ -z "$b_key" ] || believed "$b_key" || b_app='' b_env=''
    [ -z "$b_app" ] || [ "$b_app $b_env" = "$o_app $o_env" ] ||
        fail GP466 "$o_instance belongs to $b_app in $b_env here, the order says $o_app in $o_env"
}

bind() {
    as_bound
    [ -z "$b_app" ] || return 0
    [ -n "$o_app" ] || fail GP430 "the order names no app"
    mkdir -p "$KEPT/bound" && durable "$KEPT/bound/$o_instance" "app=$o_app
env=$o_env
key=$signer_key" || unwritten "$KEPT/bound/$o_instance"
}

# read_state: what this host holds. What a key let in that counts no more binds nobody: epochs start anew with the next.
read_state() {
    h_key=
    load_state
    [ -z "$h_key" ] || believed "$h_key" || h_epoch=0 h_token='' h_n=0 h_order=''
}

# find_nonce SINCE: the nonce for the order's epoch and token that was given after that moment, in $found and $given.
find_nonce() {
    found=''
    [ -f "$KEPT/nonces/$o_instance" ] || return 1
    while read -r nonce epoch token boot since; do
        [ "$epoch $token $boot" = "$o_epoch $o_token $boot_id" ] && [ "$since" -ge "$1" ] || continue
        found=$nonce given=$since
    done <"$KEPT/nonces/$o_instance"
    [ -n "$found" ]
}

# moment: this boot and the tenths of a second in it, in $boot_id and $now.
moment() {
    read -r boot_id </proc/sys/kernel/random/boot_id
    uptime_ds
}

# give_nonce: one for the epoch and token that the facts were asked with; none for an epoch that is over.
give_nonce() {
    [ -n "$o_token" ] || return 0
    [ "$o_epoch" -eq 0 ] || [ "$o_epoch" -ge "$h_epoch" ] || return 0
    moment
    find_nonce $((now - NONCE_LIFE / 2)) || make_nonce
    value nonce "$found"
}

# make_nonce: a new one in $found; none where it cannot be kept. Facts are told all the same: they say what is wrong.
make_nonce() {
    [ -d "$KEPT/nonces" ] || mkdir -m 700 "$KEPT/nonces" 2>/dev/null || return 0
    lock_nonces || return 0
    find_nonce $((now - NONCE_LIFE / 2)) || {
        read -r found </proc/sys/kernel/random/uuid
        while :; do case $found in *-*) found=${found%%-*}${found#*-} ;; *) break ;; esac done
        keep_nonces '' "$found $o_epoch $o_token $boot_id $now" || found=
    }
    exec 7>&-
}

lock_nonces() {
    { true >>"$KEPT/nonces/.$o_instance.lock"; } 2>/dev/null || return 1 # exec would end the program without a word
    exec 7>>"$KEPT/nonces/.$o_instance.lock"
    flock -w 10 7
}

# keep_nonces WITHOUT LINE: the newest that still count, but for one, and a line more.
keep_nonces() {
    fenced=0 free=0 kept=$2
    [ ! -f "$KEPT/nonces/$o_instance" ] || while read -r nonce epoch token boot since; do
        [ "$boot" = "$boot_id" ] && [ "$since" -ge $((now - NONCE_LIFE)) ] && [ "$nonce" != "$1" ] || continue
        if [ "$epoch" -eq 0 ]; then free=$((free + 1)) number=$free; else fenced=$((fenced + 1)) number=$fenced; fi
        [ "$number" -ge "$NONCES" ] || kept="$kept
$nonce $epoch $token $boot $since"
    done <"$KEPT/nonces/$o_instance"
    { printf '%s\n' "$kept" >"$KEPT/nonces/.$o_instance.new"; } 2>/dev/null &&
        mv -f "$KEPT/nonces/.$o_instance.new" "$KEPT/nonces/$o_instance"
}

# fresh: ends here unless the order has a nonce that this host gave to its epoch and token, in this boot, not long ago.
fresh() {
    moment
    given=
    [ ! -f "$KEPT/nonces/$o_instance" ] || while read -r nonce epoch token boot since; do
        [ "$nonce $epoch $token $boot" != "$o_nonce $o_epoch $o_token $boot_id" ] || given=$since
    done <"$KEPT/nonces/$o_instance"
    [ -n "$given$o_nonce" ] || full "a nonce"
    [ -n "$given" ] || fail GP463 "this host gave no nonce '$o_nonce' to epoch $o_epoch and token ${o_token:-(none)} since it was started"
    [ $((now - given)) -le "$NONCE_LIFE" ] ||
        fail GP464 "the order came $(((now - given) / 10))s after its nonce was given, it counts $((NONCE_LIFE / 10))s"
}

# fresh_once: the same for an order without a fence: its nonce counts once.
fresh_once() {
    [ -d "$KEPT/nonces" ] || mkdir -m 700 "$KEPT/nonces" 2>/dev/null
    lock_nonces || unwritten "$KEPT/nonces"
    fresh
    keep_nonces "$o_nonce" '' || unwritten "$KEPT/nonces"
    exec 7>&-
}
