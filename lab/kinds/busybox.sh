# busybox is the whole userland, sh included; systemd and its programs stay.
# suite: bookworm
# packages: busybox-static
for applet in $(busybox --list); do
    case $applet in
    busybox | init | linuxrc | halt | poweroff | reboot | shutdown | runlevel | login | su | passwd | mount | umount | [a-z]*getty | udhcpc*) ;;
    *) for dir in /usr/bin /usr/sbin; do
        if [ -e "$dir/$applet" ]; then ln -sf /usr/bin/busybox "$dir/$applet"; fi
    done ;;
    esac
done
date --help 2>&1 | grep -q BusyBox
