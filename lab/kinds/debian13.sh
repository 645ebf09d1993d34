# systemd 257, OpenSSH 10.
# suite: trixie
