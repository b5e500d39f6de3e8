"""Only what pyproject.toml can't say: a source distribution keeps the links in `disentangle_bench/` as links."""

from pathlib import Path

from setuptools import setup
from setuptools.command.sdist import sdist

LINKS = sorted(path for path in Path("disentangle_bench").iterdir() if path.is_symlink())


class LinkedSource(sdist):
    """Setuptools would follow the links and pack every file twice, or, without them, leave nothing to build from."""

    def make_release_tree(self, base_dir, files):
        """Copy all files but those behind the links, then make the links."""
        behind = tuple(f"{link.as_posix()}/" for link in LINKS)
        super().make_release_tree(base_dir, [file for file in files if not file.startswith(behind)])
        for link in LINKS:
            Path(base_dir, link).symlink_to(link.readlink())


setup(cmdclass={"sdist": LinkedSource})
