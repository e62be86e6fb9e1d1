"""The comparison of printed numbers is itself compared with what it should say.
SPDX-License-Identifier: MIT"""
import subprocess
import sys
import tempfile
from tree import ROOT, finish, report

sys.path.insert(0, str(ROOT / "tests"))
from compare_output import difference

EQUAL = [("loss 0.1234", "loss  0.1235"), ("step 10", "step 10"), ("1.00e-05", "1.01e-05"), ("0.291027774", "0.291027775"), ("[1.0000, -2.5]", "[1.0001, -2.4]"),
         ("w1 = 3", "w1 = 3"), ("nan inf", "nan inf"), ("took ... s", "took 3.21 s"), ("accuracy {0.8..0.9}", "accuracy 0.87"),
         ("1234567.0", "1234567.1"), ("a\n\n", "a")]
OTHER = [("loss 0.1234", "loss 0.1236"), ("step 10", "step 11"), ("w1 = 3", "w2 = 3"), ("x", "x y"), ("a\nb", "a"), ("a", "a\nb"),
         ("1.0", "nan"), ("accuracy {0.8..0.9}", "accuracy 0.91"), ("0.5", "-0.5"), ("0.291027774", "0.291027924"), ("x=1", "x=1s")]
report("rounding_and_spaces_are_no_difference", [f"{a!r} {b!r}: {d}" for a, b in EQUAL if (d := difference(a, b))])
report("words_whole_numbers_and_lines_are", [f"{a!r} {b!r}" for a, b in OTHER if not difference(a, b)])


def status(expected, script):
    with tempfile.NamedTemporaryFile("w", suffix=".expected") as f:
        f.write(expected)
        f.flush()
        command = [sys.executable, str(ROOT / "tests/compare_output.py"), f.name, "sh", "-c", script]
        return subprocess.run(command, capture_output=True).returncode


report("a_program_that_prints_the_same_passes", [] if status("a 1\n", "echo a 1") == 0 else ["failed"])
report("a_program_that_prints_something_else_fails", [] if status("a 1\n", "echo a 2") else ["passed"])
report("a_program_that_fails_fails", [] if status("a 1\n", "echo a 1; exit 3") else ["passed"])
report("a_program_that_ends_with_77_is_skipped", [] if status("a 1\n", "echo no data; exit 77") == 77 else ["not skipped"])
report("a_missing_expected_file_fails",
       [] if subprocess.run([sys.executable, str(ROOT / "tests/compare_output.py"), "/nowhere", "true"], capture_output=True).returncode
       else ["passed"])
finish()
