#!/usr/bin/env bash
# Install Slurm and Apptainer from Debian packages, as root, for tests/cluster/up.sh. Starts nothing.
# Exit code 3 and one line where that cannot be done here.
set -euo pipefail
no() {
  echo "test cluster: skipped, $*" >&2
  exit 3
}
[ "$(id -u)" = 0 ] || no "installing Slurm needs root"
command -v apt-get > /dev/null || no "this is no Debian"
log=$(mktemp)
trap 'rm -rf "$log" "${probe:-}" "${work:-}" ${quiet:+"$quiet"}' EXIT
if [ ! -e /usr/sbin/policy-rc.d ]; then # no service is to start on being installed
  quiet=/usr/sbin/policy-rc.d
  printf '#!/bin/sh\nexit 101\n' > "$quiet"
  chmod 755 "$quiet"
fi
apt() { DEBIAN_FRONTEND=noninteractive apt-get -y -qq "$@" >> "$log" 2>&1 || { tail -5 "$log" >&2; no "apt-get $1 failed"; }; }

if ! command -v slurmctld slurmd slurmdbd munged mariadbd > /dev/null; then
  apt update
  apt install --no-install-recommends slurm-wlm slurmctld slurmd slurm-client slurmdbd slurm-wlm-mysql-plugin munge \
    mariadb-server
fi
if ! command -v apptainer > /dev/null; then
  apt update
  apt install --no-install-recommends squashfs-tools squashfuse uidmap fakeroot debootstrap fuse3
  if apt-cache show apptainer > /dev/null 2>&1; then
    apt install --no-install-recommends apptainer
  else
    # Debian 12 has none; that of sid runs with sid's libc beside the system's own, which stays as it is.
    apt install --no-install-recommends patchelf debian-archive-keyring file
    work=$(mktemp -d)
    mkdir -p "$work"/{lists,cache,root}
    echo "deb http://deb.debian.org/debian sid main" > "$work/sources.list"
    sid=(-o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null
      -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache")
    apt-get -qq "${sid[@]}" update >> "$log" 2>&1 || no "Debian sid cannot be read"
    (cd "$work" && apt-get -qq "${sid[@]}" download apptainer libc6 >> "$log" 2>&1) || no "apptainer cannot be fetched"
    for package in "$work"/*.deb; do dpkg -x "$package" "$work/root"; done
    libc=/opt/apptainer-libc system=/usr/lib/$(uname -m)-linux-gnu
    mkdir -p $libc "$system/apptainer" /etc/apptainer /var/lib/apptainer/mnt/session
    cp -a "$work/root$system"/{libc.so.6,libm.so.6,libpthread.so.0,libdl.so.2,libresolv.so.2,librt.so.1,libnss_*.so.2} $libc/
    cp -aL "$work"/root/usr/lib*/ld-linux-x86-64.so.2 "$work/root$system"/ld-linux-x86-64.so.2 $libc/ 2> /dev/null || true
    cp -a "$work"/root/usr/bin/{apptainer,run-singularity*} /usr/bin/
    cp -a "$work/root$system/apptainer/." "$system/apptainer/"
    cp -a "$work/root/etc/apptainer/." /etc/apptainer/
    for binary in /usr/bin/apptainer $(find "$system/apptainer/bin" -type f -perm -1); do
      file -b "$binary" | grep -q 'ELF.*dynamic' || continue
      patchelf --set-interpreter $libc/ld-linux-x86-64.so.2 --set-rpath "$libc:/lib/$(uname -m)-linux-gnu:$system" "$binary"
    done
    ln -sfn apptainer /usr/bin/singularity
  fi
fi
# Whether containers can be started here at all, shown by one that holds a single program.
probe=$(mktemp -d)
for file in /bin/true $(ldd /bin/true | grep -o '/[^ ]*'); do cp -L --parents "$file" "$probe"; done
apptainer -s exec "$probe" /bin/true 2> /dev/null || APPTAINER_NO_PRIVS=1 apptainer -s exec "$probe" /bin/true 2>> "$log" ||
  no "apptainer cannot start a container here: $(tail -1 "$log")"
