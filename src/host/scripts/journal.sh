# The last lines that the member's process wrote since it was last started. Arguments: manager unit run lines follow(0|1).
manager=$1 unit=$2 run=$3 lines=$4 follow=$5

# Follows until standard input is closed: that is how the other end says that it has seen enough.
follow() {
    "$@" </dev/null &
    follower=$!
    cat >/dev/null || :
    kill "$follower" 2>/dev/null || :
}

if [ "$manager" = process ]; then
    [ -e "$run/log" ] || exit 0
    if [ "$follow" = 1 ]; then follow tail -n "$lines" -f "$run/log"; else tail -n "$lines" "$run/log"; fi
    exit 0
fi
if [ "$follow" = 1 ]; then
    follow journalctl --no-pager -q -o cat -u "$unit" -n "$lines" -f
    exit 0
fi
invocation=$(systemctl show -p InvocationID "$unit")
invocation=${invocation#InvocationID=}
said=
if [ -n "$invocation" ]; then
    # Both what the process said and what systemd said about it.
    said=$(journalctl --no-pager -q -o cat -n "$lines" "_SYSTEMD_INVOCATION_ID=$invocation" + "INVOCATION_ID=$invocation")
fi
if [ -z "$said" ]; then said=$(journalctl --no-pager -q -o cat -u "$unit" -n "$lines"); fi
printf '%s\n' "$said"
