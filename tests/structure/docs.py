"""docs/operations.md is what the command prints.
SPDX-License-Identifier: MIT"""
import subprocess
from tree import BUILD, ROOT, finish, report

printed = subprocess.run([BUILD / "gradus", "ops"], capture_output=True, text=True, check=True).stdout
page = (ROOT / "docs/operations.md").read_text()
report("the_page_of_operations_is_fresh", [] if f"```\n{printed}```" in page else ["put the output of `gradus ops` into docs/operations.md"])
finish()
