#!/bin/sh
# Install what is missing with apt where that is allowed, or say how to: install_packages.sh python|postgis|embedded|wrk
#
# Debian's PostgreSQL would at once make a cluster of its own on port 5432 and start it. A drop-in forbids that for as
# long as this installs; clusters that are there already are not touched.
set -eu

need=$1
drop_in=/etc/postgresql-common/createcluster.d/undervolt.conf
own_conf=/etc/postgresql-common/createcluster.conf
LC_ALL=C
export LC_ALL

say() {
    echo "          $*" >&2
}

# A release whose python3 is older than 3.11 (Ubuntu 22.04) has python3.11 beside it.
name_python_packages() {
    minor=$(apt-cache policy python3 2>/dev/null | sed -n 's/^ *Candidate: 3\.\([0-9]*\).*/\1/p')
    if [ "${minor:-11}" -ge 11 ]; then
        echo python3 python3-venv
    else
        echo python3.11 python3.11-venv
    fi
}

# An installed PostgreSQL comes before a newer one that would have to be installed.
name_postgis_packages() {
    newest='' installed=''
    for version in $(apt-cache search --names-only '^postgresql-[0-9]+-postgis-3$' 2>/dev/null | cut -d- -f2 | sort -n); do
        [ "$version" -ge 14 ] || continue
        newest=$version
        if [ -x "/usr/lib/postgresql/$version/bin/postgres" ]; then installed=$version; fi
    done
    chosen=${installed:-$newest}
    if [ -n "$chosen" ]; then
        echo "postgresql-$chosen-postgis-3"
    else # apt knows none before its lists are read
        echo "\$(apt-cache search --names-only '^postgresql-[0-9]+-postgis-3\$' | cut -d' ' -f1 | sort -V | tail -n 1)"
    fi
}

name_packages() {
    case $need in
        python) name_python_packages ;;
        postgis) name_postgis_packages ;;
        embedded) echo libgomp1 ;;
        wrk) echo wrk ;;
    esac
}

name_need() {
    case $need in
        python) echo Python with venv ;;
        postgis) echo PostgreSQL with PostGIS ;;
        embedded) echo the OpenMP library ;;
        wrk) echo wrk ;;
    esac
}

explain() {
    if [ "$need" = embedded ]; then
        say "the embedded model needs the OpenMP library, which was not installed, because $1:"
        say "sudo apt-get install -y libgomp1 (Fedora: sudo dnf install -y libgomp); answers are complete without it"
        exit 69
    fi
    if [ "$need" = wrk ]; then
        say "the load tool wrk is missing and was not installed, because $1:"
        say "sudo apt-get install -y wrk (Fedora: sudo dnf install -y wrk, macOS: brew install wrk); the rest is measured"
        exit 69
    fi
    cat >&2 <<END

Undervolt needs Python 3.11 or newer with venv, and PostgreSQL 14 or newer with PostGIS 3.2 or newer.
$(name_need) of such an age is missing here, and was not installed, because $1.

  Debian, Ubuntu   sudo apt-get update && sudo apt-get install -y --no-install-recommends $(name_python_packages) $(name_postgis_packages)
  Fedora           sudo dnf install -y python3 postgresql-server postgis
  macOS            brew install python@3.13 postgresql@17 postgis

Then give the same command again. With UNDERVOLT_DATABASE_URL set, a PostGIS elsewhere is used instead.
The other way, with Docker and nothing else: docker compose up
END
    exit 69
}

forbid_debian_cluster() {
    trap allow_debian_cluster EXIT
    trap 'exit 130' INT TERM HUP
    mkdir -p "${drop_in%/*}"
    echo "create_main_cluster = false  # only while make installs PostgreSQL; remove this file if it stayed behind" >"$drop_in"
    if [ -f "$own_conf" ] && ! grep -q '^ *include_dir' "$own_conf"; then
        cp -p "$own_conf" "$own_conf.undervolt"
        cat "$drop_in" >>"$own_conf"
    fi
}

allow_debian_cluster() {
    rm -f "$drop_in"
    if [ -f "$own_conf.undervolt" ]; then mv "$own_conf.undervolt" "$own_conf"; fi
    rmdir "${drop_in%/*}" "${own_conf%/*}" 2>/dev/null || true
}

apt_get() {
    DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 "$@" >>"$log" 2>&1
}

install_as_root() {
    log=$(mktemp)
    if [ -z "$(find /var/lib/apt/lists -maxdepth 1 -name '*Packages*' -mtime -7 2>/dev/null)" ]; then
        say "reading apt's lists"
        apt_get update || true
    fi
    packages=$(name_packages)
    say "installing with apt: $packages (a minute or so)"
    forbid_debian_cluster
    # A list that names packages which the mirror has replaced makes the first try fail.
    # shellcheck disable=SC2086
    if apt_get install --no-install-recommends $packages || { apt_get update && apt_get install --no-install-recommends $packages; }; then
        rm -f "$log"
    else
        tail -n 20 "$log" >&2
        rm -f "$log"
        return 1
    fi
}

if [ "${2:-}" = --as-root ]; then
    install_as_root
elif ! command -v apt-get >/dev/null; then
    explain "there is no apt here"
elif [ "$(id -u)" = 0 ]; then
    install_as_root || explain "apt could not"
elif ! command -v sudo >/dev/null; then
    explain "only root may use apt and there is no sudo"
elif sudo -n true 2>/dev/null; then
    sudo -n sh "$0" "$need" --as-root || explain "apt could not"
elif [ -t 0 ] && [ -t 2 ]; then
    say "$(name_need) is missing; sudo asks for your password to install it"
    sudo sh "$0" "$need" --as-root || explain "sudo or apt would not"
else
    explain "sudo asks for a password and there is no terminal to type it"
fi
