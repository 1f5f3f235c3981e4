"""Asks the vulnerability service about the exact versions that CI installs (or those of another file).

Exit code 1 for a known vulnerability that isn't explained in EXPLAINED. Where the service can't be
reached, that is said, and nothing is judged.
"""

import json
import subprocess
import sys
from pathlib import Path

LOCK = Path(__file__).parent / "ci.lock"

#: Identifier of a vulnerability → why it does not concern us.
EXPLAINED: dict[str, str] = {}


def main(lock: Path) -> int:
    command = [str(Path(sys.executable).parent / "pip-audit"), "--format=json", "--progress-spinner=off"]
    command += ["--no-deps", "--disable-pip", f"--requirement={lock}"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        packages = json.loads(asked.stdout)["dependencies"]
    except (ValueError, KeyError):
        why = (asked.stderr.strip().splitlines() or ["no answer"])[-1]
        print(f"pip-audit: NOT RUN, the vulnerability service can't be reached ({why.partition('(')[0]})")
        return 0
    found = [(package, one) for package in packages for one in package.get("vulns", ())]
    for package, one in found:
        why = EXPLAINED.get(one["id"], "NOT EXPLAINED")
        print(f"pip-audit: {package['name']} {package['version']}: {one['id']}: {why}")
    left_out = [package["name"] for package in packages if "skip_reason" in package]
    if len(left_out) == len(packages):
        print("pip-audit: NOT RUN, the service that answers here knows none of the packages")
        return 0
    if left_out:
        print(f"pip-audit: not known to the service: {', '.join(left_out)}")
    print(f"pip-audit: {len(packages) - len(left_out)} packages, {len(found)} known vulnerabilities")
    return int(any(one["id"] not in EXPLAINED for _, one in found))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else LOCK))
