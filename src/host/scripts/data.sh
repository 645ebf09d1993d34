# Moves aside what is in the data directory. Arguments: manager unit run data wal(- for none) name script, where the script
# (data_entries.sh) does what is to be done inside, as the account that the data belong to.
manager=$1 unit=$2 run=$3 data=$4 wal=$5 name=$6 script=$7

# aside_base DIR: sets $base to where its contents go: beside it, or inside where beside would be another file system.
aside_base() {
    base=$1.quorate-aside
    if [ -L "$1" ]; then base=$1/.quorate-aside; fi
    while read -r _ _ _ _ mounted _; do
        if [ "$mounted" = "$1" ]; then base=$1/.quorate-aside; fi
    done </proc/self/mountinfo
}

# place DIR: makes a place for what is in DIR, beside it: in a directory of root's, one of DIR's account.
place() {
    [ ! -L "$base" ] || fail "$base is a link"
    if [ ! -d "$base" ]; then mkdir -m 0711 "$base" || fail "cannot create $base"; fi
    # Earlier versions gave it to the account.
    if [ "$me" = 0 ] && [ -n "$keeper" ]; then
        chown -h 0:0 "$base" && chmod 0711 "$base" || fail "cannot take $base over"
    fi
    if [ -d "$target" ] && [ ! -L "$target" ]; then return; fi
    mkdir -m 0700 "$target" || fail "cannot create $target"
    if [ -n "$keeper" ]; then chown -h "$keeper" "$target" || fail "cannot give $target to $keeper"; fi
}

set_aside() {
    [ -d "$1" ] || return 0
    aside_base "$1"
    belongs "$1"
    target=$base/$name
    case $base in
    "$1"/*) ;;
    *) place "$1" ;;
    esac
    apart "$keeper" sh -c "$script" quorate move "$1" "$target"
    echo "aside $target"
}

refuse_in_use
# The WAL last: as long as it is there, the directory counts as bootstrapped and nothing starts on the half of it.
set_aside "$data"
if [ "$wal" != - ]; then set_aside "$wal"; fi
echo "done"
