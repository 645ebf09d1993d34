# One host: an overlay over the base system, booted by systemd-nspawn in a cgroup and a network namespace of its own.
# Sourced by lab/lab.
# shellcheck shell=bash

# cgroup_top: the unified hierarchy, also where it is only mounted beside the old ones.
cgroup_top() {
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        echo /sys/fs/cgroup
    elif [ -e /sys/fs/cgroup/unified/cgroup.procs ]; then
        echo /sys/fs/cgroup/unified
    else
        mkdir -p /sys/fs/cgroup/unified
        mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified || die "no cgroup v2 here, and it cannot be mounted"
        echo /sys/fs/cgroup/unified
    fi
}
lab_cgroup() { echo "$(cgroup_top)/quorate-lab/$LAB"; }
host_cgroup() { echo "$(lab_cgroup)/$1"; }

# host_running HOST: whether anything of it still lives.
host_running() {
    [ "$(sed -n 's/^populated //p' "$(host_cgroup "$1")/cgroup.events" 2>/dev/null)" = 1 ]
}

# host_init HOST: the pid, as seen from here, of the host's pid 1.
host_init() {
    pgrep -P "$(cat "$STATE/$1/nspawn.pid")" | head -n 1 | grep . || die "$1 is not running (lab boot $1)"
}

# host_make HOST NUMBER SUBNET BASE: its disk, its cable, its name, its ssh keys.
host_make() {
    local host=$1 address=10.77.$3.$2 disk=$DATA/$1 root=$DATA/$1/root
    mkdir -p "$STATE/$host" "$disk/upper" "$disk/work" "$root"
    echo "$address" >"$STATE/$host/address"
    mount -t overlay -o "lowerdir=$4,upperdir=$disk/upper,workdir=$disk/work" "ql-$LAB-$host" "$root" ||
        die "cannot mount an overlay below $DATA (is it itself on an overlay? set QUORATE_LAB_DATA to a directory on a disk)"
    echo "$host" >"$root/etc/hostname"
    cp "$STATE/hosts" "$root/etc/hosts"
    : >"$root/etc/resolv.conf"
    ssh-keygen -q -t ed25519 -N '' -C "root@$host" -f "$root/etc/ssh/ssh_host_ed25519_key"
    ssh-keygen -q -t ecdsa -N '' -C "root@$host" -f "$root/etc/ssh/ssh_host_ecdsa_key"
    sed "s/^/$host,$address /" "$root"/etc/ssh/ssh_host_*_key.pub >"$STATE/$host/known_hosts"
    local home owner
    for home in root home/ops home/opspw home/nosudo; do
        owner=$(stat -c %u:%g "$root/$home")
        install -d -m 700 -o "${owner%:*}" -g "${owner#*:}" "$root/$home/.ssh"
        install -m 600 -o "${owner%:*}" -g "${owner#*:}" "$STATE/key.pub" "$root/$home/.ssh/authorized_keys"
    done
    net_attach "$host" "$2" "$3"
}

# host_boot HOST: powers it on; returns at once (see host_wait).
host_boot() {
    local host=$1 cgroup users=()
    cgroup=$(host_cgroup "$host")
    if host_running "$host"; then say "$host is running already"; return; fi
    mkdir -p "$cgroup"
    net_mend "$host"
    # A list of emulators goes with a user namespace, and to that one the host's network is somebody else's: it could not open port 22.
    if [ -e "$DATA/$host/root/etc/emulators" ]; then
        unshare --user --map-root-user --mount mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc ||
            die "this kernel has one list of emulators for all (6.7 has one for each user namespace): no host of another architecture"
        users=(--private-users=identity)
        ip netns exec "$(port_ns "$host")" sysctl -qw net.ipv4.ip_unprivileged_port_start=0
    fi
    # The namespace is entered before nspawn starts: with its own --network-namespace-path, /sys/class/net in the host
    # would show this machine's interfaces. Every descriptor goes to the log, or the caller's pipes would stay open.
    # Journals are not linked: nothing of a host's belongs in this machine's /var/log, and a machine that is a container
    # itself may have no id to link by.
    (
        echo "$BASHPID" >"$cgroup/cgroup.procs"
        exec setsid nsenter --net="/run/netns/$(port_ns "$host")" \
            env SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 systemd-nspawn -q -D "$DATA/$host/root" --machine="$LAB-$host" \
            --register=no --keep-unit --link-journal=no --resolv-conf=off --timezone=off \
            --capability=CAP_NET_ADMIN "${users[@]}" -b
    ) </dev/null >>"$STATE/$host/console.log" 2>&1 9>&- &
    echo $! >"$STATE/$host/nspawn.pid"
    disown
}

# host_wait HOST: until its sshd shows a banner.
host_wait() {
    # shellcheck disable=SC2016 # expanded by the inner shell
    if ! ip netns exec "$(port_ns operator)" timeout "${LAB_BOOT_TIMEOUT:-90}" bash -c '
        until { exec 3<>"/dev/tcp/$1/22" && read -r -t 2 banner <&3 && [[ $banner == SSH-* ]]; } 2>/dev/null; do
            sleep 0.1
        done' wait "$(cat "$STATE/$1/address")"; then
        tail -n 20 "$STATE/$1/console.log" >&2
        die "$1 did not come up (whole log: $STATE/$1/console.log)"
    fi
}

# host_kill HOST: ends every process of it at once, and waits until they are gone.
host_kill() {
    local cgroup
    cgroup=$(host_cgroup "$1")
    [ -d "$cgroup" ] || return 0
    # With its pid 1 every process of the host dies, and nspawn tidies up after itself; what is still there after that
    # (an nspawn killed in the middle of its start) goes with the cgroup.
    pkill -KILL -P "$(cat "$STATE/$1/nspawn.pid")" 2>/dev/null || true
    echo 0 >"$cgroup/cgroup.freeze"
    for _ in $(seq 50); do
        host_running "$1" || break
        sleep 0.02
    done
    echo 1 >"$cgroup/cgroup.kill"
    while host_running "$1"; do sleep 0.02; done
    host_unlimit "$1"
    find "$cgroup" -depth -type d -exec rmdir {} +
    rm -rf "/run/systemd/nspawn/propagate/$LAB-$1"
}

# host_crash HOST: the power goes. The cable goes first: a dead machine sends no FIN to those it talked to.
host_crash() {
    net_cut "$1"
    host_kill "$1"
}

# host_stop HOST: an orderly shutdown (SIGRTMIN+4 is systemd's poweroff).
host_stop() {
    kill -s RTMIN+4 "$(host_init "$1")"
    local tries=600
    while host_running "$1"; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || die "$1 does not shut down"
        sleep 0.1
    done
    host_kill "$1"
}

# host_freeze HOST 1|0: all its processes stop (1) or go on (0); its kernel still answers for open connections.
host_freeze() {
    local cgroup
    cgroup=$(host_cgroup "$1")
    echo "$2" >"$cgroup/cgroup.freeze"
    until grep -qx "frozen $2" "$cgroup/cgroup.events"; do sleep 0.02; done
}

# limit_group CONTROLLER HOST: the group of a host's etcd in one of the old hierarchies. (The hosts' own systemd has the unified
# one without controllers: a machine that has the old ones mounted keeps them there.)
limit_group() { echo "/sys/fs/cgroup/$1/quorate-lab-$LAB-$2"; }

# host_limit HOST cpu PERCENT | HOST disk WRITES | HOST off: holds back the processes of its etcd.service that run now.
host_limit() {
    local group pid unit device
    unit=$(find "$(host_cgroup "$1")" -type d -name etcd.service)
    case $2 in
    off)
        host_unlimit "$1"
        return
        ;;
    cpu)
        group=$(limit_group cpu "$1")
        mkdir "$group" || die "no cgroup v1 with the controller cpu on this machine"
        # The least quota there is, so that the periods are short: a member that is always starved, and never dead for long.
        echo "$((100000 / $3))" >"$group/cpu.cfs_period_us"
        echo 1000 >"$group/cpu.cfs_quota_us"
        ;;
    disk)
        group=$(limit_group blkio "$1")
        mkdir "$group" || die "no cgroup v1 with the controller blkio on this machine"
        device=$(findmnt --noheadings --output MAJ:MIN --target "$DATA" | tr -d ' ')
        echo "$device $3" >"$group/blkio.throttle.write_iops_device"
        ;;
    *) die "limit: cpu, disk or off" ;;
    esac
    while read -r pid; do echo "$pid" >"$group/cgroup.procs"; done <"$unit/cgroup.procs"
}

# host_unlimit HOST: lifts every limit.
host_unlimit() {
    local controller group pid
    for controller in cpu blkio; do
        group=$(limit_group "$controller" "$1")
        [ -d "$group" ] || continue
        while read -r pid; do
            echo "$pid" >"/sys/fs/cgroup/$controller/cgroup.procs" 2>/dev/null || true
        done <"$group/cgroup.procs"
        rmdir "$group"
    done
}

# host_exec HOST COMMAND...: inside the host, past its sshd: also works when it is cut off.
host_exec() {
    local init
    init=$(host_init "$1")
    shift
    nsenter --target "$init" --all --root --wdns=/root -- env -i HOME=/root TERM="${TERM:-dumb}" LANG=C.UTF-8 \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

# host_clock HOST SECONDS: what `date` says there is so far off; 0 puts it right. No kernel can give one container a
# real-time clock of its own, so this changes that one program, not the clock that etcd or sshd see.
host_clock() {
    local root=$DATA/$1/root
    [ -e "$root/usr/bin/date.real" ] || cp -p "$root/usr/bin/date" "$root/usr/bin/date.real"
    rm -f "$root/usr/bin/date"
    if [ "$2" -eq 0 ]; then
        mv "$root/usr/bin/date.real" "$root/usr/bin/date"
        return
    fi
    cat >"$root/usr/bin/date" <<DATE
#!/bin/sh
# The lab's wrong clock (lab clock): "now" is $2 seconds off; asking for any other time is left alone.
for argument; do
    case \$argument in -d* | --date* | -f* | --file* | -r* | --reference* | -s* | --set*) exec date.real "\$@" ;; esac
done
exec date.real --date='$2 seconds' "\$@"
DATE
    chmod 755 "$root/usr/bin/date"
}

# host_remove HOST: nothing of it stays.
host_remove() {
    host_kill "$1"
    if mountpoint -q "$DATA/$1/root"; then umount "$DATA/$1/root" || umount -l "$DATA/$1/root"; fi
    rm -rf "${DATA:?}/${1:?}"
}
