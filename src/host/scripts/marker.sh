# Writes quorate's marker into the data directory from standard input. Arguments: data marker.
data=$1 marker=$2
[ -d "$data" ] || fail "$data is missing"
staging=$data/.$marker.quorate-new
rm -f "$staging"
(set -C && cat >"$staging") || fail "cannot write $data/$marker"
chown -h "$(stat -L -c %u:%g "$data")" "$staging" || fail "cannot give $data/$marker to the owner of $data"
sync "$staging" || fail "cannot write to disk"
mv -fT "$staging" "$data/$marker" || fail "cannot write $data/$marker"
echo "done"
