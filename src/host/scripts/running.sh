# What runs as etcd on this host, whoever started it: from the processes themselves, not from files that may have changed
# since. Changes nothing. One `key PID value` per line; values that may hold anything are base64.
#   host NAME                    what the host calls itself
#   etcd PID UID USER STARTED    a process called etcd, and when it started (clock ticks since boot)
#   arguments|environment|unit|groups PID BASE64
#   opened PID PATH              its database, and its write-ahead log
#   owner PID USER               whom the directory of its database belongs to
#   other PID NAME               what has an etcd inside that is its own

# packed KEY PID: standard input as one line.
packed() {
    printf '%s %s ' "$1" "$2"
    head -c 262144 | base64 | tr -d '\n'
    echo
}

# its_environment PID: what etcd would take options from; never a password.
its_environment() {
    IFS=$newline
    for line in $(tr '\000' '\n' <"/proc/$1/environ" 2>/dev/null || :); do
        case $line in
        *PASSWORD*=*) ;;
        ETCD_*=*) echo "$line" ;;
        esac
    done
    unset IFS
}

# its_files PID: where the database and the log really are.
its_files() {
    told=
    set +f
    for link in "/proc/$1/fd"/*; do
        target=$(readlink "$link" 2>/dev/null) || continue
        case $target in
        *"$newline"*) ;;
        */member/snap/db)
            echo "opened $1 $target"
            if [ -z "$told" ]; then
                told=1
                echo "owner $1 $(stat -c %U "${target%/member/snap/db}")"
            fi
            ;;
        */*.wal) echo "opened $1 $target" ;;
        esac
    done
    set -f
}

its_unit() {
    systemctl show -p Id -p LoadState -p FragmentPath -p DropInPaths -p ExecStartPre -p ExecStart -p User -p EnvironmentFiles -p NeedDaemonReload \
        "$1" || :
}

one_etcd() {
    identify "$1" || return 0
    started=${identity#* }
    echo "etcd $1 $(stat -c '%u %U' "/proc/$1") ${started%% *}"
    packed arguments "$1" <"/proc/$1/cmdline"
    its_environment "$1" | packed environment "$1"
    packed groups "$1" <"/proc/$1/cgroup"
    unit=
    while IFS=: read -r _ _ group; do
        case $group in */*.service) unit=${group##*/} ;; esac
    done <"/proc/$1/cgroup"
    if [ -n "$unit" ] && [ -d /run/systemd/system ]; then its_unit "$unit" | packed unit "$1"; fi
    its_files "$1"
}

host=
{ read -r host </proc/sys/kernel/hostname; } 2>/dev/null || :
echo "host $host"
set +f
for process in /proc/[0-9]*; do
    set -f
    pid=${process#/proc/} comm=
    { read -r comm <"$process/comm"; } 2>/dev/null || continue
    case $comm in
    etcd) one_etcd "$pid" ;;
    k3s | k3s-server | rke2 | k0s | pd-server | kine) echo "other $pid $comm" ;;
    esac
done
set -f
echo "done"
