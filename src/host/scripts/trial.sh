# Starts an etcd on scratch data as often as it is told to, to see whether it starts. Arguments: the account for it (- for
# whoever this runs as), then the program: its path, or - when it is sent first, with its SHA-256, bytes, and what unpacks
# it (- for nothing).
# Standard input, after the program: lines of
#   file NAME BYTES   followed by the bytes: a file for it to read
#   try               starts it with config.json in an empty directory; the next line, whatever that is, ends it
# Answers: `ready`; then for each try `ended STATUS BYTES`, followed by the end of its log.
# All of it is below one directory that goes with this script, which ends with its input.
account=$1 program=$2 sum=$3 bytes=$4 tool=$5
work= etcd=
exec 3<&0

clean_up() {
    status=$?
    trap '' HUP INT TERM PIPE
    if [ -n "$etcd" ]; then
        kill -9 "$etcd" 2>/dev/null || :
        wait "$etcd" 2>/dev/null || :
    fi
    if [ -n "$work" ]; then
        cd /
        clear_away "$work" || :
    fi
    exit "$status"
}
trap clean_up EXIT
trap 'exit 129' HUP INT TERM PIPE

# runs_programs DIR: false where it is mounted noexec.
runs_programs() {
    printf '#!/bin/sh\n' >"$1/probe" && chmod 700 "$1/probe" && "$1/probe" 2>/dev/null
}

# Room for the program, an empty database and its log.
for place in "${TMPDIR:-/tmp}" /var/tmp /dev/shm; do
    if [ ! -d "$place" ] || ! roomy "$place" 262144; then continue; fi
    work=$(mktemp -d "$place/quorate-trial.XXXXXXXXXX" 2>/dev/null) || work=
    if [ -z "$work" ]; then continue; fi
    if runs_programs "$work"; then break; fi
    clear_away "$work" || :
    work=
done
[ -n "$work" ] || fail "no temporary directory here has 256 MiB free and lets programs run"
cd "$work"

if [ "$account" != - ]; then
    id -u "$account" >/dev/null 2>&1 || account=nobody
    ids=$(id -u "$account"):$(id -g "$account")
    find_dropper
    # It may read what it is told the name of, and write below `run` alone.
    chmod 711 "$work"
fi

# own FILE...: gives them to the account.
own() {
    if [ "$account" = - ]; then return; fi
    chown -h "$account:" "$@" || fail "cannot give $* to $account"
}

# become COMMAND...: runs it as the account, in the same directory and with nothing else of this environment or of what this
# script has open.
become() {
    exec 3<&- </dev/null
    if [ "$account" = - ]; then exec env -i PATH="$PATH" "$@"; fi
    drop "$ids" env -i PATH="$PATH" "$@"
}

if [ "$program" = - ]; then
    program=$work/etcd
    case $tool in
    -) take "$bytes" ;;
    *) take_packed "$bytes" "$tool" ;;
    esac >"$program" || fail "cannot write $program"
    found=$(sha256sum "$program") || fail "cannot read back $program"
    [ "${found%% *}" = "$sum" ] || fail "the etcd that arrived is not what was sent (its SHA-256 differs)"
    chmod 755 "$program"
fi
(become timeout 20 "$program" --version) >log 2>&1 || {
    tail -n 3 log >&2
    fail "this etcd does not run here (a $(uname -m) machine)"
}
# Members may lock all of their memory. Not in POSIX, but dash and busybox have it.
# shellcheck disable=SC3045
ulimit -l unlimited 2>/dev/null || :

file() {
    rm -f "$1"
    (set -C && take "$2" >"$1") || fail "cannot write $work/$1"
    own "$1"
}

# words: the end of what it said, wherever it was told to say it.
words() {
    tail -c 16384 log
    for number in 0 1 2 3; do
        if [ -f "run/out-$number.log" ]; then
            (become timeout 10 tail -c 16384 "run/out-$number.log") 2>/dev/null || :
        fi
    done
}

try() {
    clear_away "$work/run" || fail "cannot remove $work/run"
    rm -f over
    mkdir run
    own run
    (cd run && become "$program" --config-file ../config.json) >log 2>&1 &
    etcd=$!
    (
        read -r _ <&3 || :
        if [ ! -e over ]; then kill -9 "$etcd"; fi
    ) >/dev/null 2>&1 &
    watcher=$!
    status=0
    wait "$etcd" || status=$?
    : >over
    etcd=
    words | head -c 131072 >said
    echo "ended $status $(stat -c %s said)"
    cat said
    wait "$watcher" || :
}

echo ready
while read -r order name bytes; do
    case $order in
    file) file "$name" "$bytes" ;;
    try) try ;;
    esac
done
