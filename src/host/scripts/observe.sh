# Reads everything a plan needs, changes nothing. One `key value` per line; blocks end with a line of one dot.
# Arguments: manager unit data wal(- for none) bin run lock marker config look_inside.sh, then items:
#   h:PATH hash, c:PATH hash and content, o:PATH a directory that must be root's, u:NAME the member's account,
#   f:PATH what that account must come to,
#   p:PORT:HEX, d:PATH disk, r:VERSION release.
# Forks cost more than anything else here: what the shell can read by itself, it reads by itself.
echo "clock $(date +%s.%N)"
manager=$1 unit=$2 data=$3 wal=$4 bin=$5 run=$6 lock=$7 marker=$8 config=$9
shift 9
inside=$1
shift
roots= account= danger= footing=
files= contents=' ' ports= disks= releases=
for item; do
    value=${item#?:}
    case $item in
    h:*) files="$files $value" ;;
    c:*) files="$files $value" contents="$contents$value " ;;
    u:*) account=$value ;;
    o:*) roots="$roots $value" ;;
    f:*) footing="$footing $value" ;;
    p:*) ports="$ports $value" ;;
    d:*) disks="$disks $value" ;;
    r:*) releases="$releases $value" ;;
    esac
done

# system: the machine itself.
system() {
    for fact in hostname:/proc/sys/kernel/hostname machine_id:/etc/machine-id kernel:/proc/sys/kernel/osrelease \
        boot_id:/proc/sys/kernel/random/boot_id; do
        value=
        if [ -r "${fact#*:}" ]; then read -r value <"${fact#*:}" || :; fi
        echo "${fact%%:*} $value"
    done
    echo "machine $(uname -m)"
    echo "uid $(id -u)"
    for release in /etc/os-release /usr/lib/os-release; do
        [ -r "$release" ] || continue
        while IFS='=' read -r key value; do
            if [ "$key" = PRETTY_NAME ]; then echo "os $value"; fi
        done <"$release"
        break
    done
    while read -r key value _; do
        case $key in
        MemTotal:) echo "memory_kb $value" ;;
        SwapTotal:)
            echo "swap_kb $value"
            break
            ;;
        esac
    done </proc/meminfo
    libc=$(getconf GNU_LIBC_VERSION 2>/dev/null) || libc=
    case $libc in "glibc "*) echo "libc ${libc#glibc }" ;; esac
    # (`read` takes bytes one by one, which this file does not give.)
    for port in $ports; do
        [ "${port%%:*}" -lt 1024 ] || continue
        echo "unprivileged_port $(cat /proc/sys/net/ipv4/ip_unprivileged_port_start 2>/dev/null || :)"
    done
    if [ -d /run/systemd/system ]; then
        version=$(systemctl --version)
        echo "systemd ${version%%"$newline"*}"
    fi
    for tool in base64 cat chmod chown cp date dd df du env gzip head id ln ls mkdir mktemp mv nohup readlink realpath rm \
        rmdir sha256sum sleep stat sync tail timeout tr uname zstd; do
        command -v "$tool" >/dev/null || echo "missing $tool"
    done
}

# sort_files: sets $own to the files that lie in directories of root's alone, and $foreign to those that somebody else could
# exchange, as items for look_inside.sh.
sort_files() {
    own=$files foreign=
    [ "$me" = 0 ] && [ -n "$files" ] || return 0
    there=
    for path in $files; do
        if [ -e "$path" ]; then there="$there $path"; fi
    done
    own=$there
    [ -n "$there" ] || return 0
    # Where each of them leads.
    # (busybox readlink -f takes one name.)
    real=$(realpath $there) || fail "cannot look for the managed files"
    dirs= seen=' '
    for path in $there $real; do
        above=${path%/*}
        case $seen in *" $above "*) continue ;; esac
        seen="$seen$above "
        if [ -d "$above" ]; then dirs="$dirs $above"; fi
    done
    [ -n "$dirs" ] || return 0
    owners=$(stat -L -c '%u %n' $dirs) || fail "cannot look at$dirs"
    others=' '
    while read -r number above; do
        if [ "$number" != 0 ]; then others="$others$above "; fi
    done <<END
$owners
END
    [ "$others" != ' ' ] || return 0
    own=
    set -- $real
    for path in $there; do
        case $others in
        *" ${path%/*} "* | *" ${1%/*} "*)
            echo "apart $path"
            case $contents in *" $path "*) foreign="$foreign c:$path" ;; *) foreign="$foreign h:$path" ;; esac
            ;;
        *) own="$own $path" ;;
        esac
        shift
    done
}

# find_account: sets $accounts to the `UID:GID` of the member's account; empty where there is none yet.
accounts=
find_account() {
    [ -n "$account" ] || return 0
    accounts=$(id -u "$account" 2>/dev/null) || return 0
    accounts=$accounts:$(id -g "$account")
}

# closed: where the member's account could not come to what it needs, and names that are links. One that is not there yet is
# nobody in particular.
closed() {
    [ "$me" = 0 ] && [ "$manager" = systemd ] || return 0
    there=' /'
    for path in $footing; do
        if [ -L "$path" ]; then
            leads=$(readlink "$path") || fail "cannot read the link $path"
            case $leads in *[![:graph:]]*) leads='?' ;; esac
            echo "link $path $leads"
        fi
        way "$path"
        for above in $way; do
            # (That of the configuration is made anew with the mode that it must have.)
            case "$there " in *" $above "*) continue ;; esac
            if [ -d "$above" ] && [ "$above" != "${config%/*}" ]; then there="$there $above"; fi
        done
    done
    looked=$(stat -L -c '%a %n' $there) || fail "cannot look at$there"
    shut=' '
    while read -r mode above; do
        case $mode in *[1357]) continue ;; esac
        if [ -z "$accounts" ] || ! with_groups "$accounts" test -x "$above"; then shut="$shut$above "; fi
    done <<END
$looked
END
    [ "$shut" != ' ' ] || return 0
    for path in $footing; do
        way "$path"
        for above in $way; do
            case $shut in *" $above "*) echo "closed $above $path" ;; esac
        done
    done
}

# loose: what should be root's and is not, and where the member's account could exchange what leads to its data.
loose() {
    [ "$me" = 0 ] && [ "$manager" = systemd ] || return 0
    set --
    for path in $roots; do
        if [ -d "$path" ]; then set -- "$@" "$path"; fi
    done
    if [ "$#" -gt 0 ]; then
        owners=$(stat -L -c '%u %n' "$@") || fail "cannot look at $*"
        while read -r number path; do
            if [ "$number" != 0 ]; then echo "loose $path"; fi
        done <<END
$owners
END
    fi
    for path in "$data" "$wal" "$bin/x" "$config"; do
        [ "$path" != - ] || continue
        keeper "$path"
        if [ ! -d "$path" ]; then keeper=${accounts:-65534:65534}; fi
        exposed "$path" "$keeper"
        if [ -n "$exposed" ]; then
            case $path in "$bin/x") path=$bin ;; esac
            echo "exposed $exposed $path"
            case $path in "$data" | "$wal") danger=$keeper ;; esac
        fi
    done
}

# release_hashes: which releases are there, with the hashes of those asked for and of the one that runs.
release_hashes() {
    case ${exe-} in
    "$bin"/*/*)
        running=${exe#"$bin"/}
        releases="$releases ${running%%/*}"
        ;;
    esac
    wanted= binaries=
    set +f
    for dir in "$bin"/*; do
        if [ -d "$dir" ]; then echo "release ${dir##*/}"; fi
    done
    set -f
    for version in $releases; do
        case $wanted in *" $version "*) continue ;; esac
        wanted="$wanted $version "
        for name in etcd etcdctl etcdutl; do
            if [ -f "$bin/$version/$name" ]; then binaries="$binaries $bin/$version/$name"; fi
        done
    done
    [ -n "$binaries" ] || return 0
    # Hashing takes 0.1 s or more for each: what push.sh verified and nobody has touched since is not hashed again.
    now=$newline$(stat -c '%i %s %z %n' $binaries)$newline
    known=' ' unknown=
    for version in $wanted; do
        [ -r "$bin/$version/.checked" ] || continue
        while read -r hash file; do
            case $now in
            *"$newline$file$newline"*)
                echo "$hash  ${file##* }"
                known="$known${file##* } "
                ;;
            esac
        done <"$bin/$version/.checked"
    done
    for binary in $binaries; do
        case $known in *" $binary "*) ;; *) unknown="$unknown $binary" ;; esac
    done
    if [ -n "$unknown" ]; then sha256sum $unknown || :; fi
}

# nearest PATH: sets $nearest to PATH or the closest directory above it that exists.
nearest() {
    nearest=$1
    while [ ! -e "$nearest" ] && [ -n "$nearest" ]; do nearest=${nearest%/*}; done
    nearest=${nearest:-/}
}

# where_programs_run: says which mount keeps the programs from running, where one does. (Of several at one place the last holds.)
where_programs_run() {
    nearest "$bin"
    place=$(cd -P "$nearest" 2>/dev/null && pwd -P) || return 0
    mount= rules=
    while read -r _ at _ options _; do
        case $place/ in
        "${at%/}"/*) if [ "${#at}" -ge "${#mount}" ]; then mount=$at rules=$options; fi ;;
        esac
    done </proc/self/mounts
    case ,$rules, in *,noexec,*) echo "noexec $mount" ;; esac
}

disk_space() {
    [ -n "$disks" ] || return 0
    existing=
    for path in $disks; do
        nearest "$path"
        existing="$existing $nearest"
        writable=0
        if [ -w "$nearest" ]; then writable=1; fi
        echo "disk $writable $path"
    done
    # One line per path in the same order, after the heading.
    echo df
    df -P -k -T $existing || fail "cannot read free disk space"
    echo .
    echo inodes
    df -P -i $existing 2>/dev/null || :
    echo .
}

# owner_of INODE: sets $owner to "name (pid N)" of the process that has that socket open, and $holder to its number.
owner_of() {
    owner='?' name= holder= process=
    set +f
    opened=$(ls -l /proc/[0-9]*/fd 2>/dev/null | head -c 67108864 || :)
    set -f
    IFS=$newline
    for line in $opened; do
        case $line in
        /proc/*:) process=${line#/proc/} process=${process%%/*} ;;
        *" -> socket:[$1]")
            holder=$process
            break
            ;;
        esac
    done
    unset IFS
    [ -n "$holder" ] || return 0
    { read -r name <"/proc/$holder/comm"; } 2>/dev/null || :
    owner="$name (pid $holder)"
}

# is_member PID: whether that is the member's process now. Its manager may have started it while this script looked.
is_member() {
    if [ "$manager" = systemd ]; then
        [ "$(systemctl show -p MainPID "$unit" 2>/dev/null || :)" = "MainPID=$1" ]
    else
        same_process "$run/etcd.pid" && [ "${saved%% *}" = "$1" ]
    fi
}

# listeners: who listens on the ports asked about. The kernel lists listening sockets (0A) first.
listeners() {
    [ -n "$ports" ] || return 0
    owned=
    # etcd opens its listeners early: they are among its first hundred descriptors.
    set +f
    if [ "$pid" != 0 ]; then
        owned=$(ls -l "/proc/$pid/fd/"[0-9] "/proc/$pid/fd/"[0-9][0-9] 2>/dev/null || :)
    fi
    set -f
    for table in /proc/net/tcp /proc/net/tcp6; do
        [ -r "$table" ] || continue
        while read -r slot local _ state _ _ _ _ _ inode _; do
            [ "$slot" != sl ] || continue
            [ "$state" = 0A ] || break
            for port in $ports; do
                [ "${port#*:}" = "${local##*:}" ] || continue
                case $owned in
                *"socket:[$inode]"*) echo "listen ${port%%:*} ${local%%:*} ours" ;;
                *)
                    owner_of "$inode"
                    if [ "$owner" != '?' ] && is_member "$holder"; then
                        echo "listen ${port%%:*} ${local%%:*} ours"
                    else
                        echo "listen ${port%%:*} ${local%%:*} other $owner"
                    fi
                    ;;
                esac
            done
        done <"$table"
    done
}

other_etcd() {
    set +f
    for process in /proc/[0-9]*; do
        name=
        { read -r name <"$process/comm"; } 2>/dev/null || continue
        if [ "$name" = etcd ] && [ "${process#/proc/}" != "$pid" ]; then
            echo "etcd ${process#/proc/} $(head -c 65536 "$process/cmdline" 2>/dev/null | tr '\000\n' '  ' || :)"
        fi
    done
    set -f
}

# member_units: what quorate has written for members, and systemd starts at boot.
member_units() {
    set +f
    for file in /etc/systemd/system/*.service; do
        name=${file##*/}
        [ -f "$file" ] && [ -e "/etc/systemd/system/multi-user.target.wants/$name" ] || continue
        line=
        read -r line <"$file" || :
        case $line in '# Written by quorate for member '*) echo "unit $name $line" ;; esac
    done
    set -f
}

lock_holder() {
    set +f
    for dir in "$lock"/*; do
        [ -r "$dir/holder.json" ] || continue
        alive=0 json=
        if same_process "$dir/pid"; then alive=1; fi
        read -r json <"$dir/holder.json" || :
        echo "lock $alive $json"
    done
    set -f
}

system
service_facts
sort_files
managed_files $own
find_account
loose
closed
release_hashes
where_programs_run
disk_space
listeners
other_etcd
member_units
look_inside $foreign
lock_holder
echo "clock_end $(date +%s.%N)"
echo "done"
