# Runs etcdctl for an operator on whose machine it cannot run. Arguments: etcdctl, its endpoints, how many bytes the CA's
# certificates, the operator's certificate and its key have; then what etcdctl is told.
# Standard input: these three; then lines of
#   data BYTES   followed by the bytes, which etcdctl reads
#   end          that was all for etcdctl
# It ends with its input: the operator's program is gone then. The files are in a directory that only root can enter, in
# memory where there is any, and go with this script; should it be killed, the next one removes them.
program=$1 endpoints=$2 ca=$3 cert=$4 key=$5
shift 5
[ -x "$program" ] || fail "there is no $program"

work= etcdctl= watcher=
clean_up() {
    status=$?
    trap '' HUP INT TERM PIPE
    if [ -n "$watcher" ]; then kill "$watcher" 2>/dev/null || :; fi
    if [ -n "$etcdctl" ]; then
        kill "$etcdctl" 2>/dev/null || :
        wait "$etcdctl" 2>/dev/null || :
    fi
    if [ -n "$work" ]; then rm -rf "$work" || :; fi
    exit "$status"
}
trap clean_up EXIT
trap 'exit 129' HUP INT TERM PIPE

# clear_dead DIR: what scripts that were killed have left there. For a directory of root's own: elsewhere others could lead
# root astray.
clear_dead() {
    set +f
    for old in "$1"/quorate-ctl.*; do
        if [ -f "$old/owner" ] && ! same_process "$old/owner"; then rm -rf "$old" || :; fi
    done
    set -f
}

if [ -w /run ]; then clear_dead /run; fi
for place in /run /dev/shm "${TMPDIR:-/tmp}"; do
    if [ ! -d "$place" ] || [ ! -w "$place" ]; then continue; fi
    work=$(mktemp -d "$place/quorate-ctl.XXXXXXXXXX" 2>/dev/null) && break
    work=
done
[ -n "$work" ] || fail "no temporary directory can be created here"
if identify $$; then
    echo "$identity" >"$work/owner.new"
    mv "$work/owner.new" "$work/owner"
fi
take "$ca" >"$work/ca.crt" && take "$cert" >"$work/client.crt" && take "$key" >"$work/client.key" ||
    fail "cannot write to $work"
mkfifo "$work/in" || fail "cannot write to $work"

ETCDCTL_ENDPOINTS=$endpoints ETCDCTL_CACERT=$work/ca.crt ETCDCTL_CERT=$work/client.crt ETCDCTL_KEY=$work/client.key \
    "$program" "$@" <"$work/in" &
etcdctl=$!
exec 3<&0
(
    exec 4>"$work/in"
    while read -r order bytes; do
        case $order in
        data) take "$bytes" >&4 || : ;;
        end) exec 4>&- ;;
        esac
    done
    kill "$etcdctl"
) <&3 >/dev/null 2>&1 &
watcher=$!
status=0
wait "$etcdctl" || status=$?
etcdctl=
exit "$status"
