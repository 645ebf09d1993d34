# Gives out what a member goes through again when it starts: the names of its snapshots of the raft log in one line, those
# of the WAL's segments that follow the newest of them in another, and these segments, packed. Arguments: the directory of
# the WAL, that of the snapshots, how many segments are not too many.
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
echo "${needed# }"
cd "$wal"
# Each packed by itself: one that is being closed or opened may change its size meanwhile. Most of it is zeros.
for name in $needed; do
    gzip -1 -c <"$name"
done
