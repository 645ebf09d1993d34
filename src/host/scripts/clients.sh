# Who is connected to a port of this host, as tables: who is a client is for the program to find out. Argument: the port, four
# hex digits. Addresses are in hex as the kernel shows them; each line is looked at once, however many connections there are.
#   served THERE HERE INODE   an established connection to the port
#   made HERE THERE INODE     one that a process of this host has made to that port anywhere; `still`: later
#   socket INODE PID          who has which socket open
#   process PID NAME          of those
#   above PID                 this script's process, and those above it
port=$1

# connections WORD: those to and from the port.
connections() {
    [ -r /proc/net/tcp ] || fail "cannot read /proc/net/tcp"
    for table in /proc/net/tcp /proc/net/tcp6; do
        [ -e "$table" ] || continue
        lines=$(head -c 67108864 "$table") || fail "cannot read $table"
        [ "${#lines}" -lt 67108863 ] || fail "$table has more than 64 MiB, which is the limit"
        IFS=$newline
        for line in $lines; do
            unset IFS
            case $line in *":$port "*) ;; *) continue ;; esac
            set -- "$1" $line
            [ "$5" = 01 ] || continue
            # A socket for both families shows IPv4 addresses as ::ffff:a.b.c.d; its other end shows a.b.c.d.
            here=${3#0000000000000000FFFF0000} there=${4#0000000000000000FFFF0000}
            if [ "${here##*:}" = "$port" ]; then
                served=1
                if [ "$1" = made ]; then echo "served $there $here ${11}"; fi
            else
                echo "$1 $here $there ${11}"
            fi
        done
        unset IFS
    done
}

# is_relay PID: whether it is quorate's own stream, which goes through bash where sshd forwards nothing (src/host/ssh/relay.rs).
is_relay() {
    line=
    { read -r line <"/proc/$1/cmdline"; } 2>/dev/null || :
    case $line in *"# a stream of quorate") ;; *) return 1 ;; esac
}

# owners: who has which socket open.
owners() {
    set +f
    opened=$(ls -l /proc/[0-9]*/fd 2>/dev/null | head -c 67108864 || :)
    set -f
    process= named=
    IFS=$newline
    for line in $opened; do
        case $line in
        /proc/*:) process=${line#/proc/} process=${process%%/*} ;;
        *" -> socket:["*"]")
            inode=${line##*" -> socket:["}
            inode=${inode%"]"}
            case $inode$process in *[!0-9]*) continue ;; esac
            echo "socket $inode $process"
            [ "$named" != "$process" ] || continue
            named=$process name=
            { read -r name <"/proc/$process/comm"; } 2>/dev/null || :
            if [ "$name" = bash ] && is_relay "$process"; then name=quorate-relay; fi
            echo "process $process $name"
            ;;
        esac
    done
    unset IFS
}

ancestors() {
    up=$$
    while [ "$up" -gt 1 ]; do
        echo "above $up"
        stat_line=
        { read -r stat_line <"/proc/$up/stat"; } 2>/dev/null || break
        set -- ${stat_line##*) }
        up=${2-0}
    done
}

served=
connections made
if [ -n "$served" ]; then
    owners
    ancestors
    # Whose process could not be found may have hung up meanwhile.
    connections still
fi
echo "done"
