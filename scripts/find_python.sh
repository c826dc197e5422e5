#!/bin/sh
# Print the path of a Python, 3.11 or newer, that can make virtual environments; where there is none, have it installed.
set -eu

probe='
import sys
if sys.version_info < (3, 11):
    raise SystemExit(1)
import ensurepip, venv
print(sys._base_executable)
'

find_python() {
    for name in python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3 /usr/bin/python3.11; do
        "$name" -I -c "$probe" 2>/dev/null && return 0
    done
    return 1
}

find_python || {
    sh "$(dirname "$0")/install_packages.sh" python >&2
    find_python
}
