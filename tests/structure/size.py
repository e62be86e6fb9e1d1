"""How large the shared library is as users install it.
SPDX-License-Identifier: MIT"""
import pathlib
import subprocess
import tempfile
from tree import BUILD, finish, report

LIMIT = 1_000_000  # bytes, stripped
with tempfile.TemporaryDirectory() as folder:
    stripped = pathlib.Path(folder) / "library"
    subprocess.run(["strip", "-o", stripped, BUILD / "libgradus.so"], check=True)
    size = stripped.stat().st_size
report("the_stripped_library_is_at_most_a_megabyte", [f"{size} bytes"] if size > LIMIT else [])
finish()
