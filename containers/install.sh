#!/bin/sh
# Fill an image: the roles that are named, from their locks under /opt/envs, into /opt/venv. Runs in %post.
# Wheels that the host fetched lie at /mnt for the time of the build (`artifactscoder images build` binds them), and with
# them the host's mirror of front-end libraries; without any, pip asks its index, and npm its registry. After `--beside=NAMES` the roles fill up a Python that the base image has: what is there
# stays, except NAMES, which are replaced by the locks' versions.
set -eu
export DEBIAN_FRONTEND=noninteractive
beside=
case $1 in --beside=*)
  beside=${1#--beside=}
  shift
  ;;
esac

apt() {
  # Where root lacks capabilities (a container in a container), apt cannot become its own user.
  apt-get -q -y -o APT::Sandbox::User=root -o Dpkg::Use-Pty=0 --no-install-recommends "$@"
}
packages="python3 python3-venv ca-certificates"
for role in "$@"; do
  # Ubuntu's chromium is a snap, which no image can hold: beside another base the browser is Playwright's.
  [ "$role" = render ] && packages="$packages fonts-dejavu-core fonts-liberation fonts-noto-cjk fonts-noto-color-emoji"
  [ "$role" = render ] && [ -z "$beside" ] && packages="$packages chromium-headless-shell"
done
apt update
file=$(mktemp)
if ! chown 0:42 "$file" 2> /dev/null; then
  # There root cannot give a file away either: a package whose files have another owner or group stays as it is.
  for given in $(find / -xdev -type f ! -path '/proc/*' \( ! -user 0 -o ! -group 0 \)); do
    dpkg -S "*/${given##*/}" 2> /dev/null | cut -d: -f1 | xargs -r apt-mark hold
  done
fi
rm -f "$file"
[ -n "$beside" ] || apt upgrade
# shellcheck disable=SC2086
apt install $packages

python3 -m venv ${beside:+--system-site-packages} /opt/venv
python=/opt/venv/bin/python
for role in "$@"; do cat "/opt/envs/$role.txt"; done > /opt/envs/all.txt
source=
ls /mnt/*.whl > /dev/null 2>&1 && source="--no-index --find-links /mnt"
if [ -n "$beside" ]; then
  # Only what the base image lacks, at the locks' versions; its torch, vLLM and Ray were built for one another.
  $python - "$beside" > /opt/envs/lacking.txt << 'END'
import re
import sys
from importlib.metadata import distributions

def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()

there = {plain(one.metadata["Name"]) for one in distributions()} - set(sys.argv[1].split(","))
for line in dict.fromkeys(open("/opt/envs/all.txt")):
    if re.match(r"\w", line) and plain(line.split("==")[0]) not in there:
        print(line, end="")
END
  $python -m pip install --no-cache-dir --no-deps --ignore-requires-python $source -r /opt/envs/lacking.txt
  PLAYWRIGHT_BROWSERS_PATH=/opt/browsers $python -m playwright install --with-deps --only-shell chromium
else
  $python -m pip install --no-cache-dir --no-compile --ignore-requires-python $source -r /opt/envs/all.txt
  # An image cannot be written to: what is not compiled now is compiled by every job again.
  $python -m compileall -q -j 0 /opt/venv/lib > /dev/null || true
fi

for role in "$@"; do
  [ "$role" = render ] || continue
  mirror=/opt/venv/share/artifactscoder/mirror
  mkdir -p "${mirror%/*}"
  # The host's, if it is of this lock; envs/mirror.sh then finds nothing to do.
  [ ! -e /mnt/mirror/stamp ] || cp -r /mnt/mirror "$mirror"
  bash /opt/envs/mirror.sh $python
  chmod -R a+rX "$mirror"
done

# The package itself stays in the checkout, which is bound at run time: PYTHONPATH points at its `workflow` folder.
printf '#!/bin/sh\nexec /opt/venv/bin/python -m artifactscoder.cli "$@"\n' > /opt/venv/bin/artifactscoder
chmod 755 /opt/venv/bin/artifactscoder
apt-get clean 2> /dev/null || true
rm -rf /var/lib/apt/lists/* 2> /dev/null || true
