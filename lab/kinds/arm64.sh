# An arm64 machine, for all that quorate can see of one: its `uname` is a program for arm64 that says so, and so is the etcd that comes,
# under qemu-user. systemd and sshd stay this machine's: emulated, they would take minutes to boot, and nobody tests them.
# With /etc/emulators it gets a user namespace of its own, and with that (Linux 6.7) a list of emulators that nothing else here sees.
# suite: bookworm
# architectures: amd64,arm64
# packages: busybox-static:arm64
# copies: /usr/bin/qemu-aarch64-static
mv /bin/busybox /usr/bin/uname

# Of a process that is emulated /proc/PID/exe is the emulator. On an arm64 machine it is the program: here, the emulator's first argument.
mv /usr/bin/readlink /usr/bin/readlink.real
cat >/usr/bin/readlink <<'END'
#!/bin/sh
said=$(readlink.real "$@") || exit
case $said in
/usr/bin/qemu-aarch64-static) tr '\000' '\n' <"${1%/exe}/cmdline" | sed -n 2p ;;
*) printf '%s\n' "$said" ;;
esac
END
chmod 755 /usr/bin/readlink

# e_machine 183, in an executable of 64 bits. F: the kernel opens the emulator now, and a private /usr hides it from nobody.
cat >/etc/emulators <<'END'
:arm64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:/usr/bin/qemu-aarch64-static:F
END
cat >/etc/systemd/system/emulators.service <<'END'
[Unit]
DefaultDependencies=no
Before=sysinit.target
[Service]
Type=oneshot
ExecStart=/bin/mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
ExecStart=/bin/sh -c 'cat /etc/emulators >/proc/sys/fs/binfmt_misc/register'
[Install]
WantedBy=sysinit.target
END
systemctl enable --quiet emulators.service

# The one thing of a unit that an emulator cannot keep to: it writes the instructions that it runs.
mkdir -p /etc/systemd/system/service.d
printf '[Service]\nMemoryDenyWriteExecute=no\n' >/etc/systemd/system/service.d/emulator.conf
