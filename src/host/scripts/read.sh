# Gives out a file, read as whoever could exchange it for another. Argument: its path.
[ -f "$1" ] || fail "$1: No such file"
reader "$1"
apart_with "$keeper" cat "$1" </dev/null
