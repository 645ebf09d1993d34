# service_facts: prints what is known of the member's process and sets $pid (0: none).
# Reads $manager, $unit, $run and $bin. The unit's block of `show` comes first, then the time services (for observe).
service_facts() {
    pid=0
    if [ "$manager" = systemd ]; then
        systemd_facts
    else
        process_facts
    fi
    if [ "$pid" != 0 ]; then
        echo "pid $pid"
        exe=$(readlink "/proc/$pid/exe" || :)
        case $exe in *"$newline"*) exe='?' ;; esac
        echo "exe $exe"
        ignored_environment
    fi
    started
    read -r uptime _ </proc/uptime
    echo "uptime $uptime"
}

# started: what the process was started with. Its own account writes that down.
started() {
    [ -f "$run/started" ] || return 0
    keeper "$run"
    hear "reading $run/started" 10 65536 "$keeper" head -c 65536 "$run/started"
    [ "$status" = 0 ] || fail "cannot read $run/started"
    while read -r sum path; do
        echo "started $sum $path"
    done <<END
$said
END
}

# ignored_environment: names (never values) of variables that would be options, had etcd not been given a config file.
ignored_environment() {
    IFS=$newline
    for line in $(head -c 1048576 "/proc/$pid/environ" 2>/dev/null | tr '\000' '\n' || :); do
        case $line in
        ETCD_UNSUPPORTED_ARCH=*) ;;
        ETCD_*=*) echo "ignored ${line%%=*}" ;;
        esac
    done
    unset IFS
}

systemd_facts() {
    [ -d /run/systemd/system ] || return 0
    shown=$(systemctl show -p Id -p LoadState -p ActiveState -p SubState -p Result -p UnitFileState -p NeedDaemonReload \
        -p MainPID -p NRestarts -p ActiveEnterTimestampMonotonic -p ExecMainExitTimestampMonotonic -p ExecMainCode \
        -p ExecMainStatus -p DropInPaths "$unit" chronyd.service chrony.service systemd-timesyncd.service ntpd.service ntp.service \
        ntpsec.service openntpd.service) || fail "systemd does not answer"
    printf 'show\n%s\n.\n' "$shown"
    IFS=$newline
    for line in $shown; do
        case $line in
        MainPID=*)
            pid=${line#MainPID=}
            break
            ;;
        esac
    done
    unset IFS
}

process_facts() {
    [ -e "$run/launch" ] || return 0
    supervised=0 since=0 restarts=0 last=
    if same_process "$run/supervisor.pid"; then supervised=1; fi
    if same_process "$run/etcd.pid"; then
        set -- $saved
        pid=$1 since=$2
    fi
    if [ -e "$run/restarts" ]; then read -r restarts <"$run/restarts" || :; fi
    if [ -e "$run/exit" ]; then read -r last <"$run/exit" || :; fi
    echo "process $supervised $since $restarts"
    echo "exit $last"
}
