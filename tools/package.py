"""Install what lies in dist/ into a fresh environment, as a user would, and judge an encoder there: `make package`.

First the wheel with what it needs and no extra, then the source distribution in its place.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

DIST = Path("dist")
JUDGE = ["eval", "--encoder", "timm:test_resnet", "--untrained", "--suite", "smoke", "--dataset", "digits"]
JUDGE += ["--measures", "linear", "--out", "runs"]
USES = [
    (["--help"], 0, "eval"),
    (["list", "methods"], 0, "simclr"),
    (["list", "datasets"], 0, "shapes3d"),
    (JUDGE, 0, "timm:test_resnet"),
    (["leaderboard", "--out", "runs", "--format", "csv"], 0, "linear@1"),
    (["report", "--out", "runs", "--to", "report"], 2, "pip install 'disentangle-bench[report]'"),
    (["run", "--logger", "wandb"], 2, "pip install 'disentangle-bench[wandb]'"),
]
"""Arguments of `bench`, its exit code, and what it says."""


def main(constraints: Path | None) -> int:
    """Exit code 0 if both distributions can be installed and used."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        venv.create(home / "venv", with_pip=True)
        python = home / "venv" / "bin" / "python"
        pinned = ["--constraint", str(constraints.absolute())] if constraints else []
        for pattern, options in (("*.whl", pinned), ("*.tar.gz", ["--force-reinstall", "--no-deps"])):
            (file,) = DIST.glob(pattern)
            subprocess.run([python, "-m", "pip", "install", "--quiet", *options, file.absolute()], check=True)
            print(f"{file.name}: installed", flush=True)
            for arguments, code, word in USES:
                _use(home, arguments, code, word)
    return 0


def _use(home: Path, arguments: list[str], code: int, word: str) -> None:
    """Run one command away from the repository; SystemExit if it isn't as expected."""
    command: list[str | Path] = [home / "venv" / "bin" / "bench", *arguments]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    said = done.stdout + done.stderr
    if done.returncode != code or word not in said:
        sys.exit(f"bench {' '.join(arguments)}: exit code {done.returncode}, expected {code} and {word!r}:\n{said}")
    print(f"  bench {' '.join(arguments)}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--constraint", type=Path, help="versions to install, such as constraints.txt; newest if absent"
    )
    sys.exit(main(parser.parse_args().constraint))
