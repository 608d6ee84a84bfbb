#!/bin/sh
# usage: system-packages.sh COMMAND=PACKAGE ...
# Debian packages for commands that pip and npm do not carry. Installs what is missing where it may (root, or sudo
# without a password); otherwise says what is missing and goes on: whoever needs the command complains by name.
PATH=$PATH:/usr/sbin:/sbin:$(echo /usr/lib/postgresql/*/bin)
missing=""
for pair in "$@"; do
    command -v "${pair%%=*}" >/dev/null || missing="$missing ${pair#*=}"
done
python3 -c 'import ensurepip' 2>/dev/null || missing="$missing python3-venv"
[ -z "$missing" ] && exit 0

if ! command -v apt-get >/dev/null; then
    echo "missing, and there is no apt-get here:$missing" >&2
    exit 0
fi
as_root=""
if [ "$(id -u)" != 0 ]; then
    if sudo -n true 2>/dev/null; then
        as_root="sudo -n"
    else
        echo "missing; as root: apt-get install$missing" >&2
        exit 0
    fi
fi
echo "installing:$missing"
case "$missing" in *postgresql*)
    # Its programs are wanted, not a database server that starts with the machine.
    [ -e /etc/postgresql-common ] ||
        $as_root sh -c 'mkdir /etc/postgresql-common && echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf' ;;
esac
$as_root apt-get update -qq &&
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null ||
    echo "apt-get could not install:$missing" >&2
exit 0
