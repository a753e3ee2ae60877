# SPDX-License-Identifier: Apache-2.0
"""What pyproject.toml cannot say: the package is made by generate.py, from its sources and the contract in proto/."""
import pathlib
import shutil
import sys

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import generate  # noqa: E402


class Generated(build_py):
    """The whole package into the wheel."""

    def run(self):
        made = pathlib.Path(self.get_finalized_command("build").build_temp).absolute() / "package"
        generate.generate(made)
        shutil.copytree(made / "futured", pathlib.Path(self.build_lib) / "futured", dirs_exist_ok=True)


setup(packages=["futured"], cmdclass={"build_py": Generated})
