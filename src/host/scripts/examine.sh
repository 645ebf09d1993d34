# Has etcd's own program read a snapshot that is sent, as an account that can do nothing else with it. Arguments: the account
# (- for whoever this runs as), the program, the snapshot's SHA-256 and bytes, and the revision up to which the program is to
# hash all keys (- where it cannot). The snapshot is on standard input.
# Answers: `status` and the program's JSON, then `hashkv` and its JSON. Nothing of it stays.
account=$1 program=$2 sum=$3 bytes=$4 revision=$5
[ -x "$program" ] || fail "there is no $program"

work=
clean_up() {
    status=$?
    trap '' HUP INT TERM PIPE
    if [ -n "$work" ]; then rm -rf "$work" || :; fi
    exit "$status"
}
trap clean_up EXIT
trap 'exit 129' HUP INT TERM PIPE

# The snapshot, and half as much again that stays free: members share this disk.
needed=$((bytes / 1024 * 3 / 2 + 262144))
for place in "${TMPDIR:-/var/tmp}" /tmp; do
    if [ ! -d "$place" ] || ! roomy "$place" "$needed"; then continue; fi
    work=$(mktemp -d "$place/quorate-examine.XXXXXXXXXX" 2>/dev/null) && break
    work=
done
[ -n "$work" ] || fail "no temporary directory here has room for $bytes bytes and half as much again"

take "$bytes" >"$work/snapshot.db" || fail "cannot write $work/snapshot.db"
found=$(sha256sum "$work/snapshot.db") || fail "cannot read back $work/snapshot.db"
[ "${found%% *}" = "$sum" ] || fail "the snapshot that arrived is not what was sent (its SHA-256 differs)"

if [ "$account" = - ]; then
    who=
else
    id -u "$account" >/dev/null 2>&1 || account=nobody
    who=$(id -u "$account"):$(id -g "$account")
    # It can open this one file, whose place is root's.
    chmod 711 "$work"
    chown "$who" "$work/snapshot.db" || fail "cannot give the snapshot to $account"
fi

# ask COMMAND...: sets $said to what the program says of it, while everything else on this host goes first.
ask() {
    hear "reading the snapshot" 3600 524288 "$who" nice -n 19 "$program" "$@" -w json
    [ "$status" = 0 ] || fail "${program##*/} cannot read the snapshot"
}
ask snapshot status "$work/snapshot.db"
echo "status $said"
if [ "$revision" != - ]; then
    ask hashkv "$work/snapshot.db" --rev "$revision"
    echo "hashkv $said"
fi
