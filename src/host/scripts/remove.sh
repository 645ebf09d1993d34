# Removes what a command worked with, as the account that it belongs to. Argument: a directory.
rm -rf "$1" || fail "cannot remove $1"
echo "done"
