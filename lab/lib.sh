# Shared by the lab's scripts: where things are, and how they speak. Sourced, never run.
# shellcheck shell=bash

# Downloads and the hosts' base system; kept between labs.
# shellcheck disable=SC2034 # used by those who source this
if [ "$(id -u)" = 0 ]; then
    CACHE=${QUORATE_LAB_CACHE:-/var/cache/quorate-lab}
else
    CACHE=${QUORATE_LAB_CACHE:-$(dirname "${BASH_SOURCE[0]}")/.cache}
    CACHE=$(realpath -m "$CACHE")
fi
# shellcheck disable=SC2034
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

say() { printf 'lab: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

need_root() { [ "$(id -u)" = 0 ] || die "$1 needs root (namespaces, mounts, cgroups)"; }

# debian_mirror: the address of the Debian archive that this machine's own apt configuration uses.
debian_mirror() {
    local uri
    # shellcheck disable=SC2016 # these are apt's variables
    uri=$(apt-get indextargets --format '$(ORIGIN)|$(CODENAME)|$(REPO_URI)' 'Created-By: Packages' |
        awk -F'|' '$1 == "Debian" && $2 !~ /-/ { print $3; exit }')
    [ -n "$uri" ] || die "no Debian archive in this machine's apt configuration; the lab runs on Debian"
    printf '%s\n' "$uri"
}

# apt_acquire_options: proxies and date checks of the machine's apt, as lines of an apt.conf.
apt_acquire_options() {
    apt-config dump | grep -iE '^Acquire::(Check-|[a-z]+::Proxy)' || true
}
