"""What is known to be wrong with the packages of requirements.lock; `make audit` installs pip-audit and runs this.

    python -m tests.audit PIP_AUDIT

Exit code 0: nothing is; 1: something is, a line each; 2: nobody could be asked, said in one line. pip-audit itself ends
with 0 where an index has no advisories, which many copies of PyPI have not: what was not asked about is not clean.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.conftest import ROOT

FILES = sorted(ROOT.glob("requirements*.lock"))
MINUTES = 5


def main(program: str) -> int:
    pins = [pin for file in FILES for pin in re.findall(r"(?m)^[^#\s]+==[^\s]+", file.read_text())]
    for asked in (pins[:1], pins):  # one first: an index that has nothing to say is not asked 200 times
        lines, code = verdict(_ask(program, asked))
        if code == 2:
            break
    print("\n".join(lines))
    return code


def _ask(program: str, pins: Sequence[str]) -> str:
    """What pip-audit says of ``pins``, as JSON; what it complains of where it cannot."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pins.txt"
        file.write_text("\n".join(pins))
        command = [program, "--requirement", str(file), "--no-deps", "--disable-pip"]
        command += ["--progress-spinner", "off", "--format", "json"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60 * MINUTES)
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
    return done.stdout or done.stderr


def verdict(said: str) -> tuple[list[str], int]:
    """Lines and exit code for what pip-audit has said."""
    try:
        packages = json.loads(said)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return [f"audit: not done: {' '.join(said.split())[-300:] or 'pip-audit said nothing'}"], 2
    asked = [of for of in packages if "skip_reason" not in of]
    skipped = [of for of in packages if "skip_reason" in of]
    if skipped:
        why = " ".join(str(skipped[0]["skip_reason"]).split())
        return [f"audit: not done: {len(skipped)} of {len(packages)} packages could not be asked about: {why}"], 2
    found = [
        f"{of['name']} {of['version']}: {flaw['id']}, mended in {', '.join(flaw['fix_versions']) or 'no version yet'}"
        for of in asked
        for flaw in of["vulns"]
    ]
    return [*found, f"audit: {len(found)} known vulnerabilities in {len(asked)} packages"], 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
