#!/bin/busybox sh
# The machine's first process: makes a root of the host's files, and of memory for what is written, and becomes systemd
# there. If a step fails, this ends, and with it the machine.
set -eu

/bin/busybox --install -s /bin
mkdir -p /proc /dev /host /memory /root
mount -t proc proc /proc
mount -t devtmpfs dev /dev
for module in /modules/*; do
  insmod "$module"
done

# What the host changes while the machine runs may be seen or not; only the machine's own writing is kept in step.
mount -t 9p -o ro,trans=virtio,version=9p2000.L,cache=loose,msize=512000 host /host
mount -t tmpfs -o mode=0755 memory /memory
mkdir /memory/upper /memory/work
mount -t overlay -o lowerdir=/host,upperdir=/memory/upper,workdir=/memory/work root /root

mkdir -p /root/lib/modules
mount --bind "/root$(cat /modules-folder)" /root/lib/modules
# The host's services, mounts and settings are none of the machine's.
mount -t tmpfs -o mode=0755 settings /root/etc/systemd
mkdir /root/etc/systemd/system
mount -t tmpfs -o mode=0755 run /root/run
# Container runtimes stack their file systems on that of their directories, which cannot be such a stack itself.
mount -t tmpfs -o mode=1777 scratch /root/var/tmp
mkdir -p /root/run/systemd/system
cp -r /machine /root/run/machine
cp /machine/tests.service /root/run/systemd/system/
# What services say goes to the console.
printf '[Journal]\nStorage=none\nForwardToConsole=yes\n' >/root/etc/systemd/journald.conf
# The marks of a container that the host may be.
rm -f /root/.dockerenv /root/run/.containerenv
# Container runtimes pass them on to pods.
touch /root/etc/hosts /root/etc/resolv.conf

# As on nodes: each shim of a container has one, and the kernel gives a user 128.
echo 512 >/proc/sys/fs/inotify/max_user_instances

umount /proc /dev
# Without generators, which make units of the host's mounts.
exec env SYSTEMD_GENERATOR_PATH=/nonexistent switch_root /root /lib/systemd/systemd --unit=tests.service
