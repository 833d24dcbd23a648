# shellcheck shell=sh disable=SC2015,SC2034,SC2154
# The host program of gopub, part 4 of 9: putting a release beside the others, complete or not at all; pruning.
#
# The payload is the tar.gz of the rendered files (arg.files_size bytes), then the archive of the binary
# (arg.archive_size bytes) unless arg.url says where to fetch it. The archive unpacks to arg.binary_size bytes and a
# few headers, the files to a tar of arg.files_unpacked: no byte more is written. Nothing is activated here.

RESERVE=16777216          # bytes that must stay free
MOST_UNPACKED=2147483648  # bytes that files may have of which the order does not say it
HEADERS=65536             # bytes of the archive's tar beside the binary: headers, folders, the filled-up end
PIECE=1048576             # bytes of a payload
STILL=50                  # seconds for them to come: less than others wait for the lock

do_stage() {
    [ -n "$o_release" ] && [ -n "$o_render" ] && [ -n "$o_digest_binary" ] ||
        fail GP430 "a stage order needs release, render and digest.binary"
    service_user
    sweep
    if [ -e "$releases/$dir" ]; then
        ! intact "$dir" || {
            tree=$releases/$dir
            [ -z "$o_arg_both" ] || config_check # what runs may be another one than when it came
            finish true '' "$dir is already staged"
        }
        [ "$dir" != "$current" ] || fail GP429 "$dir, which is in use, was altered on this host: $why"
        ! holds_mount "$releases/$dir" || fail GP448 "something is mounted in $releases/$dir, which was altered: unmount it"
        mv "$releases/$dir" "$releases/.altered-$$" && rm -rf "$releases/.altered-$$"
    fi
    enough_space
    work=$releases/.new-$$
    tree=$work/tree
    mkdir -m 700 "$work" "$tree" || unwritten "$work"
    take_files
    take_archive
    seal
    config_check
    mv -T "$tree" "$releases/$dir" && sync "$releases" || fail GP448 "cannot put $dir in its place"
    changed=true
    finish true '' "staged $dir"
}

service_user() {
    group=root
    [ -n "$o_arg_user" ] || return 0
    case $o_arg_user in *[!a-z0-9_-]* | -*) fail GP430 "'$o_arg_user' is no user name" ;; esac
    group=$(id -gn "$o_arg_user" 2>/dev/null) || fail GP428 "this host has no user '$o_arg_user'"
}

enough_space() {
    free_space
    files=$((o_arg_files_unpacked > 0 ? o_arg_files_unpacked * 2 : o_arg_files_size * 8))
    needed=$((o_arg_archive_size * 2 + o_arg_files_size + files + o_arg_binary_size * 2 + RESERVE))
    [ "$free_bytes" -ge "$needed" ] || fail GP421 "$free_bytes bytes are free at $place, $needed are needed"
    [ "$free_inodes" -ge 1000 ] || fail GP422 "$free_inodes inodes are free at $place, 1000 are needed"
}

take_files() {
    [ "$o_arg_files_size" -gt 0 ] || return 0
    receive "$work/files" "$o_arg_files_size" "$o_digest_files" "the rendered files"
    most=$((o_arg_files_unpacked > 0 ? o_arg_files_unpacked : MOST_UNPACKED))
    unpack "$work/files" "the rendered files" '^bin(/|$)' "$most" 0
}

take_archive() {
    if [ -n "$o_arg_url" ]; then
        download "$work/archive"
        digest "$work/archive"
        [ "$digest" = "$o_digest_archive" ] || wrong_digest "the archive" "$o_digest_archive"
    else
        receive "$work/archive" "$o_arg_archive_size" "$o_digest_archive" "the archive"
    fi
    unpack "$work/archive" "the archive" '' "$o_arg_binary_size" "$HEADERS"
}

# receive FILE SIZE DIGEST WORDS: the next SIZE bytes of the payload; fewer mean that the connection ended. One that is
# neither sent nor ended (its driver is cut off) would hold the lock: it has $STILL seconds for each $PIECE bytes.
receive() {
    came=0
    { true >"$1"; } 2>/dev/null || unwritten "$1" # a redirection that fails would end the program without a word
    while [ "$came" -lt "$2" ]; do
        piece $(($2 - came < PIECE ? $2 - came : PIECE)) >>"$1" || {
            [ $? -ne 124 ] || fail_unkept GP424 "the payload stood still: of $2 bytes $came came, and in ${STILL}s no $PIECE more"
            unwritten "$1"
        }
        size "$1"
        [ "$size" -gt "$came" ] || break
        came=$size
    done
    [ "$came" -eq "$2" ] || fail_unkept GP424 "the payload ended after $came of $2 bytes"
    digest "$1"
    [ "$digest" = "$3" ] || wrong_digest "$4" "$3"
}

# take SIZE: so many bytes of standard input, or all until it ends; false (124) where neither came in time. It has no part
# in the lock, which must end with this process.
take() { timeout "$STILL" head -c "$1" 9>&-; }

# download FILE: curl reads the URL from its standard input, for a command line is seen by everybody.
download() {
    case $o_arg_url in
    *[\"\\[:space:]]*) fail GP430 "the URL has a character that is not allowed" ;;
    http://* | https://*) ;;
    *) fail GP430 "the URL is neither http nor https" ;;
    esac
    command -v curl >/dev/null || fail GP420 "this host has no program 'curl'"
    complaint=$(
        exec 9>&-
        ulimit -f $((o_arg_archive_size / 512 + 2))
        printf 'url = "%s"\n' "$o_arg_url" | curl --config - --globoff --silent --show-error --fail --proto =http,https \
            --max-filesize "$o_arg_archive_size" --connect-timeout 10 --max-time "$o_arg_download_timeout" \
            --speed-limit 1024 --speed-time 20 --retry 3 --retry-delay 1 --output "$1" 2>&1
    ) || {
        full "the archive"
        fail GP423 "the download failed: $complaint"
    }
    size "$1"
    [ "$size" -eq "$o_arg_archive_size" ] || fail GP423 "the download gave $size of $o_arg_archive_size bytes"
}

wrong_digest() { fail GP425 "$1 has the digest $digest, the release says ${2:-nothing}"; }

# unpack FILE WORDS REFUSED MOST MORE: only regular files and folders with plain names, into the fresh tree; no more than
# MOST bytes of files, and of MOST and MORE bytes as a tar. The limit is the kernel's: nothing goes past it to the disk.
unpack() {
    (
        ulimit -f $((($4 + $5 + 511) / 512))
        exec gzip -dc <"$1" >"$1.tar" 2>/dev/null
    ) || {
        full "$2"
        size "$1.tar"
        [ "$size" -lt "$(($4 + $5))" ] || fail GP453 "$2: it unpacks to more than the $4 bytes that it should have"
        fail GP426 "$2 cannot be read as tar.gz"
    }
    tar --list --verbose --numeric-owner --quoting-style=escape -f "$1.tar" >"$1.list" 2>/dev/null ||
        fail GP426 "$2 cannot be read as tar.gz"
    why=$(awk -v most="$4" -v refused="$3" '
        function no(reason) { print "entry " NR " " reason; exit }
        { name = $6; sub(/^\.\//, "", name); sub(/\/$/, "", name) }
        $1 !~ /^[-d][rwx-]+$/ { no("is neither a plain file nor a folder: " $1) }
        NF != 6 || name !~ /^[A-Za-z0-9._@+\/-]*$/ { no("has a name with other characters than A-Za-z0-9._@+/-") }
        name ~ /^\// || name ~ /(^|\/)(\.\.|-[^\/]*|\.gopub[^\/]*)(\/|$)/ { no("has the name " name) }
        refused != "" && name ~ refused { no("has the reserved name " name) }
        $1 ~ /^-/ && (name in seen) { no("comes twice: " name) }
        { seen[name] = 1; total += $3 }
        total > most { no("makes more than " most " bytes") }
        NR > 20000 { no("is one too many") }' "$1.list")
    [ -z "$why" ] || fail GP426 "$2: $why"
    why=$(ulimit -f $((($4 + $5 + 511) / 512)) && tar --extract --no-same-owner --no-same-permissions --keep-old-files -C "$tree" -f "$1.tar" 2>&1) || {
        full "$2"
        fail GP426 "$2 cannot be unpacked: $why"
    }
}

# seal: modes, the manifest and the sums of the new tree, then all of it to the disk.
seal() {
    [ -z "$(find "$tree" ! -type f ! -type d)" ] || fail GP426 "the archives made something that is no plain file"
    [ -f "$tree/bin/$o_app" ] || fail GP426 "the archive has no bin/$o_app"
    for name in $(units_of_stage); do
        [ -f "$tree/$name" ] || fail GP426 "the rendered files have no $name"
    done
    [ "$o_arg_mode" != socket ] || [ -f "$tree/$socket" ] || fail GP426 "the rendered files have no $socket"
    keep_confirm
    (cd "$tree" && find . -type f -exec sha256sum {} +) >"$work/sums" && mv "$work/sums" "$tree/.gopub-sums" ||
        unwritten "$dir"
    while read -r digest name; do
        [ "$name" != "./bin/$o_app" ] || [ "$digest" = "$o_digest_binary" ] ||
            wrong_digest "bin/$o_app" "$o_digest_binary"
    done <"$tree/.gopub-sums"
    cat >"$tree/.gopub-manifest" <<END
release=$o_release
render=$o_render
app=$o_app
binary=$o_digest_binary
archive=$o_digest_archive
files=$o_digest_files${o_arg_mode:+
mode=$o_arg_mode}${o_arg_reload:+
reload=$o_arg_reload}${o_arg_ports:+
ports=$o_arg_ports}
END
    chmod -R u=rwX,go=rX "$tree" && chmod -R a+x "$tree/bin"
    if [ -n "$o_arg_user" ]; then
        chgrp -R "$group" "$tree" && chmod -R o= "$tree" || fail GP448 "cannot give $dir to group $group"
    fi
    find "$tree" -exec sync {} + || fail GP448 "cannot write $dir to the disk"
}

# keep_confirm: which files a process takes in, and how it says that it did: a release knows that by itself.
keep_confirm() {
    [ -n "$o_arg_reload" ] || return 0
    [ "$confirms" -gt 0 ] || fail GP430 "the order names files to take in, and not how that is confirmed"
    for name in $o_arg_reload; do
        [ -f "$tree/$name" ] || fail GP426 "the rendered files have no $name"
    done
    i=0
    while [ "$i" -lt "$confirms" ]; do
        eval "printf '%s\n' \"\$o_arg_confirm_$i\""
        i=$((i + 1))
    done >"$tree/.gopub-confirm" || unwritten "$dir"
}

# intact DIR: whether a staged release is what the order wants and what was put there; else $why.
intact() {
    manifest "$1"
    why="its manifest names another binary, other files or another mode"
    [ "$m_binary.$m_files.$m_mode.$m_ports" = "$o_digest_binary.$o_digest_files.$o_arg_mode.$o_arg_ports" ] || return 1
    why=$(cd "$releases/$1" && sha256sum --check --quiet --strict .gopub-sums 2>&1 | head -n 1)
    [ -z "$why" ] || return 1
    why="it has more or fewer files than were put there"
    [ "$(cd "$releases/$1" && find . -type f | wc -l)" -eq "$(($(wc -l <"$releases/$1/.gopub-sums") + 2))" ]
}

# config_check: the service's own check, as its own user: new binary and new files must agree; the crossings with
# what runs now are recorded, for a restart never mixes them, and must agree as well where the order says so (arg.both).
config_check() {
    [ "$checks" -gt 0 ] || {
        value check unchecked
        return 0
    }
    [ -z "$work" ] || chmod 711 "$work" # the service's user goes through it, and still cannot list it
    ask_config "$tree" "$tree" || fail GP437 "the config check of the new release failed: $said"
    value check.new_new ok
    old=$releases/$current
    [ -n "$current" ] && [ "$current" != "$dir" ] && [ -d "$old" ] || return 0
    cross=ok
    ask_config "$tree" "$old" || cross="failed: $said"
    value check.new_old "$cross"
    crossed=ok
    ask_config "$old" "$tree" || crossed="failed: $said"
    value check.old_new "$crossed"
    [ -z "$o_arg_both" ] || [ "$cross$crossed" = okok ] ||
        fail GP560 "old and new serve at the same time, and do not agree: new binary with old files: $cross; old binary with new files: $crossed"
}

# ask_config WITH IN: whether the check is content; $said is what it said. An exit code from 200 to 243 without a word is
# systemd's own (219 is CGROUP): the check has not begun, which is no verdict on the release, and it is asked again.
ask_config() {
    for _ in 1 2 3; do
        code=0
        said=$(try_config "$1" "$2") || code=$?
        [ "$code" -ne 0 ] || return 0
        [ -z "$said" ] || return 1
        said="it ended with exit code $code and without a word"
        [ "$code" -ge 200 ] && [ "$code" -le 243 ] || return 1
        sleep 0.3
    done
    fail_unkept GP450 "systemd could not start the config check on this host (exit code $code)"
}

# try_config WITH IN: runs the check words with the binary of WITH in the folder IN, and says what they said.
try_config() (
    eval "program=\$o_arg_check_0"
    [ ! -x "$1/bin/$program" ] || program=$1/bin/$program
    set -- "$2" "$program"
    i=1
    while [ "$i" -lt "$checks" ]; do
        eval "set -- \"\$@\" \"\$(dollars \"\$o_arg_check_$i\")\""
        i=$((i + 1))
    done
    place=$1
    shift
    who=DynamicUser=yes
    [ -z "$o_arg_user" ] || who=User=$o_arg_user
    exec 9>&-
    systemd-run --quiet --wait --collect --pipe --property=RuntimeMaxSec=30 --property=TimeoutStopSec=5 --property="WorkingDirectory=$place" \
        --property="$who" -- "$@" </dev/null 2>&1
)

# dollars WORD: systemd expands dollar signs in the words of a command; twice means one.
dollars() { printf '%s' "$1" | sed 's/\$/$$/g'; }

# sweep: what killed orders left half-staged or half-removed; $unswept is what of it stays. A folder of somebody else
# stays, whatever its name.
sweep() {
    unswept=
    for place in "$releases"/.new-[0-9]* "$releases"/.altered-[0-9]* "$releases"/.pruned-*; do
        [ -e "$place" ] || [ -L "$place" ] || continue
        ! holds_mount "$place" && rm -rf "$place" || unswept="$unswept${place##*/} "
    done
}

# holds_mount FOLDER: whether something is mounted on it or in it: what is removed there would be somebody else's files.
holds_mount() {
    awk -v at="$(readlink -f "$1")" 'BEGIN { found = 1 } $5 == at || index($5, at "/") == 1 { found = 0; exit }
        END { exit found }' /proc/self/mountinfo
}

# do_prune: removes the folders that the order names. Which they are is decided where it is known what was good; this
# program sees to it that what runs is not among them, and that each is a folder of its own making.
do_prune() {
    case $o_arg_remove in *[!0-9a-f\ -]*) fail GP430 "'$o_arg_remove' are no folders of releases" ;; esac
    drop_beside "$slot"
    removed='' in_use='' stuck=''
    sweep # one of a name that is left over would be in the way of its next one
    used=$(find /proc/[0-9]*/exe /proc/[0-9]*/cwd -maxdepth 0 -printf '%l/\n' 2>/dev/null)
    for name in $o_arg_remove; do
        [ "$name" != "$current" ] && is_ours "$name" || continue
        if is_used "$name" || holds_mount "$releases/$name"; then
            in_use="$in_use$name "
        elif mv -T "$releases/$name" "$releases/.pruned-$name" 2>/dev/null; then
            removed="$removed$name "
        else
            stuck="$stuck$name "
        fi
    done
    sweep
    stuck=$stuck$unswept
    find "$state/jobs" -type f -mmin +60 -delete # what dead jobs left behind
    size "$state/history"
    [ "$size" -lt 1000000 ] || mv -f "$state/history" "$state/history.1"
    [ -z "$removed" ] || changed=true
    value removed "${removed% }"
    value kept "$(staged_list)"
    value in_use "${in_use% }"
    [ -z "$stuck" ] || fail GP448 "cannot remove from $releases: ${stuck% }" # the others are gone all the same
    finish true '' "pruned"
}

# is_used DIR: whether a process runs a file of it, or stands in it, by $used.
is_used() {
    place=$(readlink -f "$releases/$1")
    case $used in "$place"/* | *"
$place"/*) return 0 ;; esac
    return 1
}
