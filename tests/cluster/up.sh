#!/usr/bin/env bash
# Boot munge, MariaDB, slurmdbd, slurmctld and six slurmd on this machine, as root, without systemd. State stands in
# $LAB (.cluster of the checkout by default). Replaces /etc/slurm/*.conf by links: the plugin's job step strips SLURM_CONF.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export LAB=${LAB:-$(dirname "$(dirname "$here")")/.cluster}
host=$(hostname -s) nodes=(cn01 cn02 cn03 gn01 gn02 gn03)
if timeout 5 scontrol ping 2> /dev/null | grep -q 'is UP'; then
  echo "test cluster: up already"
  exit 0
fi
"$here/down.sh"
mkdir -p "$LAB"/{etc,state/ctld,log,run} /etc/slurm
for node in "${nodes[@]}"; do mkdir -p "$LAB/spool/$node"; done
echo "CgroupAutomount=no" > "$LAB/etc/cgroup.conf.in"
cp "$here"/*.conf.in "$LAB/etc/"
for name in slurm gres slurmdbd cgroup; do
  sed -e "s#@LAB@#$LAB#g" -e "s#@HOST@#$host#g" "$LAB/etc/$name.conf.in" > "$LAB/etc/$name.conf"
  if [ -e "/etc/slurm/$name.conf" ] && [ ! -L "/etc/slurm/$name.conf" ]; then
    echo "test cluster: /etc/slurm/$name.conf is a file of this machine's own; it is not replaced" >&2
    exit 2
  fi
  ln -sfn "$LAB/etc/$name.conf" "/etc/slurm/$name.conf"
done
chmod 600 "$LAB/etc/slurmdbd.conf"
wait_for() { # what, seconds, command ...
  local what=$1 end=$((SECONDS + $2))
  shift 2
  until "$@" > /dev/null 2>&1; do
    [ $SECONDS -lt $end ] || { echo "test cluster: $what did not come up; see $LAB/log" >&2; exit 1; }
    sleep 0.1
  done
}

# The nodes' names lead here, as in a cluster's own name service.
grep -q 'test cluster$' /etc/hosts || echo "127.0.0.1 ${nodes[*]} # artifactscoder test cluster" >> /etc/hosts
install -d -o munge -g munge -m 0755 /run/munge
[ -s /etc/munge/munge.key ] || runuser -u munge -- mungekey
if ! munge -n > /dev/null 2>&1; then
  runuser -u munge -- munged
  wait_for munge 10 munge -n
  cp /run/munge/munged.pid "$LAB/run/munged.pid"
fi

data=$LAB/state/mysql socket=$LAB/run/mysql.sock
[ -d "$data/mysql" ] || mariadb-install-db --no-defaults --user=root --datadir="$data" \
  --auth-root-authentication-method=normal --skip-test-db > "$LAB/log/mariadb-install.log" 2>&1
setsid mariadbd --no-defaults --user=root --datadir="$data" --socket="$socket" --port=13306 --bind-address=127.0.0.1 \
  --pid-file="$LAB/run/mariadbd.pid" --innodb-buffer-pool-size=64M --innodb-log-file-size=32M \
  --innodb-flush-log-at-trx-commit=0 > "$LAB/log/mariadbd.log" 2>&1 < /dev/null &
wait_for MariaDB 30 mariadb-admin --no-defaults --socket="$socket" -uroot ping
mariadb --no-defaults --socket="$socket" -uroot -e "create database if not exists slurm_acct_db;
  create user if not exists 'slurm'@'127.0.0.1' identified by 'slurm'; grant all on slurm_acct_db.* to 'slurm'@'127.0.0.1';
  create user if not exists 'slurm'@'localhost' identified by 'slurm'; grant all on slurm_acct_db.* to 'slurm'@'localhost'"

slurmdbd
wait_for slurmdbd 30 timeout 3 sacctmgr -n -i show cluster
grep -qw test <<< "$(sacctmgr -n show cluster format=cluster%20)" || sacctmgr -i add cluster test > /dev/null
for account in lab other; do
  grep -qw $account <<< "$(sacctmgr -n show account format=account%20)" ||
    sacctmgr -i add account $account Description=$account Organization=lab > /dev/null
done
grep -qw lab <<< "$(sacctmgr -n show assoc user=root format=account%20)" || sacctmgr -i add user root Account=lab > /dev/null
slurmctld
for node in "${nodes[@]}"; do slurmd -N "$node"; done
idle() { [ "$(sinfo -h -N -o '%N %T' | sort -u | grep -c idle)" -ge ${#nodes[@]} ]; }
wait_for "the nodes" 60 idle
sinfo -N -o '%N %P %T %c %m %G'
