# Runs a private etcd on a copy of a stopped member's data, as a cluster of its own, for as long as standard input stays
# open. Arguments: manager unit run data wal(- for none) work, then the program and its flags.
manager=$1 unit=$2 run=$3 data=$4 wal=$5 work=$6
shift 6

refuse_in_use
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
