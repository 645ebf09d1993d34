# look_inside ITEM...: runs look_inside.sh as the account that the member's directories belong to, and gives on what it says
# as one block: nothing that is said in there passes for root's word. Reads $data, $wal, $marker, $config, $pid, $inside, and
# $danger: the account, where it could exchange these directories meanwhile.
look_inside() {
    if [ -n "${danger-}" ]; then keeper=$danger; else belongs "$data" "$wal"; fi
    said=$(apart "$keeper" timeout -k 5 45 sh -c "$inside" quorate "$data" "$wal" "$marker" "$config" "$pid" "$@" </dev/null) || {
        status=$?
        [ "$status" -lt 124 ] || fail "looking into $data takes longer than 45 s, which is the limit"
        exit "$status"
    }
    echo inside
    printf '%s\n' "$said" | base64
    echo .
}
