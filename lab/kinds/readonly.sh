# Nobody writes to /usr, as on hosts that are updated as an image; what a site adds lies elsewhere.
# suite: bookworm
cat >/etc/systemd/system/readonly.service <<'END'
[Unit]
DefaultDependencies=no
Before=sysinit.target
[Service]
Type=oneshot
ExecStart=/bin/mount --bind /usr /usr
ExecStart=/bin/mount -o remount,bind,ro /usr
[Install]
WantedBy=sysinit.target
END
systemctl enable --quiet readonly.service
