# Runs once inside the fresh base system, as root. Part of the recipe's hash (lab/base).
# shellcheck shell=sh
set -eu

# Every host makes its own host keys and machine id.
rm -f /etc/ssh/ssh_host_*
: >/etc/machine-id

# Nothing that would reach for a network, or wake up in the middle of a measurement.
for unit in apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer dpkg-db-backup.timer \
    systemd-networkd-wait-online.service systemd-timesyncd.service; do
    ln -sf /dev/null "/etc/systemd/system/$unit"
done

# ops: sudo without a password. opspw: sudo with one (a test fixture, not a secret). nosudo: no rights at all.
for user in ops opspw nosudo; do useradd --create-home --shell /bin/bash "$user"; done
echo opspw:lab-password | chpasswd
printf 'ops ALL=(ALL:ALL) NOPASSWD: ALL\n' >/etc/sudoers.d/ops
printf 'opspw ALL=(ALL:ALL) ALL\n' >/etc/sudoers.d/opspw
chmod 0440 /etc/sudoers.d/ops /etc/sudoers.d/opspw

# Tests and benchmarks open many sessions at once; a reverse look-up would wait for a name server that is not there.
printf 'MaxStartups 200:30:400\nMaxSessions 100\nUseDNS no\nPermitRootLogin prohibit-password\n' \
    >/etc/ssh/sshd_config.d/lab.conf

# The journal survives a crash of its host, as it does on a real one.
mkdir -p /var/log/journal

# Logins are let in as soon as sshd answers, not only when the boot is over.
ln -sf /dev/null /etc/tmpfiles.d/systemd-nologin.conf

rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /usr/share/doc/* /usr/share/locale/* /usr/share/man/*
