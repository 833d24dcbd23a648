# shellcheck shell=sh disable=SC2015,SC2034,SC2154
# The host program of gopub on an enrolled host: whether a release may enter, and what this host remembers of that.
#
# Stage and switch carry an admission: its values, and a signature over the statement that is put together from them
# (as gopub/evidence/summary.sh does). It must be by a believed key, about this app, env, machine and order, and not
# older than what was seen: the serial of an admission is twice the epoch of its seat, and going back counts as one more.
#
# Going back asks for no admission, so that it needs no key but the controller's: what once was let in, or was there
# when the host was enrolled, may run again. Nothing here is refused to a rollback for want of room or memory of serials.

# admitted/APP.ENV has serial= and key= of the newest admission, floor= and by= of going back; ran/INSTANCE has lines
# FOLDER BINARY.

# admit_order: ends here for what may not run on this host; else it is remembered before anything is done. $signer_key
# is the controller's key that signed the order. Asked again it says the same.
admit_order() {
    is_serial "$o_epoch" || fail GP430 "'$o_epoch' is no epoch"
    case $o_verb in
    stage | switch)
        read_held
        admission_signed
        admission_fits
        admission_counts
        note_ran
        note_admitted "$o_admission_serial" "$o_admission_key" "$a_floor" "$a_by" || unwritten "$KEPT/admitted/$o_app.$o_env"
        ;;
    hook) may_return ;;
    rollback)
        read_held
        may_return
        note_return
        ;;
    stop)
        read_held
        note_return
        ;;
    esac
}

# read_held: the highest serial of (app, env) that this host saw, in $held. What a key said counts while that key is
# believed: a new controller's key begins anew, as epochs do, and so does a new admission key.
read_held() {
    case $o_env in '' | .* | *[!A-Za-z0-9._-]*) fail GP430 "'$o_env' is no name of an environment" ;; esac
    a_serial=0 a_key='' a_floor=0 a_by=''
    load "$KEPT/admitted/$o_app.$o_env" a
    is_serial "$a_serial" && is_believed admission "$a_key" || a_serial=0 a_key=''
    is_serial "$a_floor" && is_believed controller "$a_by" || a_floor=0 a_by=''
    held=$a_serial
    [ "$a_floor" -le "$held" ] || held=$a_floor
}

# is_believed ROLE FINGERPRINT: whether the root's list names the key.
is_believed() { is_digest "$2" && [ -f "$ETC/keys/$1/$2.pem" ]; }

is_digest() { is_hex "$1" && [ ${#1} -eq 64 ]; }

is_serial() {
    case $1 in '' | *[!0-9]* | 0?* | ?????????????????*) return 1 ;; esac
}

# admission_signed: whether a believed key signed what the order says of the admission.
admission_signed() {
    [ -n "$o_admission_signature" ] && [ -n "$o_admission_key" ] ||
        fail GP467 "the order has no admission of $o_app into $o_env: this host lets in what was admitted"
    [ -n "$o_admission_serial" ] || fail GP467 "the admission has no serial: an older version of gopub stated it"
    for name in app env target release archive binary policy serial verified expires level verifier; do
        eval "val=\$o_admission_$name"
        case $val in '' | *[!A-Za-z0-9._:/@+-]*) fail GP468 "the admission's $name is not of the letters that are allowed" ;; esac
    done
    for val in "$o_admission_release" "$o_admission_archive" "$o_admission_binary" "$o_admission_policy"; do
        is_digest "$val" || fail GP468 "the admission names '$val', which is no SHA-256"
    done
    is_serial "$o_admission_serial" || fail GP468 "the admission's serial is no whole number of at most 16 digits"
    case $o_admission_signature in *[!A-Za-z0-9+/=]*) fail GP468 "the admission's signature is not Base64" ;; esac
    is_believed admission "$o_admission_key" || fail GP468 "no key $o_admission_key holds the role admission on this host"
    admission_verified || fail GP468 "the admission is not signed by key $o_admission_key, or was changed"
}

admission_verified() {
    statement='{"_type":"https://in-toto.io/Statement/v1","predicate":{"expires":"'$o_admission_expires\
'","policy":{"digest":{"sha256":"'$o_admission_policy'"}},"resourceUri":"gopub:'$o_admission_app/$o_admission_env/\
$o_admission_target'","serial":'$o_admission_serial',"timeVerified":"'$o_admission_verified\
'","verificationResult":"PASSED","verifiedLevels":["'$o_admission_level'"],"verifier":{"id":"'$o_admission_verifier\
'"}},"predicateType":"https://slsa.dev/verification_summary/v1","subject":[{"digest":{"sha256":"'$o_admission_release\
'"},"name":"release.json"},{"digest":{"sha256":"'$o_admission_archive'"},"name":"archive"},{"digest":{"sha256":"'\
$o_admission_binary'"},"name":"binary"}]}'
    is_signed "$ETC/keys/admission/$o_admission_key.pem" "$o_admission_signature" %s \
        "DSSEv1 28 application/vnd.in-toto+json ${#statement} $statement"
}

# admission_fits: whether it is about what the order would do, on a machine such as this one.
admission_fits() {
    about app "$o_admission_app" "$o_app"
    about environment "$o_admission_env" "$o_env"
    architecture
    about target "$o_admission_target" "linux/$machine"
    about release "$o_admission_release" "$o_release"
    about binary "$o_admission_binary" "$o_digest_binary"
    [ "$o_verb" != stage ] || about archive "$o_admission_archive" "$o_digest_archive"
}

# about WHAT ADMITTED DUE
about() { [ "$2" = "$3" ] || fail GP469 "the admission is of the $1 $2, not of ${3:-none}"; }

# admission_counts: whether no newer one was seen, and it is not of a time that has not come.
admission_counts() {
    why="the admission has the serial $o_admission_serial"
    [ "$o_admission_serial" -ge "$held" ] || fail GP470 "$why, this host saw $held: it was admitted anew, or gone back from"
    [ "$o_admission_serial" -le $((2 * o_epoch)) ] || fail GP471 "$why, which epoch $o_epoch does not reach"
}

# may_return: whether what a rollback brings back was let in once, or was there when the host was enrolled.
may_return() {
    [ -n "$dir" ] || dir=$(cat "$state/previous" 2>/dev/null)
    is_name "$dir" && [ -f "$releases/$dir/.gopub-manifest" ] || return 0 # as everywhere: GP438, GP439
    manifest "$dir"
    : "${o_digest_binary:=$m_binary}" # what is proven of the file before it runs
    why="$dir with the binary ${o_digest_binary:-of no digest}"
    is_digest "$o_digest_binary" && grep -q -x -F -e "$dir $o_digest_binary" "$KEPT/ran/$o_instance" 2>/dev/null ||
        fail GP469 "$why was never admitted on this host, nor there when it was enrolled"
}

# note_return: what is gone back from needs a new admission.
note_return() {
    floor=$((2 * o_epoch + 1))
    [ "$floor" -gt "$a_floor" ] || return 0
    note_admitted "$a_serial" "$a_key" "$floor" "$signer_key" 2>/dev/null || : # a full disk stops nobody who goes back
}

# note_admitted SERIAL KEY FLOOR BY: kept for read_held; false where it cannot be.
note_admitted() {
    noted="serial=$1
key=$2
floor=$3
by=$4"
    ! says "$KEPT/admitted/$o_app.$o_env" "$noted" || return 0
    { [ -d "$KEPT/admitted" ] || mkdir -m 700 "$KEPT/admitted"; } && durable "$KEPT/admitted/$o_app.$o_env" "$noted"
}

# says FILE TEXT: whether that is what the file holds, lines and no more.
says() {
    found=
    { while IFS= read -r line; do found="$found$line
"; done <"$1"; } 2>/dev/null
    [ "$found" = "$2
" ]
}

# note_ran: what the admission lets in may be gone back to. Folders that are gone are forgotten.
note_ran() {
    noted="$dir $o_admission_binary"
    ! grep -q -x -F -e "$noted" "$KEPT/ran/$o_instance" 2>/dev/null || return 0
    if [ -f "$KEPT/ran/$o_instance" ]; then
        while read -r name digest; do
            [ ! -d "$releases/$name" ] || noted="$name $digest
$noted"
        done <"$KEPT/ran/$o_instance"
    fi
    { [ -d "$KEPT/ran" ] || mkdir -m 700 "$KEPT/ran"; } && durable "$KEPT/ran/$o_instance" "$noted" || unwritten "$KEPT/ran/$o_instance"
}

# admits_value: the lowest epoch under which a new admission would count, for whoever takes the next seat. The facts of
# an instance do not say whose it is: what bound it does, and for a new one all that there is counts.
admits_value() {
    b_app='*' b_env='*' b_key='' lowest=0
    load "$KEPT/bound/$o_instance" b
    [ -z "$b_key" ] || is_believed controller "$b_key" || b_app='*' b_env='*'
    for file in "$KEPT/admitted"/$b_app.$b_env; do
        file=${file##*/} o_app=${file%%.*} o_env=${file#*.}
        [ -f "$KEPT/admitted/$file" ] || continue
        read_held
        [ "$(((held + 1) / 2))" -le "$lowest" ] || lowest=$(((held + 1) / 2))
    done
    value admits "$lowest"
}
