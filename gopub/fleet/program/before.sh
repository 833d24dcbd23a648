# shellcheck shell=sh disable=SC2015,SC2034,SC2154
# The host program of gopub, part 7 of 9: what was there before gopub: a unit of that name, a `current` of another tool.
#
# Nobody's word, nothing touched: an order that would have to touch it ends with GP440. The verb adopt is that word: it
# writes down what is there, in one rename, and changes nothing else, so the old service runs on. The first switch then
# takes its place; stop, the way back of a first release, brings it back. What was written down stays for that.

# foreign: what is there and not gopub's: the unit's file in $foreign, its drop-ins in $dropped, what `current` is in
# $stands. Needs unit_facts and read_current.
foreign() {
    foreign='' dropped='' stands=''
    if [ -e "$unit_file" ] || [ -L "$unit_file" ]; then
        is_marked || foreign=$unit_file
    else
        case $u_path in '' | "$unit_file") ;; *) foreign=$u_path ;; esac
    fi
    is_marked || dropped=$(drop_ins)
    if [ -L "$home/current" ]; then
        [ -n "$current" ] || stands="a link to $(readlink "$home/current")"
    elif [ -d "$home/current" ]; then
        stands='a folder'
    elif [ -e "$home/current" ]; then
        stands='a file'
    fi
}

# is_marked: whether this program wrote the unit's file.
is_marked() { has_mark "$unit_file"; }

# has_mark FILE: whether this program wrote it.
has_mark() {
    [ -f "$1" ] || return 1
    line=
    read -r line <"$1"
    case $line in "$MARK"*) ;; *) return 1 ;; esac
}

# other_socket: the file of a socket of that name that gopub did not write: it starts the service, and holds its ports.
other_socket() {
    file=$(systemctl show "$socket" -p FragmentPath --value 2>/dev/null)
    [ ! -e "$socket_file" ] && [ ! -L "$socket_file" ] || file=$socket_file
    [ -z "$file" ] || has_mark "$file" || echo "$file"
}

# drop_ins: files that change a unit of that name, whoever wrote it.
drop_ins() {
    [ -L /lib ] && more='' || more=/lib
    for place in /etc /run /usr/local/lib /usr/lib $more; do
        ls -d "$place/systemd/system/$unit.d"/*.conf 2>/dev/null
    done | tr '\n' ' ' | sed 's/ $//'
}

# read_before: what was written down, in b_unit, b_digest, b_link, b_drop_ins, b_current, b_active, b_enabled.
read_before() {
    b_unit='' b_digest='' b_link='' b_drop_ins='' b_current='' b_active='' b_enabled=''
    [ -f "$before/manifest" ] || return 1
    load "$before/manifest" b
}

# is_adopted: whether what is there and not gopub's is what was written down, unchanged.
is_adopted() {
    read_before || return 1
    [ -z "$stands" ] || [ "$stands" = "$b_current" ] || return 1
    [ -z "$dropped" ] || [ "$dropped" = "$b_drop_ins" ] || return 1
    [ -n "$foreign" ] || return 0
    digest "$foreign"
    [ "$foreign.$digest.$(readlink "$foreign")" = "$b_unit.$b_digest.$b_link" ]
}

# own_place: what gopub did not make stays as it is, unless somebody gave the word for it.
own_place() {
    unit_facts
    foreign
    [ -n "$foreign$stands" ] && ! is_adopted || return 0
    [ -z "$stands" ] || [ -n "$foreign" ] || fail GP440 "$home/current is $stands, which gopub did not make"
    [ "$foreign" = "$unit_file" ] || fail GP440 "this host already has $foreign"
    fail GP440 "$unit_file was not written by gopub"
}

before_values() {
    foreign
    value before.unit "$foreign"
    value before.drop_ins "$dropped"
    value before.socket "$(other_socket)"
    value before.current "$stands"
    ! is_adopted || value before.adopted true
    value taken "$(taken)"
}

do_adopt() {
    unit_facts
    foreign
    read_state
    case ${half%%:*} in switch | rollback | stop) fail GP456 "an order (${half%%:*}) is half done on this host" ;; esac
    [ -z "$current" ] || fail GP456 "a release of gopub runs here ($current): it took the place of what was before"
    case $foreign in /run/systemd/transient/*) fail GP456 "$foreign is gone once it stops: it cannot be brought back" ;; esac
    [ ! -e "$aside" ] || fail GP456 "$aside is still there from an earlier time"
    [ -n "$foreign$stands$dropped" ] || finish true '' "nothing is there that gopub did not make"
    ! is_adopted || finish true '' "adopted already"
    movable
    case $stands$dropped in *[![:print:]]*) fail GP456 "$home/current or a drop-in has a name that is no plain line" ;; esac
    write_before
    changed=true
    finish true '' "adopted; nothing else was changed"
}

# movable: the switch moves what `current` is by one rename, which no mount and no border of file systems takes.
movable() {
    case $stands in 'a folder' | 'a file') ;; *) return 0 ;; esac
    real=$(readlink -f "$home/current")
    ! awk -v at="$real" '$5 == at { found = 1 } END { exit !found }' /proc/self/mountinfo ||
        fail GP456 "$home/current is a mount, which cannot be moved aside: unmount it, or make it a link"
    [ "$(stat -c %d "$home/current")" = "$(stat -c %d "$releases")" ] ||
        fail GP456 "$home/current and $releases lie on two file systems: between them it cannot be moved in one step"
}

write_before() {
    work=$state/.before-$$
    rm -rf "$state"/.before-*
    mkdir "$work" || unwritten "$work"
    digest=
    if [ -n "$foreign" ]; then
        digest "$foreign"
        [ -L "$foreign" ] || cp -p "$foreign" "$work/unit" || unwritten "$work/unit"
    fi
    cat >"$work/manifest" <<END
unit=$foreign
digest=$digest
link=$(readlink "$foreign")
drop_ins=$dropped
current=$stands
active=$u_active
enabled=$(systemctl is-enabled "$unit" 2>/dev/null)
END
    find "$work" -exec sync {} + && rm -rf "$before" && mv -T "$work" "$before" && sync "$state" || unwritten "$before"
    work=
}

# do_disown: the word is taken back, as long as no release took the place of what was there.
do_disown() {
    unit_facts
    foreign
    read_before || finish true '' "nothing was adopted here"
    [ -z "$current" ] || fail GP456 "a release of gopub runs here ($current): it took the place of what was before"
    bring_back # an order that was killed may have left it half-way
    rm -rf "$before" || fail GP448 "cannot remove $before"
    changed=true
    finish true '' "it is as it was before it was adopted"
}

# put_aside: the place of the link becomes free; what stood there is kept, or (a link) written down.
put_aside() {
    foreign
    case $stands in
    'a folder' | 'a file') mv -T "$home/current" "$aside" && sync "$home" || fail GP448 "cannot put $home/current aside" ;;
    esac
}

# bring_back: unit, link and process become what was there before gopub, from whatever state they are in.
bring_back() {
    bring_current_back
    drop_socket
    unit_facts
    bring_unit_back
    unit_facts
    exe_facts
    case $b_active in
    active | activating | reloading)
        if [ "$u_active" != active ] || runs_release; then
            changed=true
            systemctl reset-failed "$unit" 2>/dev/null
            systemctl restart "$unit" || refused "$unit, which was there before gopub, does not start"
            sleep 1
            unit_facts
            case $u_active in failed | inactive) refused "$unit, which was there before gopub, does not stay up" ;; esac
        fi
        ;;
    *)
        if runs_release; then
            changed=true
            systemctl stop "$unit" || refused "systemd does not stop $unit"
        fi
        ;;
    esac
    rm -f "$state/started"
}

bring_current_back() {
    [ "$current.$stands" != ".$b_current" ] || return 0 # it never went, or is back
    case $b_current in
    '') rm -f "$home/current" ;;
    'a link to '*)
        rm -f "$home/.current"
        ln -s "${b_current#a link to }" "$home/.current" && mv -fT "$home/.current" "$home/current"
        ;;
    *)
        rm -f "$home/current" && { [ ! -e "$aside" ] || mv -T "$aside" "$home/current"; } # somebody may have removed it
        ;;
    esac && sync "$home" || fail GP448 "cannot bring back $home/current"
    current=
    changed=true
}

bring_unit_back() {
    if is_marked; then
        changed=true
        systemctl disable --quiet "$unit" 2>/dev/null
        rm -f "$unit_file.tmp"
        if [ "$b_unit" != "$unit_file" ]; then
            rm -f "$unit_file"
        elif [ -n "$b_link" ]; then
            ln -s "$b_link" "$unit_file.tmp" && mv -fT "$unit_file.tmp" "$unit_file"
        else
            cp -p "$before/unit" "$unit_file.tmp" && sync "$unit_file.tmp" && mv -f "$unit_file.tmp" "$unit_file"
        fi && sync "${unit_file%/*}" || fail GP448 "cannot bring back $unit_file"
        reload_units
    fi
    [ "$u_reload" != yes ] || reload_units
    [ "$b_enabled" != enabled ] || systemctl is-enabled --quiet "$unit" 2>/dev/null ||
        systemctl enable --quiet "$unit" 2>/dev/null || refused "systemd does not enable $unit"
}

# runs_release: whether the unit's process runs a file of a release folder, by $exe.
runs_release() {
    place=$(readlink -f "$releases")
    rest=${exe#"$place"/}
    [ "$rest" != "$exe" ] && is_name "${rest%%/*}"
}

# taken: TCP ports that others than the unit listen on, on every address or on the loopback, as PORT/PID/NAME. One that
# is bound to another address alone need not be in the service's way. The kernel itself may listen: then PID is empty.
taken() {
    own=$u_pid
    [ -z "$u_cgroup" ] || own="$own $(find /sys/fs/cgroup"$u_cgroup" /sys/fs/cgroup/systemd"$u_cgroup" \
        /sys/fs/cgroup/unified"$u_cgroup" -name cgroup.procs -exec cat {} + 2>/dev/null | tr '\n' ' ')"
    own="$own $(pids_beside)"
    ! systemctl is-active --quiet "$socket" 2>/dev/null || own="$own 1"
    # shellcheck disable=SC2012 # link texts are wanted, names are numbers
    holders=$({
        sed 's/^/tcp /' /proc/net/tcp /proc/net/tcp6 2>/dev/null
        ls -l /proc/[0-9]*/fd 2>/dev/null
    } | awk -v own="$own" '
        BEGIN { n = split(own, list, " "); for (i = 1; i <= n; i++) ours[list[i]] = 1 }
        $1 == "tcp" && $5 == "0A" {
            split($3, at, ":")
            if (at[1] ~ /^0+$/ || at[1] ~ /7F$/ && length(at[1]) == 8 || at[1] ~ /^0+1000000$/) port[$11] = at[2]
        }
        /^\/proc/ { split($1, part, "/"); pid = part[3] }
        match($0, /socket:\[[0-9]+\]$/) {
            inode = substr($0, RSTART + 8, RLENGTH - 9)
            if (inode in port) { if (pid in ours) delete port[inode]; else if (!(inode in who)) who[inode] = pid }
        }
        END { for (inode in port) print port[inode] "/" who[inode] }' | sort -u)
    for holder in $holders; do
        name=$([ -z "${holder#*/}" ] || tr -c 'A-Za-z0-9._-' '_' 2>/dev/null <"/proc/${holder#*/}/comm")
        printf '%s ' "$((0x${holder%%/*}))/${holder#*/}/${name%_}"
    done
}
