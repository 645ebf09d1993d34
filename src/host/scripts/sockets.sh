# Who has which socket open, for scripts that know a socket by its inode.

# read_owners: sets $owners to the process of every socket (INODE=PID).
read_owners() {
    owners=' '
    set +f
    opened=$(ls -l /proc/[0-9]*/fd 2>/dev/null || :)
    set -f
    IFS=$newline
    for line in $opened; do
        case $line in
        /proc/*:) process=${line#/proc/} process=${process%%/*} ;;
        *"socket:["*)
            inode=${line##*"socket:["}
            owners="$owners${inode%"]"}=$process "
            ;;
        esac
    done
    unset IFS
}

# look_up KEY LIST: sets $found to what stands behind KEY= in the list; empty when nothing does.
look_up() {
    found=${2#*" $1="}
    if [ "$found" = "$2" ]; then found=; else found=${found%% *}; fi
}
