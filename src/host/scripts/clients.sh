# Who is connected to a port of this host: one line `client ADDRESS` a connection, the address in hex as the kernel shows it,
# with `NAME (pid N)` behind it (or `?`) where the other end is a process of this host. Argument: the port, four hex digits.
# Left out: a process that talks to itself (etcd's JSON gateway dials its own port), whoever runs this script, and sshd, from
# which quorate's own tunnels come.
port=$1

# read_tables: sets $served to the established connections to the port (THERE HERE INODE, a line each), and $made to those
# that processes of this host have made to that port anywhere (HERE>THERE=INODE).
read_tables() {
    served= made=' '
    [ -r /proc/net/tcp ] || fail "cannot read /proc/net/tcp"
    for table in /proc/net/tcp /proc/net/tcp6; do
        [ -e "$table" ] || continue
        lines=$(cat "$table") || fail "cannot read $table"
        IFS=$newline
        for line in $lines; do
            unset IFS
            case $line in *":$port "*) ;; *) continue ;; esac
            set -- $line
            [ "$4" = 01 ] || continue
            # A socket for both families shows IPv4 addresses as ::ffff:a.b.c.d; its other end shows a.b.c.d.
            here=${2#0000000000000000FFFF0000} there=${3#0000000000000000FFFF0000}
            if [ "${here##*:}" = "$port" ]; then
                served="$served$there $here ${10}$newline"
            else
                made="$made$here>$there=${10} "
            fi
        done
        unset IFS
    done
}

# ancestors: sets $above to this script's process and all those above it.
ancestors() {
    above=' ' up=$$
    while [ "$up" -gt 1 ]; do
        above="$above$up " stat_line=
        { read -r stat_line <"/proc/$up/stat"; } 2>/dev/null || break
        set -- ${stat_line##*) }
        up=${2-0}
    done
}

# process_name: sets $name to the name of the process $owner, empty for those that do not count.
process_name() {
    name=
    case $above in *" $owner "*) return 0 ;; esac
    { read -r name <"/proc/$owner/comm"; } 2>/dev/null || :
    case $name in sshd | sshd-session | dropbear) name= ;; '') name='?' ;; esac
}

read_tables
vague=
if [ -n "$served" ]; then
    read_owners
    ancestors
fi
IFS=$newline
for connection in $served; do
    unset IFS
    set -- $connection
    look_up "$1>$2" "$made"
    if [ -z "$found" ]; then
        echo "client ${1%:*}"
        continue
    fi
    look_up "$found" "$owners"
    owner=$found
    if [ -z "$owner" ]; then
        vague="$vague$1>$2$newline"
        continue
    fi
    look_up "$3" "$owners"
    [ "$owner" != "$found" ] || continue
    process_name
    if [ -n "$name" ]; then echo "client ${1%:*} $name (pid $owner)"; fi
done
unset IFS
# Whose process could not be found may have hung up meanwhile.
if [ -n "$vague" ]; then
    read_tables
    IFS=$newline
    for connection in $vague; do
        unset IFS
        look_up "$connection" "$made"
        if [ -n "$found" ]; then echo "client ${connection%%:*} ?"; fi
    done
    unset IFS
fi
echo "done"
