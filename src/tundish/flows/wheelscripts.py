"""What a person runs on the box: a shell script, and a text for Windows."""

from __future__ import annotations

INSTALL = """\
#!/bin/sh
# Installs Tundish {tundish} from this folder: no network, no root, nothing outside of VENV.
#   sh install.sh VENV        (PYTHON=/path/to/python{python} to choose the interpreter)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
venv=${{1:?usage: sh install.sh VENV}}
python=${{PYTHON:-python{python}}}
if ! "$python" -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] != "{python}")'; then
  echo "These wheels are for Python {python}; set PYTHON to it." >&2
  exit 1
fi
echo "manifest sha256:$(sha256sum "$here/manifest.json" | cut -d ' ' -f 1)"
echo "  compare with what 'tundish verify-wheels' says where it is trusted"
# settings of pip on this box must not bring an index, a proxy or another folder back in
unset PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_FIND_LINKS PIP_REQUIREMENT PIP_CONSTRAINT PIP_TARGET PYTHONPATH
PIP_CONFIG_FILE=/dev/null
export PIP_CONFIG_FILE
"$python" -m venv "$venv" || {{
  echo "No virtual environment could be made; on Debian install python3-venv." >&2
  exit 1
}}
"$venv/bin/python" -m pip install --quiet --no-input --disable-pip-version-check --no-cache-dir \\
  --no-index --find-links "$here/wheels" --only-binary :all: --require-hashes \\
  --requirement "$here/requirements.txt"
"$venv/bin/tundish" --version
"""

WINDOWS = """\
Tundish {tundish} without a network, on Windows.
This text was never run where Tundish is developed. In a Command Prompt, in this folder:

  set PIP_CONFIG_FILE=nul
  certutil -hashfile manifest.json SHA256
  py -{python} -m venv C:\\tundish
  C:\\tundish\\Scripts\\python -m pip install --no-input --no-cache-dir --no-index --find-links wheels --only-binary :all: --require-hashes --requirement requirements.txt
  C:\\tundish\\Scripts\\tundish --version

Compare the SHA256 with what 'tundish verify-wheels' says where it is trusted.
"""
