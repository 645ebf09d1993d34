# Removes a note. Argument: its path.
rm -f "$1" || fail "cannot remove $1"
sync "${1%/*}" || fail "cannot write to disk"
echo "done"
