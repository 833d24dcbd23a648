# shellcheck shell=sh
# One reading of a file: sh -c TEXT gopub PATH INODE OFFSET BYTES [FOLDERS]
#
# What is new since OFFSET of the file that had INODE, at most BYTES of it, the newest. Without INODE the last BYTES.
# Where another file has that name by now, what was left of the old one comes first, if it still lies beside it.
# Before each part a line says what follows:  gopub INODE FROM LENGTH SIZE
# Where nothing has that name, which is no file that cannot be read, that is said:  gopub none
# Only a regular file is opened, once, and everything is asked of what was opened: a name may be given to another file
# at any moment.
# Whoever runs the service owns the folder of its log, and this user may read more than that one: a link there to
# another's file is not followed, nor is a second name of it (our). With FOLDERS, real paths, one a line, nothing is read
# that does not lie below one of them (kept), whoever made the link that leads out.
path=$1 inode=$2 offset=$3 most=$4 folders=${5:-}
LC_ALL=C
export LC_ALL
me=$(id -u)
our() { # NAME: whether 3 lies where NAME leads over links that root, this user or the file's owner has made
    # shellcheck disable=SC2046 # two words
    set -- "$1" $(stat -L -c '%u %h' /proc/self/fd/3)
    opened=$(readlink /proc/self/fd/3)
    folder=$(stat -c %u "${opened%/*}/") || return 1
    [ "$3" = 1 ] || [ "$folder" = 0 ] || [ "$folder" = "$me" ] || [ "$folder" = "$2" ] || return 1
    here='' rest=$1 links=0
    while [ -n "$rest" ]; do
        name=${rest%%/*}
        case $rest in */*) rest=${rest#*/} ;; *) rest= ;; esac
        case $name in
        '' | .) continue ;;
        ..) here=${here%/*} && continue ;;
        esac
        kind=$(stat -c '%F:%u' "$here/$name") || return 1
        case $kind in
        "symbolic link:0" | "symbolic link:$me" | "symbolic link:$2") ;;
        "symbolic link:"*) return 1 ;;
        *) here=$here/$name && continue ;;
        esac
        links=$((links + 1)) to=$(readlink "$here/$name")
        [ "$links" -le 40 ] || return 1
        case $to in /*) here= ;; esac
        rest=$to/$rest
    done
    [ "$here" = "$opened" ]
}
kept() { # whether what our has opened lies below one of the folders
    [ -n "$folders" ] || return 0
    while read -r folder; do
        case $folder:$opened in /*:"$folder"/*) return 0 ;; esac
    done <<END
$folders
END
    return 1
}
part() { # NAME KNOWN: the part of a file that is new; KNOWN says that offset belongs to it
    [ -f "$1" ] || { echo "no such file: $1" >&2; return 1; }
    exec 3<"$1" || return 1
    our "$1" || { echo "not read, for a link leads to another user's file: $1" >&2; return 1; }
    kept || { echo "not read, for it lies in no folder of logs: $opened" >&2; return 1; }
    # shellcheck disable=SC2046 # two words
    set -- "$2" $(stat -L -c '%i %s' /dev/fd/3)
    from=0
    [ "$1" = yes ] && [ "$offset" -le "$3" ] && from=$offset
    [ $(($3 - from)) -gt "$most" ] && from=$(($3 - most))
    echo "gopub $2 $from $(($3 - from)) $3"
    tail -c "+$((from + 1))" <&3 | head -c "$(($3 - from))"
    exec 3<&-
}
dir=${path%/*}
while [ -n "$dir" ] && [ ! -e "$dir" ]; do dir=${dir%/*}; done
if [ ! -e "$path" ] && [ ! -L "$path" ] && [ -x "${dir:-/}" ]; then # in a folder that may be searched
    echo "gopub none"
    echo "No such file or directory: $path" >&2
    exit 1
fi
now=$(stat -L -c %i "$path") || exit 1
if [ -n "$inode" ] && [ "$now" != "$inode" ]; then
    for old in "$path".* "$path"-*; do
        if [ -f "$old" ] && [ "$(stat -c %i "$old")" = "$inode" ]; then
            part "$old" yes
            break
        fi
    done
    part "$path" no
else
    part "$path" yes
fi
