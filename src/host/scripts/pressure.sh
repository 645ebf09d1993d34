# What the host and its member wait for, as the kernel counts it since boot; what the kernel does not count has no line.
# Argument: the member's process (0: none).
pid=$1

# pressure WHOSE PATH-BEFORE PATH-AFTER: microseconds in which some task waited (Documentation/accounting/psi.rst). A kernel that
# was told not to count (psi=0) has the files and refuses to read them.
pressure() {
    for what in cpu io memory; do
        {
            while read -r kind _ _ _ total; do
                if [ "$kind" = some ]; then echo "pressure $1 $what ${total#total=}"; fi
            done <"$2$what$3"
        } 2>/dev/null || :
    done
}

read -r uptime _ </proc/uptime
echo "uptime $uptime"
read -r load _ </proc/loadavg
echo "load $load"
processors=0
while read -r word rest; do
    case $word in
    cpu) echo "cpu $rest" ;;
    cpu*) processors=$((processors + 1)) ;;
    *) break ;;
    esac
done </proc/stat
echo "processors $processors"
pressure host /proc/pressure/ ''

# A unit has its own group; whoever is started in another way shares one with strangers.
group=
if [ "$pid" != 0 ]; then
    while read -r line; do
        case $line in 0::*.service) group=${line#0::} ;; esac
    done 2>/dev/null <"/proc/$pid/cgroup" || :
fi
for top in /sys/fs/cgroup /sys/fs/cgroup/unified; do
    if [ -z "$group" ] || [ ! -d "$top$group" ]; then continue; fi
    pressure member "$top$group/" .pressure
    while read -r word value; do
        case $word in throttled_usec) echo "throttled $value" ;; esac
    done 2>/dev/null <"$top$group/cpu.stat" || :
    break
done
echo "done"
