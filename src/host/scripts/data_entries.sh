# What is done with the entries of a member's directories, as the account that they belong to. Arguments: verb, then
#   move: directory target.  wipe: data wal(- for none) marker.
verb=$1
shift

# each_entry DIR COMMAND...: for everything that is DIR's own content.
each_entry() {
    dir=$1
    shift
    set +f
    for entry in "$dir"/* "$dir"/.*; do
        case ${entry##*/} in . | .. | lost+found | .quorate-aside* | .quorate-work) continue ;; esac
        if [ -e "$entry" ] || [ -L "$entry" ]; then "$@" "$entry"; fi
    done
    set -f
}

move_aside() {
    mv -f "$1" "$target/" || fail "cannot move $1 to $target"
}

move() {
    target=$2
    base=${target%/*}
    # A restore of an earlier version, cut off, leaves one of root's.
    case $base in
    "$1"/*) if [ -e "$base" ] && [ ! -w "$base" ]; then mv -T "$base" "$base-earlier" || fail "cannot move $base"; fi ;;
    esac
    mkdir -p "$target" || fail "cannot create $target"
    each_entry "$1" move_aside
    sync "$target" "$1" || :
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

wipe() {
    data=$1 marker=$3 logs=$2/wal
    kind=data
    each_entry "$data" known
    kind=wal
    if [ -d "$logs" ]; then each_entry "$logs" known; fi
    each_entry "$data" remove
    if [ -d "$logs" ]; then each_entry "$logs" remove; fi
}

case $verb in
move) move "$@" ;;
wipe) wipe "$@" ;;
*) fail "unknown verb $verb" ;;
esac
echo "done"
