# Keeps one etcd running where no service manager does: starts it again after a failure, not after exit status 0.
# Argument: the run directory, which holds `launch` (what to run) and everything this loop leaves:
#   supervisor.pid, etcd.pid  identities of the two processes
#   started                   hashes of what etcd was started with
#   exit, restarts            how it last ended, and how often it was started again
#   log, log.1                etcd's output, at most about 8 MiB each
run=$1
exe= config= hashed="$run/launch" child= stopping= restarts=0
while read -r key value; do
    case $key in
    exe) exe=$value ;;
    config)
        config=$value
        hashed="$hashed $value"
        ;;
    hashed) hashed="$hashed $value" ;;
    esac
done <"$run/launch"

note_identity() {
    if identify "$1"; then
        echo "$identity" >"$2.new"
        mv -f "$2.new" "$2"
    fi
}

# The log is copied and cut, since etcd keeps it open.
cap_log() {
    trap - TERM INT
    while sleep 10 && kill -0 "$$" 2>/dev/null; do
        size=$(stat -c %s "$run/log" 2>/dev/null || echo 0)
        if [ "$size" -gt 8388608 ]; then
            cp "$run/log" "$run/log.1"
            : >"$run/log"
        fi
    done
}

note_identity $$ "$run/supervisor.pid"
trap 'stopping=1; if [ -n "$child" ]; then kill -TERM "$child" 2>/dev/null || :; fi' TERM INT
cap_log &
capper=$!

while [ -z "$stopping" ]; do
    sha256sum $hashed >"$run/started.new" 2>/dev/null || :
    mv -f "$run/started.new" "$run/started"
    "$exe" --config-file="$config" >>"$run/log" 2>&1 </dev/null &
    child=$!
    note_identity "$child" "$run/etcd.pid"
    # A stop that came before there was a child to pass it on to.
    if [ -n "$stopping" ]; then kill -TERM "$child" 2>/dev/null || :; fi
    status=0
    wait "$child" || status=$?
    # A signal to this loop ends `wait` too: etcd has ended only when it is gone.
    while kill -0 "$child" 2>/dev/null; do
        status=0
        wait "$child" || status=$?
    done
    child=
    rm -f "$run/etcd.pid"
    if [ "$status" -gt 128 ]; then
        echo "signal $((status - 128))" >"$run/exit"
    else
        echo "exit code $status" >"$run/exit"
    fi
    if [ "$status" = 0 ] || [ -n "$stopping" ]; then break; fi
    restarts=$((restarts + 1))
    echo "$restarts" >"$run/restarts"
    sleep 1 &
    child=$!
    wait "$child" || :
    child=
done
kill "$capper" 2>/dev/null || :
rm -f "$run/supervisor.pid"
