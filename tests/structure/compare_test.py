"""What compare.py prints, for a benchmark whose times are known.
SPDX-License-Identifier: MIT"""
import pathlib
import subprocess
import sys
import tempfile
from tree import ROOT, finish, report

BENCH = """#!/usr/bin/env python3
import sys
SECONDS = {"loss/10": 3e-9, "loss-fused/10": 2e-9, "k": 5e-6}
if sys.argv[-1] == "list":
    for name in SECONDS:
        print(name, "element" if "/" in name else "step", "words", sep="\\t")
given = [2.0, 2.0, 1.2, 1.9, 1.9, 1.0]
for line in sys.stdin if "processors" in sys.argv else []:
    print(given.pop(0) if given else 2.0, flush=True)
for line in sys.stdin if sys.argv[-1] == "serve" else []:
    seconds = SECONDS[line.split()[0]] / (int(sys.argv[2]) if "--threads" in sys.argv else 1)
    print(seconds, seconds, flush=True)
"""


def rows(*options):
    """The last columns of the rows that compare.py prints, by case; its complaint, if it has one."""
    with tempfile.TemporaryDirectory() as folder:
        bench = pathlib.Path(folder) / "tests/bench/gradus-bench"
        bench.parent.mkdir(parents=True)
        bench.write_text(BENCH)
        bench.chmod(0o755)
        r = subprocess.run([sys.executable, str(ROOT / "tests/bench/compare.py"), "--rounds", "2", "--slice", "0", *options[:-1], folder, *options[-1:]],
                           capture_output=True, text=True)
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in r.stdout.splitlines() if line.startswith("|")]
    return {row[0]: row[2:] for row in table[2:]} if r.returncode == 0 else r.stderr


def same(got, expected):
    return [] if got == expected else [f"got {got}, expected {expected}"]


fused = {"loss-fused/10": ["2.00 ns / element", "3.00 ns / element", "loss/10", "**1.50**", "1.50-1.50"]}
report("a_case_stands_beside_another_of_ours", same(rows("--against=-fused=", "*"), fused))
report("the_other_has_as_many_threads", same(rows("--threads", "2", "--against=loss=loss-fused", "loss/*"),
       {"loss/10": ["1.50 ns / element", "1.00 ns / element", "loss-fused/10", "**0.67**", "0.67-0.67"]}))
report("or_one_if_that_is_asked_for", same(rows("--threads", "2", "--alone", "k"), {"k": ["2.50 us", "5.00 us", "one thread", "**2.00**", "2.00-2.00"]}))
report("rounds_in_which_the_machine_is_not_steady_do_not_count",
       same(rows("--threads", "2", "--alone", "--steady", "k"), {"k": ["2.50 us", "5.00 us", "one thread", "**2.00**", "2.00-2.00; 2 of 4 rounds dropped"]}))
report("what_has_no_other_is_an_error", same("Fix: see" in rows("--against=-fused=", "k"), True))
finish()
