# look_inside ITEM...: runs look_inside.sh as the account that the member's directories belong to, and gives on what it says
# as one block: nothing that is said in there passes for root's word. Reads $data, $wal, $marker, $config, $pid, $inside, and
# $danger: the account, where it could exchange these directories meanwhile.
look_inside() {
    if [ -n "${danger-}" ]; then keeper=$danger; else belongs "$data" "$wal"; fi
    hear "looking into $data" 45 16777216 "$keeper" sh -c "$inside" quorate "$data" "$wal" "$marker" "$config" "$pid" "$@"
    [ "$status" = 0 ] || exit "$status"
    echo inside
    printf '%s\n' "$said" | base64
    echo .
}
