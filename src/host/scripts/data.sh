# Moves aside or wipes what is in the data directory. Arguments: verb manager unit run data wal(- for none) marker name.
verb=$1 manager=$2 unit=$3 run=$4 data=$5 wal=$6 marker=$7 name=$8

# aside_base DIR: sets $base to where its contents go: beside it, or inside where beside would be another file system.
aside_base() {
    base=$1.quorate-aside
    if [ -L "$1" ]; then base=$1/.quorate-aside; fi
    while read -r _ _ _ _ mounted _; do
        if [ "$mounted" = "$1" ]; then base=$1/.quorate-aside; fi
    done </proc/self/mountinfo
}

# each_entry DIR COMMAND...: for everything that is DIR's own content.
each_entry() {
    dir=$1
    shift
    set +f
    for entry in "$dir"/* "$dir"/.*; do
        case ${entry##*/} in . | .. | lost+found | .quorate-aside) continue ;; esac
        if [ -e "$entry" ] || [ -L "$entry" ]; then "$@" "$entry"; fi
    done
    set -f
}

move_aside() {
    mv -f "$1" "$target/" || fail "cannot move $1 to $target"
}

set_aside() {
    [ -d "$1" ] || return 0
    aside_base "$1"
    target=$base/$name
    owner=$(stat -L -c %u:%g "$1")
    mkdir -p "$target" || fail "cannot create $target"
    chown "$owner" "$base" "$target" || fail "cannot give $target to $owner"
    each_entry "$1" move_aside
    sync "$target" "$1" || :
    echo "aside $target"
}

# known ENTRY: only what etcd or quorate made may be deleted.
known() {
    case ${1##*/} in
    member | "$marker") [ "$kind" = data ] || fail "$1 is not etcd's: nothing was deleted" ;;
    *.wal | *.tmp | *.broken) [ "$kind" = wal ] || fail "$1 is not etcd's: nothing was deleted" ;;
    *) fail "$1 is not etcd's: nothing was deleted" ;;
    esac
}

remove() {
    rm -rf "$1" || fail "cannot remove $1"
}

refuse_in_use
case $verb in
set-aside)
    # The WAL last: as long as it is there, the directory counts as bootstrapped and nothing starts on the half of it.
    set_aside "$data"
    if [ "$wal" != - ]; then set_aside "$wal"; fi
    ;;
wipe)
    kind=data
    each_entry "$data" known
    kind=wal
    if [ "$wal" != - ]; then each_entry "$wal" known; fi
    each_entry "$data" remove
    if [ "$wal" != - ]; then each_entry "$wal" remove; fi
    ;;
*) fail "unknown verb $verb" ;;
esac
echo "done"
