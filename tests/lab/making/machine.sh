#!/bin/bash
# machine.sh SERVER OUT: runs SERVER.sh in a throwaway machine, and leaves in OUT what came back.
# The machine has the files of this one (written to memory only), its own network, name and
# processes. Run as root. PYTHON is one that has aiosmtpd and dnspython; PACKAGES holds what
# the servers' recipes want unpacked.
set -e
export server=$1 kit=$(cd "$(dirname "$0")" && pwd) PYTHON=${PYTHON:-python3} PACKAGES=${PACKAGES:-}
mkdir -p "$2" && export out=$(cd "$2" && pwd)
exec unshare --mount --net --uts --pid --fork bash -s <<'INSIDE'
set -e
mount --make-rprivate /
box=$(mktemp -d) && mount -t tmpfs -o mode=755 tmpfs $box
mkdir $box/upper $box/work $box/merged
mount -t overlay overlay -o lowerdir=/,upperdir=$box/upper,workdir=$box/work $box/merged
mount -t proc proc $box/merged/proc
mount --rbind /dev $box/merged/dev
mount --bind "$out" $box/merged/mnt
hostname mx.sender.example
exec chroot $box/merged bash -c '. "$kit/network.sh"; . "$kit/$server.sh"'
INSIDE
