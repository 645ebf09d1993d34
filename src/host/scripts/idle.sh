# idle: fails unless the member's unit, or what supervises it, is stopped. Reads $manager, $unit and $run.
idle() {
    if [ "$manager" = systemd ]; then
        state=$(systemctl show -p ActiveState "$unit") || fail "systemd does not answer"
        case $state in
        ActiveState=inactive | ActiveState=failed) ;;
        *) fail "$unit is not stopped ($state)" ;;
        esac
    elif same_process "$run/supervisor.pid" || same_process "$run/etcd.pid"; then
        fail "etcd is not stopped (process ${saved%% *})"
    fi
}
