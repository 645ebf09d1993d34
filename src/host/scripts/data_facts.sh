# data_directory: what is in it; see DataState. What cannot be read must not pass for empty. Reads $data, $wal,
# $marker, $config and $pid. Runs as the account that the data belong to.
data_directory() {
    member=0 foreign=0 wal_files=0
    # etcd makes its wal-dir by renaming a sibling, so it gets a directory below the given one (paths.wal).
    logs=$wal/wal
    if [ "$wal" = - ]; then logs=$data/member/wal; fi
    for dir in "$data" "$data/member" "$logs"; do
        if [ -d "$dir" ] && { [ ! -r "$dir" ] || [ ! -x "$dir" ]; }; then fail "cannot look into $dir"; fi
    done
    set +f
    if [ -e "$data" ] && [ ! -d "$data" ]; then foreign=1; fi
    for entry in "$data"/* "$data"/.*; do
        if [ ! -e "$entry" ] && [ ! -L "$entry" ]; then continue; fi
        case ${entry##*/} in
        . | .. | lost+found | .quorate-aside* | .quorate-work | .quorate-gauge | "$marker" | ".$marker".*quorate-new) ;;
        member) member=1 ;;
        *) foreign=1 ;;
        esac
    done
    for entry in "$logs"/*.wal; do
        if [ -e "$entry" ]; then wal_files=1; fi
    done
    echo "data $member $foreign $wal_files"
    for dir in "$data.quorate-aside" "$data/.quorate-aside"; do
        # A link leads to what is somebody else's, and was never moved aside.
        if [ -L "$dir" ]; then continue; fi
        for entry in "$dir"/*; do
            if [ -d "$entry" ] && [ ! -L "$entry" ]; then echo "aside $entry"; fi
        done
    done
    set -f
    held_elsewhere
    if [ "$wal_files" = 0 ]; then
        named_elsewhere
        unmounted
    fi
    if [ -f "$data/member/snap/db" ]; then echo "db_bytes $(stat -c %s "$data/member/snap/db")"; fi
    measured=
    if [ -d "$data/member" ]; then measured=$data/member; fi
    if [ "$wal" != - ] && [ -d "$wal" ]; then measured="$measured $wal"; fi
    if [ -n "$measured" ]; then
        # etcd removes files while this looks; what du could still count is good enough.
        used=$(du -s -k $measured 2>/dev/null || :)
        IFS=$newline
        for line in $used; do echo "used_kb $line"; done
        unset IFS
    fi
    if { [ -e "$data/$marker" ] || [ -L "$data/$marker" ]; } && [ ! -f "$data/$marker" ]; then
        fail "$data/$marker is not a file"
    fi
    if [ -f "$data/$marker" ]; then
        [ "$(stat -L -c %s "$data/$marker")" -le 65536 ] || fail "$data/$marker has more than 64 KiB, which is the limit"
        echo marker
        head -c 65536 "$data/$marker" | base64
        echo .
    fi
}

# held_elsewhere: says where the process has its data, when that is not where they are looked for. Sets $held.
held_elsewhere() {
    held=
    [ "$pid" != 0 ] || return 0
    # The database is among its first hundred descriptors.
    set +f
    opened=$(ls -l "/proc/$pid/fd/"[0-9] "/proc/$pid/fd/"[0-9][0-9] 2>/dev/null || :)
    set -f
    IFS=$newline
    for line in $opened; do
        file=${line#* -> }
        case $file in
        */member/snap/db)
            if [ ! "$file" -ef "$data/member/snap/db" ]; then
                held=1
                echo "data_elsewhere ${file%/member/snap/db}"
            fi
            ;;
        *.wal)
            if [ ! "$file" -ef "$logs/${file##*/}" ]; then
                held=1
                echo "log_elsewhere ${file%/*}"
            fi
            ;;
        esac
    done
    unset IFS
}

# named_elsewhere: the same of what the configuration on the host names, as far as there is something.
named_elsewhere() {
    if [ -n "$held" ] || [ ! -r "$config" ]; then return 0; fi
    named= named_log=
    while read -r key value; do
        value=${value#\"}
        value=${value%\"}
        case $key in
        data-dir:) named=$value ;;
        wal-dir:) named_log=$value ;;
        esac
    done <"$config"
    [ -n "$named" ] || return 0
    named_log=${named_log:-$named/member/wal}
    if [ "$named" != "$data" ] && [ -d "$named/member" ]; then echo "data_elsewhere $named"; fi
    if [ "$named_log" != "$logs" ]; then
        set +f
        for entry in "$named_log"/*.wal; do
            if [ -e "$entry" ]; then
                echo "log_elsewhere $named_log"
                break
            fi
        done
        set -f
    fi
}

# unmounted: places above the data that /etc/fstab has a disk for, which is not there.
unmounted() {
    [ -r /etc/fstab ] || return 0
    while read -r disk point _; do
        case $disk in '' | '#'*) continue ;; esac
        case $data/ in
        "${point%/}"/*) ;;
        *) case $logs/ in "${point%/}"/*) ;; *) continue ;; esac ;;
        esac
        there=0
        while read -r _ mounted _; do
            if [ "$mounted" = "$point" ]; then there=1; fi
        done </proc/self/mounts
        if [ "$there" = 0 ]; then echo "unmounted $point"; fi
    done </etc/fstab
}
