# Commands that go on without anybody waiting for them: what keeps their books in the guest.
# `sh -c THIS banger VERB ARGS...`, for any POSIX shell. Each job N has
#   N.about  one line of JSON, root's      N.boot  the boot that it belongs to, root's
#   N.pid    who looks after it, its owner's    N.log  what it says, its owner's
#   N.status how and when it ended, its owner's; empty until then
# The directory is root's, so that no owner can put anything else in a file's place.
set -u
top=/var/log/banger/jobs
verb=$1
number=${2:-}
shift 2

# When a process began, in ticks since the boot (proc_pid_stat(5), field 22): a number that came back is another one.
began() {
    { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
    set -- ${line##*) }
    shift 19
    echo "$1"
}

runs() {
    [ ! -s "$top/$1.status" ] || return 1
    read -r boot <"$top/$1.boot" && read -r now </proc/sys/kernel/random/boot_id && [ "$boot" = "$now" ] || return 1
    pid='' && { read -r pid since <"$top/$1.pid"; } 2>/dev/null
    if [ -n "$pid" ]; then
        [ "$(began "$pid")" = "$since" ]
    else # it is about to begin, or never will
        [ -z "$(find "$top/$1.boot" -mmin +1 2>/dev/null)" ]
    fi
}

forget() {
    for kind in about boot pid log status; do rm -f "$top/$number.$kind"; done
}

# End the job when its time is up. Told that it has ended, by ALRM, it exits with 9 when it was late.
watch() {
    late=0
    trap '' TERM INT HUP QUIT USR1 USR2
    trap 'kill -s KILL "$sleeper" 2>/dev/null; exit "$late"' ALRM
    sleep "$1" &
    sleeper=$!
    wait "$sleeper"
    late=9
    kill -s TERM -- "-$$"
    sleep 5 &
    sleeper=$!
    wait "$sleeper"
    echo "124 $(date +%s)" >"$top/$number.status" # nobody is left to write it down
    kill -s KILL -- "-$$"
}

nap() {
    sleep 0.2 2>/dev/null || sleep 1
}

case $verb in
    make) # - ABOUT OWNER: make the files of a new job, and print its number
        about=$1 owner=$2
        umask 077
        [ -d "$top" ] || { mkdir -p "$top" && chmod 711 "${top%/*}" "$top"; } || exit
        number=1
        for file in "$top"/*.about; do
            file=${file##*/} file=${file%.about}
            case $file in *[!0-9]*) ;; *) [ "$file" -lt "$number" ] || number=$((file + 1)) ;; esac
        done
        set -C # two at once do not get the same
        tries=0
        until { printf '%s\n' "$about" >"$top/$number.about"; } 2>/dev/null; do
            number=$((number + 1)) tries=$((tries + 1))
            [ "$tries" -lt 100 ] || { echo "$top cannot be written" >&2; exit 1; }
        done
        set +C
        for kind in pid log status; do
            : >"$top/$number.$kind" || { forget; exit 1; }
        done
        read -r boot </proc/sys/kernel/random/boot_id
        umask 022 # its owner asks too whether it runs
        chown -- "$owner" "$top/$number.pid" "$top/$number.log" "$top/$number.status" && echo "$boot" >"$top/$number.boot" ||
            { forget; exit 1; }
        echo "$number"
        ;;
    forget) forget ;; # N: it could not be started
    begun) # N: wait a little until somebody looks after it
        tries=0
        until [ -s "$top/$number.pid" ] || [ "$tries" -ge 100 ]; do
            nap
            tries=$((tries + 1))
        done
        [ -s "$top/$number.pid" ]
        ;;
    look-after) # N TOOLS LIMIT CMD ARGS...: run it, in a session of its own, and write down how it ended
        tools=$1 limit=$2
        shift 2
        trap '' PIPE # in a slow guest nobody listens any more, and `begun` finds out
        echo "$$ $(began $$)" >"$top/$number.pid" && echo begun 2>/dev/null
        trap - PIPE
        exec </dev/null >/dev/null 2>&1 # what a shell says of its children is none of the command's words
        for program in $tools; do
            if command -v "$program" >/dev/null; then
                set -- "$program" exec -- sh -c 'exec "$@"' sh "$@"
                break
            fi
        done
        [ -z "$limit" ] || { watch "$limit" & timer=$!; }
        trap : TERM INT HUP QUIT USR1 USR2 # they are for the command
        (trap - TERM INT HUP QUIT USR1 USR2 && exec "$@") >>"$top/$number.log" 2>&1
        status=$?
        if [ -n "$limit" ]; then
            kill -s ALRM "$timer"
            late=143
            while [ "$late" -gt 128 ]; do # a signal for the command interrupts this too
                wait "$timer"
                late=$?
            done
            [ "$late" -ne 9 ] || status=124
        fi
        echo "$status $(date +%s)" >"$top/$number.status"
        ;;
    list) # - LIMIT: a line for each: number, state, status, when it ended, bytes of its log, what it is
        limit=$1
        for file in "$top"/*.about; do
            number=${file##*/} number=${number%.about}
            [ -r "$file" ] && read -r about <"$file" || continue
            state=lost status=- ended=-
            if [ -s "$top/$number.status" ]; then
                state=ended
                read -r status ended <"$top/$number.status"
            elif runs "$number"; then
                state=running
            fi
            printf '%s %s %s %s %s %s\n' "$number" "$state" "$status" "$ended" "$(wc -c <"$top/$number.log")" "$about"
        done | sort -n | tail -n "$limit"
        ;;
    logs) # N FOLLOW TAIL
        follow=$1 tail=$2
        exec 3<"$top/$number.log" || exit
        [ -z "$tail" ] || tail -n "$tail" <&3
        while :; do
            over=yes
            [ -z "$follow" ] || ! runs "$number" || over=
            cat <&3 || exit
            [ -z "$over" ] || break
            nap
        done
        ;;
    wait) # N
        while runs "$number"; do nap; done
        ;;
    kill) # N SIGNAL
        [ -s "$top/$number.pid" ] && runs "$number" && read -r pid since <"$top/$number.pid" || exit 3
        kill -s "$1" -- "-$pid" || exit
        if [ "$1" = KILL ]; then # nobody is left to write it down
            while runs "$number"; do nap; done
            [ -s "$top/$number.status" ] || echo "137 $(date +%s)" >"$top/$number.status"
        fi
        ;;
esac
