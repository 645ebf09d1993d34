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
# A start that never came to running the program has nothing to say: then what came before is the cause.
if [ -n "$invocation" ] && [ -n "$(journalctl --no-pager -q -o cat -n 1 "_SYSTEMD_INVOCATION_ID=$invocation")" ]; then
    # Both what the process said and what systemd said about it.
    journalctl --no-pager -q -o cat -n "$lines" "_SYSTEMD_INVOCATION_ID=$invocation" + "INVOCATION_ID=$invocation"
else
    journalctl --no-pager -q -o cat -u "$unit" -n "$lines"
fi
