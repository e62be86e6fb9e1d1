"""meson.build names its sources one by one: nothing that lies in a folder may be forgotten there.
SPDX-License-Identifier: MIT"""
import json
from tree import BUILD, ROOT, files, finish, report

targets = json.loads((BUILD / "meson-info/intro-targets.json").read_text())
built = {path for t in targets for group in t["target_sources"] for path in group["sources"]}
tests = (BUILD / "meson-info/intro-tests.json").read_text()

missing = [path for path, _ in files(".c") if str(ROOT / path) not in built and not path.startswith("tests/fuzz/")]
report("every_source_file_is_built", [f"{path}: add it to meson.build" for path in missing])
report("every_example_has_an_expected_output",
       [path for path, _ in files(".c", folders=["examples"])
        if path.startswith("examples/") and not (ROOT / path).with_suffix(".expected").exists()])
report("every_script_is_a_test",
       [path for path, _ in files(".py", folders=["tests/structure", "tests/install"])
        if path not in ("tests/structure/tree.py", "tests/structure/summary.py") and path not in tests])
finish()
