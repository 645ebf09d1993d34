# Turns a staged snapshot into the member's data, as the account that they belong to. Arguments: data wal(- for none) marker
# work tool name cluster token url, then further flags of the tool; the marker's text on standard input.
data=$1 wal=$2 marker=$3 work=$4
shift 4
tool=$1 name=$2 cluster=$3 token=$4 url=$5
shift 5
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
sync "$work/out/member/snap/db" "$work/out/member" || fail "cannot write to disk"
mv -fT "$work/out/member" "$data/member" || fail "cannot move the restored data to $data"
# The marker last: only with it do these data count as restored.
rm -rf "$work/marker"
(umask 022 && set -C && cat >"$work/marker") || fail "cannot write $work/marker"
sync "$work/marker" "$data" || fail "cannot write to disk"
mv -fT "$work/marker" "$data/$marker" || fail "cannot write $data/$marker"
rm -rf "$work/out" "$work/snapshot.db" || fail "cannot remove $work/snapshot.db"
sync "$data" || fail "cannot write to disk"
echo "done"
