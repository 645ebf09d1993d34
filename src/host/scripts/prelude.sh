# The head of every script: strict mode, and how a process is told from a later one with its number. The environment
# (PATH, LC_ALL=C and nothing else) is the transport's to give.
# Only a POSIX shell and coreutils may be used. Globbing is off; paths never hold blanks (HostPath), so lists can be split.
set -euf
umask 077
newline='
'

# dash's own makes line breaks of `\n`: what is said of a name must not become a second line.
echo() {
    printf '%s\n' "$*"
}

# fail TEXT...: ends the script; the program shows TEXT and the last message of the tool that failed.
fail() {
    printf 'quorate: %s\n' "$*" >&2
    exit 70
}

# identify PID: sets $identity to "PID START BOOT", which no other process ever shares; fails when there is none.
identify() {
    identity= stat_line= boot_id=
    { read -r stat_line <"/proc/$1/stat"; } 2>/dev/null || return 1
    { read -r boot_id </proc/sys/kernel/random/boot_id; } 2>/dev/null || :
    set -- "$1" ${stat_line##*) }
    # Z: it has ended and only waits to be reaped.
    [ "${2-Z}" != Z ] || return 1
    # Field 22 of /proc/PID/stat: when it started, in clock ticks since boot.
    identity="$1 ${21-} $boot_id"
}

# same_process FILE: true when the process whose identity FILE holds still runs; sets $saved.
same_process() {
    saved=
    { read -r saved <"$1"; } 2>/dev/null || return 1
    [ -n "$saved" ] || return 1
    identify "${saved%% *}" && [ "$identity" = "$saved" ]
}
