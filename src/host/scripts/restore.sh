# Turns a staged snapshot into the member's data, or removes what a restore worked with. Arguments: verb, then
#   data: manager unit run data wal(- for none) marker owner(- for whoever this runs as) work tool name cluster token url,
#         then further flags of the tool; the marker's text on standard input.
#   forget: work note.
verb=$1
shift

# own PATH: gives PATH and all below it to the owner of the member's data.
own() {
    if [ "$owner" != - ]; then chown -R -h "$owner:" "$1" || fail "cannot give $1 to $owner"; fi
}

data() {
    manager=$1 unit=$2 run=$3 data=$4 wal=$5 marker=$6 owner=$7 work=$8
    shift 8
    tool=$1 name=$2 cluster=$3 token=$4 url=$5
    shift 5
    refuse_in_use
    [ -f "$work/snapshot.db" ] || fail "the snapshot is not here: $work/snapshot.db is missing"
    [ ! -e "$data/member" ] || fail "$data still holds the data of a member"
    if [ "$wal" != - ]; then
        [ ! -e "$wal/wal" ] || fail "$wal still holds the log of a member"
        # etcd does not make the directory above.
        set -- "$@" --wal-dir "$wal/wal"
    fi
    rm -rf "$work/out" || fail "cannot remove $work/out"
    # An old etcdctl speaks version 2 where this says so, and a new one complains about it.
    unset ETCDCTL_API
    "$tool" snapshot restore "$work/snapshot.db" --data-dir "$work/out" --name "$name" \
        --initial-cluster "$cluster" --initial-cluster-token "$token" --initial-advertise-peer-urls "$url" "$@" \
        </dev/null >&2 || fail "${tool##*/} could not restore the snapshot"
    own "$work/out"
    if [ "$wal" != - ]; then own "$wal/wal"; fi
    sync "$work/out/member/snap/db" "$work/out/member" || fail "cannot write to disk"
    mv -fT "$work/out/member" "$data/member" || fail "cannot move the restored data to $data"
    # SELinux labels come from where files lie; without it there is nothing to do.
    if command -v restorecon >/dev/null; then restorecon -R "$data" || :; fi
    # The marker last: only with it do these data count as restored.
    rm -f "$work/marker"
    (set -C && cat >"$work/marker") || fail "cannot write $work/marker"
    chmod 644 "$work/marker"
    own "$work/marker"
    sync "$work/marker" "$data" || fail "cannot write to disk"
    mv -fT "$work/marker" "$data/$marker" || fail "cannot write $data/$marker"
    rm -rf "$work/out" "$work/snapshot.db" || fail "cannot remove $work/snapshot.db"
    sync "$data" || fail "cannot write to disk"
}

# forget WORK NOTE: the note last, because it keeps everybody else away.
forget() {
    rm -rf "$1" || fail "cannot remove $1"
    rmdir "${1%/*}" 2>/dev/null || :
    rm -f "$2" || fail "cannot remove $2"
    sync "${2%/*}" || fail "cannot write to disk"
}

case $verb in
data) data "$@" ;;
forget) forget "$@" ;;
*) fail "unknown verb $verb" ;;
esac
echo "done"
