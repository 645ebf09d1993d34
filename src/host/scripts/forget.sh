# Removes the tool of a restore, and then its note, which keeps everybody else away. Arguments: directory of the tool, note.
rm -rf "$1" || fail "cannot remove $1"
rm -f "$2" || fail "cannot remove $2"
sync "${2%/*}" || fail "cannot write to disk"
echo "done"
