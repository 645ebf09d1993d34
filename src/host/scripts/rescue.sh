# Runs a private etcd on a copy of a stopped member's data, as a cluster of its own and as the account that the data belong to,
# for as long as standard input stays open. Arguments: data wal(- for none) work, then the program and its flags.
data=$1 wal=$2 work=$3
shift 3

rm -rf "$work" || fail "cannot remove $work"
mkdir -p "$work/data" || fail "cannot create $work"
copy() {
    cp -a --reflink=auto "$1" "$2" 2>/dev/null || { rm -rf "$2"; cp -a "$1" "$2"; } || fail "cannot copy $1 to $2"
}
copy "$data/member" "$work/data/member"
if [ "$wal" != - ]; then
    copy "$wal/wal" "$work/wal"
    set -- "$@" --wal-dir "$work/wal"
fi
"$@" --data-dir "$work/data" >"$work/log" 2>&1 </dev/null &
etcd=$!
# The input ends when the operator's program does, however that comes about.
exec 3<&0
(
    cat <&3 >/dev/null
    : >"$work/enough"
    kill -9 "$etcd"
) >/dev/null 2>&1 &
watcher=$!
echo started
wait "$etcd" || :
if [ ! -e "$work/enough" ]; then
    kill "$watcher" 2>/dev/null || :
    tail -n 5 "$work/log" >&2
    rm -rf "$work"
    fail "a private etcd does not start on a copy of the data"
fi
rm -rf "$work"
echo "done"
