# Holds the lock for as long as standard input is open and a heartbeat arrives at least every 60 s.
# Arguments: lock id steal(0|1). Standard input: one line of JSON that describes the holder, then heartbeats.
# Says `locked`, or `held ALIVE JSON` and ends with status 75.
#
# LOCK/ID/{pid,holder.json} is the lock. It appears by renaming a complete directory (fails while another is there), and
# a dead holder's ID directory is renamed away: both have exactly one winner, and ID is never used twice, so a slow
# contender can never remove a newer holder.
lock=$1 id=$2 steal=$3
read -r holder || fail "no holder was named"
new=$lock.new-$id
reader=

release() {
    if [ -n "$reader" ]; then kill "$reader" 2>/dev/null || :; fi
    rm -rf "$new"
    # Only its own: after a theft there is none.
    if [ -d "$lock/$id" ] && mv -fT "$lock/$id" "$lock.gone-$id" 2>/dev/null; then rm -rf "$lock.gone-$id"; fi
    rmdir "$lock" 2>/dev/null || :
}
trap release EXIT
trap 'exit 129' HUP INT TERM PIPE

(umask 022 && mkdir -p "${lock%/*}") || fail "cannot create ${lock%/*}"
mkdir -p "$new/$id" || fail "cannot write in ${lock%/*}"
identify $$ || fail "cannot read /proc"
# (cat, because it says why: the shell's own echo does not.)
echo "$identity" | cat >"$new/$id/pid" || fail "cannot write in ${lock%/*}"
printf '%s\n' "$holder" | cat >"$new/$id/holder.json" || fail "cannot write in ${lock%/*}"

# current: sets $other to the id that holds the lock now; fails when there is none.
current() {
    other=
    set +f
    for entry in "$lock"/*; do
        if [ -d "$entry" ]; then other=${entry##*/}; fi
    done
    set -f
    [ -n "$other" ]
}

# take_from OTHER: an explicit theft leaves a trace before anything else happens.
take_from() {
    { read -r victim <"$lock/$1/holder.json"; } 2>/dev/null || victim=
    printf '%s stolen by %s from %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$holder" "$victim" >>"${lock%/*}/lock-audit.log" ||
        fail "cannot write ${lock%/*}/lock-audit.log"
    if same_process "$lock/$1/pid"; then kill -TERM "${saved%% *}" 2>/dev/null || :; fi
    tries=30
    while same_process "$lock/$1/pid" && [ "$tries" -gt 0 ]; do
        tries=$((tries - 1))
        sleep 0.1
    done
    if same_process "$lock/$1/pid"; then kill -KILL "${saved%% *}" 2>/dev/null || :; fi
}

tries=20
until mv -fT "$new" "$lock" 2>/dev/null; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || fail "cannot create $lock"
    if current; then
        if [ "$steal" = 1 ]; then take_from "$other"; fi
        if same_process "$lock/$other/pid"; then
            json=
            { read -r json <"$lock/$other/holder.json"; } 2>/dev/null || continue
            echo "held $json"
            exit 75
        fi
        # Dead: its process is gone, or the host was rebooted since.
        if mv -fT "$lock/$other" "$lock.dead-$id" 2>/dev/null; then rm -rf "$lock.dead-$id"; fi
    fi
    rmdir "$lock" 2>/dev/null || :
done
echo locked

exec 3<&0
while :; do
    # In the background, since `wait` can be interrupted by a thief's signal and a command in the foreground cannot.
    timeout 60 dd bs=64 count=1 <&3 >"$lock/$id/beat" 2>/dev/null &
    reader=$!
    wait "$reader" || break
    reader=
    [ -s "$lock/$id/beat" ] || break
done
