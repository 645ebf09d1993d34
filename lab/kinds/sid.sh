# Tomorrow's Debian.
# suite: sid
