# Keeps files in a directory of this host. Arguments: verb directory, then
#   put: name sha256; the file on standard input.  list.  begins: name bytes.  get: name.  delete: name.
verb=$1 dir=$2
case $verb in
put)
    name=$3 sum=$4
    mkdir -p "$dir" || fail "cannot create $dir"
    if [ -e "$dir/$name" ]; then
        cat >/dev/null
        echo exists
        exit 0
    fi
    part=$dir/.$name.$$.part
    trap 'rm -f "$part"' EXIT
    (set -C && cat >"$part") || fail "cannot write $part"
    found=$(sha256sum "$part") || fail "cannot read $part"
    [ "${found%% *}" = "$sum" ] || fail "what arrived is not what was sent"
    sync "$part" || fail "cannot write to disk"
    # A link refuses a name that is taken meanwhile.
    ln "$part" "$dir/$name" || fail "cannot name it $dir/$name"
    rm -f "$part"
    sync "$dir" || fail "cannot write to disk"
    echo "done"
    ;;
list)
    [ -d "$dir" ] || exit 0
    set +f
    for file in "$dir"/*.qbackup; do
        if [ -f "$file" ]; then echo "$(stat -L -c %s "$file") ${file##*/}"; fi
    done
    ;;
begins)
    [ -f "$dir/$3" ] || fail "there is no $dir/$3"
    exec head -c "$4" "$dir/$3"
    ;;
get)
    [ -f "$dir/$3" ] || fail "there is no $dir/$3"
    exec cat "$dir/$3"
    ;;
delete) rm "$dir/$3" || fail "cannot delete $dir/$3" ;;
*) fail "unknown verb $verb" ;;
esac
