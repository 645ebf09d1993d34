# How root works where somebody else may write: as that account, never as root by path name. What lies in a directory of
# etcd's can be a link to anywhere by the time it is opened; for etcd's own uid that leads nowhere new.

# keeper DIR: sets $keeper to `UID:GID` of the account that DIR belongs to; empty where this script runs as it, or cannot
# become anybody, or there is no DIR. A directory in which everybody may write belongs to nobody.
me=$(id -u)
keeper() {
    keeper= kept=
    [ "$me" = 0 ] && [ -d "$1" ] || return 0
    kept=$(stat -L -c '%u %g %a' "$1") || fail "cannot look at $1"
    keeper=${kept% *}
    case $keeper in
    '0 '*)
        # Root's, and open to everybody, like a disk that was just mounted: everybody is nobody in particular.
        if others_write "${kept##* }"; then keeper=65534:65534; else keeper=; fi
        ;;
    *) keeper=${keeper% *}:${keeper#* } ;;
    esac
    return 0
}

# others_write MODE: whether the bits let a group or everybody write.
others_write() {
    case $1 in
    *[2367]? | *[2367]) ;;
    *) return 1 ;;
    esac
}

# find_dropper: sets $dropper to what gives root up here: util-linux, coreutils or busybox.
dropper=
find_dropper() {
    [ -z "$dropper" ] || return 0
    for dropper in setpriv chroot start-stop-daemon; do
        if [ "$( (drop 65534:65534 id -u) 2>/dev/null </dev/null)" = 65534 ]; then return 0; fi
    done
    fail "nothing on this host can give up root for another account: install util-linux (setpriv) or coreutils (chroot --userspec)"
}

# drop UID:GID COMMAND...: becomes that command, in this directory and for good; to be run in a process of its own.
drop() {
    who=$1
    shift
    case $dropper in
    setpriv) exec setpriv --reuid="${who%:*}" --regid="${who#*:}" --clear-groups --no-new-privs "$@" ;;
    chroot) exec chroot --userspec="+${who%:*}:+${who#*:}" --groups= --skip-chdir / "$@" ;;
    # It starts what it finds no process number of; there is no such file.
    *) exec start-stop-daemon -S -q -c "$who" -p /proc/none -x /bin/sh -- -c 'exec "$@"' sh "$@" ;;
    esac
}

# apart UID:GID COMMAND...: runs it with that uid and gid, no other group and no capability (and, where there is setpriv, no
# way to gain one). An
# empty UID:GID is whoever this runs as. Every process of that account can open what this one has open: so it gets no input,
# what it prints goes nowhere, and no other descriptor is passed on.
apart() {
    apart_with "$@" </dev/null >/dev/null
}

# apart_with UID:GID COMMAND...: the same with the input and the output that the caller names, both of them for that account.
apart_with() {
    who=$1
    shift
    if [ -z "$who" ]; then
        "$@"
        return
    fi
    find_dropper
    (cd / && drop "$who" "$@") 3<&- 4<&- 5<&- 6<&- 7<&- 8<&- 9<&-
}

# hear WHAT SECONDS MOST UID:GID COMMAND...: sets $said to what it prints, as `apart`, and $status to how it ended. More than
# MOST bytes are not held here, and nobody is waited for who keeps its output open.
hear() {
    what=$1 seconds=$2 most=$3 who=$4
    shift 4
    said=$(
        {
            status=0
            apart_with "$who" timeout -k 5 "$seconds" "$@" </dev/null || status=$?
            printf '\n%s' "$status"
        } | timeout "$((seconds + 6))" head -c "$((most + 5))" || :
    )
    status=${said##*"$newline"}
    said=${said%"$newline"*}
    said=${said%"$newline"}
    [ "${#said}" -le "$most" ] || fail "$what: the answer is longer than $((most / 1024)) KiB, which is the limit"
    case $status in
    124 | 137 | *[!0-9]* | '') fail "$what takes longer than $seconds s, which is the limit" ;;
    esac
}

# give_out UID:GID FILE: prints a file, 1 MiB at most, read as that account.
give_out() {
    {
        status=$(
            {
                {
                    status=0
                    apart_with "$1" timeout 60 head -c 1048576 "$2" </dev/null || status=$?
                    printf %s "$status" >&3
                } | timeout 66 head -c 1048576 >&4
            } 3>&1
        )
    } 4>&1
    [ "$status" = 0 ]
}

# clear_away PATH: removes what lies in a directory of root's, with all that is in it. Where somebody else could exchange names
# on the way down, that one removes what is there: root goes through directories of root's alone.
clear_away() (
    if [ -L "$1" ] || [ ! -d "$1" ]; then
        rm -f -- "$1"
        exit
    fi
    keeper "$1"
    if [ -n "$keeper" ]; then
        apart "$keeper" timeout 60 sh -c 'rm -rf -- "$1"/* "$1"/.[!.]* "$1"/..?*' quorate "$1" || :
    else
        set +f
        for entry in "$1"/* "$1"/.[!.]* "$1"/..?*; do
            set -f
            if [ -e "$entry" ] || [ -L "$entry" ]; then clear_away "$entry" || :; fi
        done
    fi
    rmdir -- "$1"
)

# with_groups UID:GID COMMAND...: as `apart`, with the groups that a unit of that account has, where there is such an account.
with_groups() {
    find_dropper
    if [ "$dropper" = setpriv ] && groups=$(id -G "${1%:*}" 2>/dev/null); then
        who=$1
        shift
        (
            cd / && exec setpriv --reuid="${who%:*}" --regid="${who#*:}" --groups="$(echo "$groups" | tr ' ' ,)" \
                --no-new-privs "$@"
        ) </dev/null >/dev/null 3<&- 4<&- 5<&- 6<&- 7<&- 8<&- 9<&-
        return
    fi
    apart "$@"
}

# way PATH: sets $way to every directory that a look-up of PATH passes through, those that links lead through included,
# and $end to where it ends.
way() {
    way= rest=${1#/} end= links=0
    while [ -n "$rest" ]; do
        part=${rest%%/*}
        case $rest in */*) rest=${rest#*/} ;; *) rest= ;; esac
        case $part in
        '' | .) continue ;;
        ..)
            end=${end%/*}
            continue
            ;;
        esac
        way="$way ${end:-/}"
        if [ ! -L "$end/$part" ]; then
            end=$end/$part
            continue
        fi
        links=$((links + 1))
        [ "$links" -le 40 ] || fail "too many links on the way to $1"
        target=$(readlink "$end/$part") || fail "cannot read the link $end/$part"
        case $target in *[![:graph:]]*) fail "the link $end/$part leads to a name with a blank in it" ;; esac
        case $target in /*) end= ;; esac
        rest=${target#/}/$rest
    done
}

# exposed PATH UID:GID: sets $exposed to a directory above PATH in which that account, or anybody else who is not root, could
# exchange what leads there; empty when there is none. Whom PATH belongs to proves nothing: a link in its place may lead to
# something of root's, or of a third account's.
exposed() {
    exposed=
    [ "$me" = 0 ] || return 0
    way "$1"
    there=
    for above in $way; do
        if [ -d "$above" ]; then there="$there $above"; fi
    done
    looked=$(stat -L -c '%u %a %n' $there) || fail "cannot look at$there"
    while read -r owner mode above; do
        if [ "$owner" = 0 ]; then
            if ! others_write "$mode"; then continue; fi
            case $2 in '' | 0:*) continue ;; esac
            # The kernel knows about groups and access lists.
            with_groups "$2" test -w "$above" || continue
            # Sticky: nobody's entries but its own.
            case $mode in
            1???) if [ "$above" != "${end%/*}" ]; then continue; fi ;;
            esac
        fi
        exposed=$above
        return 0
    done <<END
$looked
END
}

# reader PATH: sets $keeper to the account that could exchange what lies there for something else, and $loose to the directory
# that lets it; empty when only root can.
reader() {
    keeper= loose=
    [ "$me" = 0 ] || return 0
    way "$1"
    owners=$(stat -L -c '%u:%g %n' $way) || fail "cannot look at $1"
    while read -r whose outer; do
        case $whose in 0:*) ;; *) keeper=$whose loose=$outer ;; esac
    done <<END
$owners
END
}

# held PATH UID:GID: fails where the account could put something else in PATH's place.
held() {
    exposed "$1" "$2"
    [ -z "$exposed" ] ||
        fail "$exposed must be root's: who may write there could exchange $1 for something else"
}

# belongs DIR...: sets $keeper to the account that the directories belong to, the first that is there; they must be held.
belongs() {
    holder=
    for dir; do
        if [ "$dir" = - ] || [ ! -e "$dir" ]; then continue; fi
        keeper "$dir"
        held "$dir" "$keeper"
        if [ -z "$holder" ]; then holder=$keeper; fi
    done
    keeper=$holder
}
