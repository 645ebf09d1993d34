# The oldest Debian that people still run etcd on: systemd 247, glibc 2.31.
# suite: bullseye
