# data_directory: what is in it; see DataState. What cannot be read must not pass for empty. Reads $data, $wal and $marker.
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
        . | .. | lost+found | .quorate-aside | .quorate-gauge | "$marker" | ".$marker".*.quorate-new) ;;
        member) member=1 ;;
        *) foreign=1 ;;
        esac
    done
    for entry in "$logs"/*.wal; do
        if [ -e "$entry" ]; then wal_files=1; fi
    done
    echo "data $member $foreign $wal_files"
    for entry in "$data.quorate-aside"/* "$data/.quorate-aside"/*; do
        if [ -e "$entry" ]; then echo "aside $entry"; fi
    done
    set -f
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
    if [ -f "$data/$marker" ]; then
        echo marker
        base64 "$data/$marker"
        echo .
    fi
}
