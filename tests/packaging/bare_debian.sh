#!/usr/bin/env bash
# The README followed on a bare Debian: nothing is installed there but what the README says is needed.
# What runs is read from the README of the last commit. A picture of the status page is left:
#
#     tests/packaging/bare_debian.sh PICTURE.png
#
# Needs root on a Debian, with debootstrap, Chromium and a network, this clone's .venv (make), and the ports
# 8765 and 8766. The bare Debian is of the same release, from the mirror that apt uses here.
set -euo pipefail
shopt -s inherit_errexit nullglob

picture=$(realpath "${1:?usage: $0 PICTURE.png}")
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
bare=$work/bare
clone=$bare/root/openalgo-ws
server=

# Mounts and processes of the bare Debian live in namespaces of their own, and end with them.
clean() {
    [ -z "$server" ] || { kill "$server" && wait "$server"; } 2>/dev/null || true
    rm -rf --one-file-system "$work"
}
trap clean EXIT
trap 'exit 1' INT TERM

# Becomes a command in the clone there, for at most 15 minutes. unshare ignores SIGTERM, hence -k.
in_bare() {
    # shellcheck disable=SC2016
    exec timeout --foreground -k 1 900 unshare --mount --pid --fork --kill-child bash -euc '
        mount -t proc proc "$1/proc"
        mount --rbind /dev "$1/dev"
        exec env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive \
            chroot "$1" bash -euc "cd /root/openalgo-ws; $2"' bash "$bare" "$1"
}

echo "--- a bare Debian"
. /etc/os-release
sources=$(apt-get indextargets --format 'deb $(SITE) $(RELEASE) $(COMPONENT)' \
    'Created-By: Packages' 'Origin: Debian' | sort -u)
mirror=$(awk -v release="$VERSION_CODENAME" '$3 == release { print $2; exit }' <<<"$sources")
debootstrap --variant=minbase "$VERSION_CODENAME" "$bare" "${mirror:?apt knows no mirror}" >"$work/debootstrap" ||
    { tail "$work/debootstrap"; exit 1; }

# How this machine gets at mirrors and package indexes: sources, proxies, authorities.
echo "$sources" >"$bare/etc/apt/sources.list"
apt-config dump Acquire | grep -E '^Acquire::(https?|Check-)' >"$bare/etc/apt/apt.conf.d/99host" || true
cp -L /etc/resolv.conf "$bare/etc/"
for file in /etc/pip.conf /etc/ssl/certs/ca-certificates.crt /usr/local/share/ca-certificates/*.crt; do
    [ ! -e "$file" ] || install -D -m 644 "$file" "$bare$file"
done

git clone --quiet . "$clone"
readme=$clone/README.md

echo "--- what is needed"
needed=$(grep -om1 'apt-get install [^`]*' "$readme")
(in_bare "apt-get -qq update; ${needed/install/install -qq --no-install-recommends}") >"$work/apt" 2>&1 ||
    { tail "$work/apt"; exit 1; }

echo "--- make run"
(in_bare "make run") >"$work/run" 2>&1 &
server=$!
timeout 900 grep -m1 'status page' <(tail -n +1 --pid="$server" -f "$work/run") || { cat "$work/run"; exit 1; }

echo "--- the status page"
.venv/bin/python -m tests.packaging.moving_price "$(grep -om1 'http://127.0.0.1:8766/[^>]*' "$readme")" "$picture"

echo "--- the SDK"
(in_bare "$(grep -om1 '\.venv/bin/pip install openalgo' "$readme")")
sed -n '/^```python$/,/^```$/p' "$readme" | sed '1d;$d' >"$bare/root/snippet.py"
coproc SDK { in_bare '.venv/bin/python -u ../snippet.py'; }
sdk=$SDK_PID
until [[ ${line:-} == *"'ltp'"* ]]; do read -r -t 60 line <&"${SDK[0]}"; done
echo "$line"
echo >&"${SDK[1]}" # Enter ends it
wait "$sdk"

echo "--- a server of one's own, without a login yet"
grep -E '^\(umask|^\.venv/bin/openalgo-ws (user add|doctor)' "$readme" |
    while IFS= read -r command; do (in_bare "$command" </dev/null); done
echo "--- the README holds on a bare Debian $VERSION_ID"
