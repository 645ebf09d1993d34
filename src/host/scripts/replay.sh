# Gives out what a member goes through again when it starts: the names of its snapshots of the raft log in one line, the
# segments of the WAL that follow the newest of them ("NAME SIZE ..."), how they are packed, their bytes one after the
# other. Arguments: the directory of the WAL, that of the snapshots, how many segments are not too many.
wal=$1 snap=$2 most=$3
[ -d "$snap" ] || fail "there is no $snap"
set +f
# Terms rise with the entries, and names are of one width: the last one is the newest.
snaps= newest=
for file in "$snap"/*.snap; do
    if [ -f "$file" ]; then newest=${file##*/} snaps="$snaps ${file##*/}"; fi
done
newest=${newest#*-}
newest=${newest%.snap}
# The last segment that begins no later than the entry after that snapshot, and all that follow it.
needed= count=0
for file in "$wal"/*.wal; do
    [ -f "$file" ] || continue
    name=${file##*/}
    first=${name#*-}
    first=${first%.wal}
    if [ "$((0x$first))" -le "$((0x${newest:-0} + 1))" ]; then needed= count=0; fi
    needed="$needed $name" count=$((count + 1))
done
set -f
[ -n "$needed" ] || fail "there is no WAL in $wal"
echo "${snaps# }"
if [ "$count" -gt "$most" ]; then
    echo "$count segments"
    exit 0
fi
cd "$wal"
sizes=
for name in $needed; do
    size=$(wc -c <"$name")
    sizes="$sizes $name $((size))"
done
echo "${sizes# }"
# One that is being written grows no more than it was: what was measured is what is sent.
give() {
    set -- $sizes
    while [ $# -gt 0 ]; do
        head -c "$2" "$1"
        shift 2
    done
}
# Most of a segment is zeros that were put there ahead of time.
if command -v gzip >/dev/null; then
    echo gzip
    give | gzip -1 -c
else
    echo plain
    give
fi
