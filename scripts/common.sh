# What both scripts share; read by them, not run. POSIX shell only.

PYTHON=${PYTHON:-$(if [ -x "$project/.venv/bin/python" ]; then echo "$project/.venv/bin/python"; else echo python; fi)}

# number NAME VALUE MINIMUM: prints the value if it is a whole number of at least MINIMUM.
number() {
    case $2 in
        '' | *[!0-9]*) ;;
        *) [ "$2" -ge "$3" ] && { echo "$2"; return 0; } ;;
    esac
    echo "error: $1 is '$2': it must be a whole number, $3 or more" >&2
    return 1
}

# existing NAME PATH: prints the absolute path if there is something.
existing() {
    if [ ! -e "$2" ]; then
        echo "error: $1 '$2' does not exist" >&2
        return 1
    fi
    echo "$(CDPATH='' cd -- "$(dirname -- "$2")" && pwd)/$(basename -- "$2")"
}

# new_log_folder NAME: makes the folder; one that holds an earlier run is only used again to resume it.
new_log_folder() {
    if [ -e "$1/run" ]; then
        case " ${BERT_THOR_OPTIONS:-} " in
            *" --resume "*) ;;
            *)
                echo "error: $1 holds an earlier run: move it away, or continue it with BERT_THOR_OPTIONS=\"--resume\"" >&2
                return 1
                ;;
        esac
    fi
    mkdir -p "$1"
}

# last_words FILE: the error that ended a process, for the person at the terminal.
last_words() {
    { grep '^error: ' "$1" || tail -n 1 "$1"; } | tail -n 1 >&2
    echo "the whole log is $1" >&2
}
