"""Writes requirements/lowest.txt: the lower bounds of pyproject.toml, the newest patch of each."""

import re
import tomllib
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]
    bounds = {}
    for wanted in [*project["dependencies"], *project["optional-dependencies"]["test"]]:
        found = re.match(r"([A-Za-z0-9-]+)(?:\[.*\])?>=([0-9.]+)", wanted)
        assert found is not None, f"no lower bound: {wanted}"
        bounds[found[1]] = found[2]
    lines = [f"{name}=={version}.*\n" for name, version in sorted(bounds.items())]
    (HERE / "lowest.txt").write_text("".join(lines))


main()
