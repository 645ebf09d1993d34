# Writes quorate's marker into the data directory from standard input. Arguments: data marker.
data=$1 marker=$2
[ -d "$data" ] || fail "$data is missing"
staging=$data/.$marker.quorate-new
rm -rf "$staging"
(umask 022 && set -C && cat >"$staging") || fail "cannot write $data/$marker"
sync "$staging" || fail "cannot write to disk"
mv -fT "$staging" "$data/$marker" || fail "cannot write $data/$marker"
sync "$data" || fail "cannot write to disk"
echo "done"
