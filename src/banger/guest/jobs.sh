# Commands that go on without anybody waiting for them: what keeps their books in the guest.
# `sh -c THIS banger VERB ARGS...`, for any POSIX shell. Each job N has
#   N.about  one line of JSON, root's      N.boot  the boot that it belongs to, root's
#   N.pid    who looks after it, its owner's
#   N.pipe   through which what it says goes to N.log, N.more and N.ring (job_log.sh), its owner's
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
    for kind in about boot pid pipe log more ring status; do rm -f "$top/$number.$kind"; done
}

# Forget the jobs that ended first, if there are more than so many.
prune() {
    set -- "$1" "$top"/*.about
    [ $(($# - 1)) -gt "$1" ] || return 0
    left=$1
    for number in $(for file in "$top"/*.about; do file=${file##*/} && echo "${file%.about}"; done | sort -rn); do
        if ! runs "$number"; then
            left=$((left - 1))
            [ "$left" -ge 0 ] || forget
        fi
    done
}

# The half of the log whose turn is $1.
half() {
    [ $(($1 % 2)) = 0 ] && echo "$top/$number.more" || echo "$top/$number.log"
}

# Whose turn it is, and how many bytes were dropped.
look() {
    [ -s "$top/$number.ring" ] && read -r turn dropped <"$top/$number.ring" || turn=1 dropped=0
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
    make) # - ABOUT OWNER KEPT: make the files of a new job, and print its number; keep so many that have ended
        about=$1 owner=$2 kept=$3
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
        for kind in pid log more ring status; do
            : >"$top/$number.$kind" || { forget; exit 1; }
        done
        mkfifo "$top/$number.pipe" || { forget; exit 1; }
        read -r boot </proc/sys/kernel/random/boot_id
        umask 022 # its owner asks too whether it runs
        for kind in pid pipe log more ring status; do
            chown -- "$owner" "$top/$number.$kind" || { forget; exit 1; }
        done
        echo "$boot" >"$top/$number.boot" || { forget; exit 1; }
        echo "$number"
        prune "$kept"
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
    look-after) # N TOOLS LIMIT KEEPER HALF CMD ARGS...: run it, in a session of its own, and write down how it ended
        tools=$1 limit=$2 keeper=$3 half=$4
        shift 4
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
        # In a session of its own, it takes down the last words of what is killed.
        setsid sh -c "$keeper" banger "$top/$number" "$half" &
        keeper=$!
        [ -z "$limit" ] || { watch "$limit" & timer=$!; }
        trap : TERM INT HUP QUIT USR1 USR2 # they are for the command
        (trap - TERM INT HUP QUIT USR1 USR2 && exec "$@") >"$top/$number.pipe" 2>&1
        status=$?
        if [ -n "$limit" ]; then
            kill -s ALRM "$timer"
            wait "$timer"
            late=$?
            while [ "$late" -gt 128 ] && kill -s 0 "$timer" 2>/dev/null; do # a signal for the command interrupts this too
                wait "$timer"
                late=$?
            done
            [ "$late" -ne 9 ] || status=124
        fi
        tries=0 # what it left running may go on to say something
        while kill -s 0 "$keeper" 2>/dev/null && [ "$tries" -lt 10 ]; do
            nap
            tries=$((tries + 1))
        done
        echo "$status $(date +%s)" >"$top/$number.status"
        ;;
    list) # - LIMIT: a line for each: number, state, status, when it ended, bytes of its log, bytes dropped, what it is
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
            look
            bytes=$(($(wc -c <"$top/$number.log")))
            [ ! -s "$top/$number.more" ] || bytes=$((bytes + $(wc -c <"$top/$number.more")))
            printf '%s %s %s %s %s %s %s\n' "$number" "$state" "$status" "$ended" "$bytes" "$dropped" "$about"
        done | sort -n | tail -n "$limit"
        ;;
    logs) # N FOLLOW TAIL
        follow=$1 tail=$2
        look
        exec 3<"$(half "$turn")" || exit
        older=/dev/null
        [ "$turn" = 1 ] || older=$(half $((turn - 1)))
        if [ -n "$tail" ]; then
            { cat "$older" && cat <&3; } | { tail -n "$tail"; cat >/dev/null; }
        else
            cat "$older" && cat <&3 || exit
        fi
        over=
        while [ -n "$follow$over" ]; do
            mine=$turn
            runs "$number" || follow= over=yes
            cat <&3 || exit
            look
            if [ "$turn" -gt "$mine" ]; then
                if [ "$turn" = $((mine + 1)) ]; then
                    cat <&3 || exit # the end of its half
                else
                    echo "a part that was dropped meanwhile is missing here" >&2
                    cat "$(half $((turn - 1)))" || exit
                fi
                exec 3<"$(half "$turn")" || exit
            elif [ -n "$over" ]; then
                exit 0
            else
                nap
            fi
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
