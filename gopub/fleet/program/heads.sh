# shellcheck shell=sh disable=SC2015,SC2034,SC2154
# The host program of gopub on an enrolled host: what this host remembers of the journal.
#
# An order brings the head of the journal that it was written into: number and hash of the newest entry. The hash stands
# for all that was written until then, so that whoever owns the journal's database cannot write it anew unnoticed: `gopub
# audit verify` asks for the verb `heads`. A line of heads/INSTANCE:
#     TIME NUMBER HASH EPOCH VERB KEY ROLLOUT     (KEY: 12 digits of the key that signed; - where nothing is said)
# Of more than 1,000 lines the newest 500 stay, the oldest, and of the others each second one: the memory reaches back
# to the first order, and never grows beyond that.


# remember_head: keeps the head that a verified order brought; the order goes on whatever becomes of it, for a full disk
# must not keep anybody from going back. The record says so. Orders hold the instance's lock (descriptor 9) by then;
# `status` holds none, and where an order holds it, it leaves its head for the next one to bring.
remember_head() {
    head_words || return 0
    heads=$KEPT/heads heads_file=$KEPT/heads/$o_instance
    case $o_verb in
    status)
        [ -f "$state/lock" ] || return 0
        (flock -n 9 || exit 0; append_head) 9>>"$state/lock"
        ;;
    *) (append_head) ;;
    esac 2>/dev/null || value head unwritten
}

# head_words: NUMBER:HASH or NUMBER:HASH:ROLLOUT, in $head_seq, $head_hash and $head_rollout; false where none was said.
head_words() {
    head_seq=${o_journal%%:*} head_rollout=-
    head_hash=${o_journal#*:}
    case $head_hash in *:*) head_rollout=${head_hash#*:} head_hash=${head_hash%%:*} ;; esac
    is_number "$head_seq" && is_hex "$head_hash" && [ ${#head_hash} -eq 64 ] || return 1
    case $head_rollout in '' | *[!A-Za-z0-9._+:@/~-]*) head_rollout=- ;; esac
    [ ${#head_rollout} -le 150 ] || head_rollout=-
}

# append_head: one line more, on the disk before the order is carried out, unless the last line says the same. A line
# begins with its line end: one that a power cut left half ends where the next begins. `status` needs no nonce and may
# come from a thief who kept it: it adds nothing that is older than what is known.
append_head() {
    umask 077
    made=
    [ -f "$heads_file" ] || made=1
    [ -d "$heads" ] || mkdir "$heads"
    # shellcheck disable=SC2046 # the count of lines, and words of the last one
    set -- $([ -n "$made" ] || awk '{ last = NR " " $2 " " $3 " " NF } END { print last }' "$heads_file")
    lines=${1:-0}
    [ "${4:-0}" -eq 7 ] && is_number "$2" || set -- - 0 -
    [ "$2 $3" != "$head_seq $head_hash" ] || return 0
    [ "$o_verb" != status ] || [ "$head_seq" -gt "$2" ] || return 0
    short=${signer_key:--}
    [ ${#short} -lt 12 ] || short "$short"
    printf '\n%s %s %s %s %s %s %s' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$head_seq" "$head_hash" \
        "$o_epoch" "$o_verb" "$short" "$head_rollout" >>"$heads_file" && sync "$heads_file" || return 1
    [ -z "$made" ] || sync "$heads"
    [ "$lines" -lt 1000 ] || thin_heads
}

thin_heads() {
    awk -v all="$lines" 'NF == 7 && (NR == 2 || NR > all - 500 || NR % 2) { printf "\n%s", $0 }' "$heads_file" \
        >"$heads_file.tmp" &&
        sync "$heads_file.tmp" && mv -f "$heads_file.tmp" "$heads_file" && sync "$heads"
}

# do_heads: all that is remembered of this instance, the oldest first. Changes nothing, takes no lock.
do_heads() {
    heads=$KEPT/heads
    [ ! -f "$heads/$o_instance" ] || values=$values$(tr -c '[:print:]\n' ' ' <"$heads/$o_instance" |
        awk 'NF == 7 && $2 ~ /^[0-9]+$/ && $3 ~ /^[0-9a-f]+$/ { printf "value.head.%d=%s\n", n++, $0 }' && echo x)
    values=${values%x}
    finish true '' ''
}
