# What a job says through PLACE.pipe, with the oldest dropped: `sh -c THIS banger PLACE HALF`, for any POSIX shell.
# PLACE.log and PLACE.more take turns, of at most HALF bytes (more than 1 MiB), and PLACE.ring says which one's turn it
# is, counted from 1, and how many bytes were dropped. All are there before; the directory is somebody else's.
set -u
place=$1 half=$2
exec <"$place.pipe" # nothing is said before
turn=1 dropped=0 size=0 file=$place.log other=$place.more
while [ -e "$file" ] && [ -e "$other" ]; do
    before=$size
    # It writes what it has read at once, and ends after 1 MiB at most, or when nobody is left to say anything.
    dd bs=16384 count=64 >>"$file" 2>/dev/null
    status=$?
    size=$(($(wc -c <"$file")))
    [ "$status" -ne 0 ] || [ "$size" -ne "$before" ] || exit 0 # with a full disk it fails, and what it read is lost
    if [ "$size" -gt $((half - (1 << 20))) ]; then
        dropped=$((dropped + $(wc -c <"$other")))
        : >"$other"
        turn=$((turn + 1)) size=0
        [ $((turn % 2)) = 0 ] && file=$place.more other=$place.log || file=$place.log other=$place.more
        echo "$turn $dropped" 1<>"$place.ring" # over what is there, and never shorter: it can be read at any time
    fi
done
exec cat >/dev/null # forgotten; what goes on must not end because nobody listens
