# Starts and stops a member that quorate's own loop (supervise.sh) keeps running. Arguments: verb run seconds.
# `start` and `restart` read the loop's text from standard input.
verb=$1 run=$2 seconds=$3

# wait_gone FILE: waits until the process that FILE names has ended.
wait_gone() {
    while same_process "$1"; do
        [ "$tries" -gt 0 ] || return 1
        tries=$((tries - 1))
        sleep 0.1
    done
}

# send SIGNAL FILE: to the very process that FILE names; a later one with the same number is left alone.
send() {
    if same_process "$2"; then kill "-$1" "${saved%% *}" 2>/dev/null || :; fi
}

stop() {
    tries=$((seconds * 10))
    send TERM "$run/supervisor.pid"
    if ! same_process "$run/supervisor.pid"; then send TERM "$run/etcd.pid"; fi
    if ! wait_gone "$run/supervisor.pid" || ! wait_gone "$run/etcd.pid"; then
        # The loop first, or it would start the next one.
        send KILL "$run/supervisor.pid"
        send KILL "$run/etcd.pid"
        tries=50
        wait_gone "$run/etcd.pid" || fail "etcd (process ${saved%% *}) cannot be stopped"
    fi
    rm -f "$run/supervisor.pid" "$run/etcd.pid"
}

start() {
    [ -r "$run/launch" ] || fail "nothing to start here: $run/launch is missing"
    cat >"$run/supervise.sh.new"
    if same_process "$run/supervisor.pid"; then
        rm -f "$run/supervise.sh.new"
        return
    fi
    # One whose loop was killed runs on unwatched.
    if same_process "$run/etcd.pid"; then stop; fi
    mv -f "$run/supervise.sh.new" "$run/supervise.sh"
    rm -f "$run/exit" "$run/restarts" "$run/supervisor.pid" "$run/etcd.pid"
    # nohup and, where there is one, a session of its own: it must outlive the login that started it.
    detach=
    if command -v setsid >/dev/null; then detach=setsid; fi
    $detach nohup sh "$run/supervise.sh" "$run" </dev/null >/dev/null 2>"$run/supervisor.log" &
    tries=50
    until same_process "$run/supervisor.pid"; do
        if [ -e "$run/exit" ]; then return; fi
        if [ "$tries" -le 0 ]; then
            cat "$run/supervisor.log" >&2
            fail "the supervising loop does not start"
        fi
        tries=$((tries - 1))
        sleep 0.1
    done
}

case $verb in
start) start ;;
restart)
    stop
    start
    ;;
stop | disable) stop ;;
*) fail "unknown verb $verb" ;;
esac
echo "done"
