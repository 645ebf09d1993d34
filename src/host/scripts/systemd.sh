# Starts and stops the member's unit. Arguments: verb unit seconds.
verb=$1 unit=$2 seconds=$3

show() {
    systemctl show -p "$1" "$unit" || fail "systemd does not answer"
}

# prove_stopped: a unit that is merely asked to stop has not stopped.
prove_stopped() {
    state=$(show ActiveState) main=$(show MainPID)
    case "$state $main" in
    "ActiveState=inactive MainPID=0" | "ActiveState=failed MainPID=0") ;;
    *) fail "$unit is still there after $seconds s ($state, $main)" ;;
    esac
}

# ready: systemd knows the unit file as it is, and holds no earlier failure against it. Sets $state.
# A run that was cut off between a new unit file and the reload must not start the old one.
ready() {
    state=$newline$(systemctl show -p NeedDaemonReload -p ActiveState -p SubState -p MainPID "$unit")$newline ||
        fail "systemd does not answer"
    case $state in
    *"${newline}NeedDaemonReload=yes$newline"*) systemctl daemon-reload || fail "systemd cannot reload its units" ;;
    esac
    case $state in
    *"${newline}ActiveState=inactive$newline"*) ;;
    *) systemctl reset-failed "$unit" 2>/dev/null || : ;;
    esac
}

# --no-block: etcd says that it is ready only when a quorum is there, which may need the next host to be started.
start() {
    ready
    # A unit that waits for its automatic restart (RestartSec) only queues a start until that wait is over, and looks
    # failed meanwhile; a restart begins at once (systemd.service(5), `Restart=`).
    how=start
    case $state in
    *"${newline}SubState=auto-restart"*) how=restart ;;
    esac
    systemctl "$how" --no-block "$unit" || fail "systemd refuses to start $unit"
}

# holds_files PID: whether it has any file open. What cannot be seen counts as open.
holds_files() {
    links=$(ls -l "/proc/$1/fd" 2>/dev/null | head -c 16777216)
    [ -n "$links" ] || return 0
    while read -r link; do
        case $link in
        *" -> /dev/null") ;;
        *" -> /"*) return 0 ;;
        esac
    done <<EOF
$links
EOF
    return 1
}

# Comes back when the old process is gone, so that nobody takes its last breath for the new one's first.
# etcd closes its log and its database within moments, then waits up to 6 s for connections on which its peers have not
# asked anything yet. SIGHUP ends that wait: nothing is left to lose, and to systemd it is a clean end (decision 17).
restart() {
    ready
    old=${state#*"${newline}MainPID="}
    old=${old%%"$newline"*}
    held=
    if [ "$old" != 0 ] && holds_files "$old"; then held=1; fi
    systemctl restart --no-block "$unit" || fail "systemd refuses to restart $unit"
    if [ "$old" = 0 ] || ! identify "$old"; then return; fi
    before=$identity
    tries=$((seconds * 50))
    while identify "$old" && [ "$identity" = "$before" ]; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || fail "the old process ($old) of $unit is still there after $seconds s"
        if [ "$held" ] && ! holds_files "$old"; then kill -HUP "$old" 2>/dev/null || :; fi
        sleep 0.02
    done
    # Joins the start that is under way (or waits for the next try, where it has failed): being told when etcd is ready
    # takes less of a busy host than being asked for it.
    timeout 3 systemctl start "$unit" 2>/dev/null || :
}

# stop COMMAND...
stop() {
    timeout "$seconds" systemctl "$@" "$unit" || [ "$(show LoadState)" = LoadState=not-found ] || prove_stopped
    prove_stopped
}

case $verb in
start) start ;;
restart) restart ;;
stop) stop stop ;;
disable) stop disable --now --quiet ;;
*) fail "unknown verb $verb" ;;
esac
echo "done"
