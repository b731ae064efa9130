#!/usr/bin/env bash
# Stop the daemons that up.sh started (by their pid files under $LAB) and take the links in /etc/slurm away.
here=$(cd "$(dirname "$0")" && pwd)
LAB=${LAB:-$(dirname "$(dirname "$here")")/.cluster}
stop() {
  local pid
  pid=$(cat "$1" 2> /dev/null) && [ -n "$pid" ] || return 0
  kill "$pid" 2> /dev/null
  for _ in $(seq 100); do kill -0 "$pid" 2> /dev/null || break; sleep 0.1; done
}
[ -e "$LAB/run/slurmctld.pid" ] && timeout 20 scancel --user=root 2> /dev/null
for file in "$LAB"/run/slurmd-*.pid "$LAB"/run/slurmctld.pid "$LAB"/run/slurmdbd.pid "$LAB"/run/mariadbd.pid "$LAB"/run/munged.pid; do stop "$file"; done
rm -f "$LAB"/run/munged.pid
for name in slurm gres slurmdbd cgroup; do
  [ "$(readlink "/etc/slurm/$name.conf")" = "$LAB/etc/$name.conf" ] && rm -f "/etc/slurm/$name.conf"
done
hosts=$(grep -v 'artifactscoder test cluster$' /etc/hosts) && echo "$hosts" > /etc/hosts # in place: it may be a mount
exit 0
