# shellcheck shell=sh disable=SC2015,SC2034,SC2154
# The host program of gopub: which file a process runs, where that is a script: a file of a release that begins with "#!".
#
# The kernel then starts what the first line names, with that line's word, if it has one, and the script's path behind it. So
# the proof is: the process runs that very interpreter, its first words are these, and the file has the signed digest. What
# the interpreter is, what it imports from the host, and what the file said when it was read, is not proven.
#
# A path by /opt/INSTANCE/current says nothing of what the link named at the start: then it counts where the process stands, for
# systemd followed the link for both. A process from which another one took over may stand where it likes: there the
# path must name the release's folder.

# program_of PID: the file in $exe; of a script also its interpreter in $interpreter, and its path as the words have it in $script.
program_of() {
    exe=$(readlink "/proc/$1/exe" 2>/dev/null) interpreter='' script=''
    place=$(readlink -f "$releases")
    case $exe in '' | "$place"/*) return 0 ;; esac
    words_of "$1"
    if is_script "$1" "$word_2" ''; then
        script=$word_2
    elif is_script "$1" "$word_3" "$word_2"; then
        script=$word_3
    else
        return 0
    fi
    interpreter=$exe
    exe=$file
}

# words_of PID: the second and third word of its command line.
words_of() {
    word_2='' word_3=''
    { IFS= read -r word_2 && IFS= read -r word_3; } <<END || :
$(head -c 4096 "/proc/$1/cmdline" 2>/dev/null | tr '\n\0' '?\n' | sed -n 2,3p)
END
}

# is_script PID PATH WORD: whether the path is a script of a release, in $file, that is started as $exe WORD PATH.
is_script() {
    case $2 in
    "$releases"/* | "$place"/*) file=$(readlink -f "$2") ;;
    "$home"/current/*)
        file=$(readlink "/proc/$1/cwd" 2>/dev/null)
        file=${file#"$place"/}
        is_name "${file%%/*}" && ! took_over || return 1
        file=$(readlink -f "$place/${file%%/*}/${2#"$home"/current/}")
        ;;
    *) return 1 ;;
    esac
    case $file in "$place"/*) ;; *) return 1 ;; esac
    first_line "$file" && [ "$line_word" = "$3" ] && [ "$(readlink -f "$line_by")" = "$exe" ]
}

# first_line FILE: what its first line starts, in $line_by, and with which word, in $line_word. What env finds is what systemd's
# own PATH has.
first_line() {
    line=$(head -c 256 "$1" 2>/dev/null | head -n 1 | tr '\000\t' '? ')
    case $line in '#!'*) ;; *) return 1 ;; esac
    rest=$(printf %s "${line#??}" | sed 's/^ *//; s/ *$//')
    line_by=${rest%% *} line_word=
    [ "$line_by" = "$rest" ] || line_word=$(printf %s "${rest#* }" | sed 's/^ *//')
    case $line_by in */env) ;; *) return 0 ;; esac
    case $line_word in '' | -* | *[!A-Za-z0-9._+-]*) return 1 ;; esac
    line_by=$(
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
        command -v "$line_word"
    )
    line_word=
}

# took_over: whether another process gave the main one its place, or is about to.
took_over() {
    grep -q '^old=' "$state/started" 2>/dev/null && grep -qx "invocation=\($u_invocation\)\{0,1\}" "$state/started"
}

# has_words PID: whether it was started with the main process' script, if that is one.
has_words() {
    [ -n "$interpreter" ] || return 0
    words_of "$1"
    [ "$script" = "$word_2" ] || [ "$script" = "$word_3" ]
}

# unproven: why a release that is a script is not what runs, for a message.
unproven() {
    [ -z "$interpreter" ] && [ -n "$dir" ] || return 0
    first_line "$releases/$dir/bin/$m_app" || :
    case $line in '#!'*) ;; *) return 0 ;; esac
    words_of "$u_pid"
    printf '; bin/%s begins with %s, and this process has the words %s' "$m_app" \
        "$(printf %s "$line" | readable)" "$(printf '%s %s' "$word_2" "$word_3" | readable)"
}

readable() { tr -c '[:print:]' '?' | cut -c 1-200; }
