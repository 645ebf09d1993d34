# refuse_in_use: nothing is touched while something has it open, whoever started that.
refuse_in_use() {
    idle
    for dir in "$data" "$wal"; do
        [ -d "$dir" ] || continue
        real=$(cd -P "$dir" && pwd -P) || fail "cannot look into $dir"
        set +f
        for process in /proc/[0-9]*; do
            comm=
            { read -r comm <"$process/comm"; } 2>/dev/null || continue
            [ "$comm" = etcd ] || continue
            opened=$(ls -l "$process/fd" 2>/dev/null | head -c 16777216 || :)
            [ "${#opened}" -lt 16777215 ] || fail "what process ${process#/proc/} has open is too much to look through"
            case $opened in
            *" -> $real/"*) fail "an etcd (process ${process#/proc/}) has $dir open" ;;
            esac
        done
        set -f
    done
}
