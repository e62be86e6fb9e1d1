"""Adds up what several runs of `meson test` found: each TAP case counts, and a program without TAP counts as one.

  summary.py LOG.json... [--broken STEP]...     the logs are meson-logs/testlog*.json

Prints the output of what failed, then "N passed, M failed".
SPDX-License-Identifier: MIT"""
import argparse
import json
import pathlib
import re
import sys

CASE = re.compile(r"^(not ok|ok)\b(?!.*# SKIP)", re.M)
GOOD = ("OK", "EXPECTEDFAIL", "SKIP")


def count(test):
    """(passed, failed) of one entry of the log."""
    cases = CASE.findall(test.get("stdout") or "")
    passed, failed = cases.count("ok"), cases.count("not ok")
    if test["result"] in GOOD:
        return (passed, failed) if cases else (int(test["result"] != "SKIP"), 0)
    return passed, max(failed, 1) # it may have crashed between two cases


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("logs", nargs="*", type=pathlib.Path)
    arguments.add_argument("--broken", action="append", default=[])
    arguments = arguments.parse_args()
    passed, failed = 0, len(arguments.broken)
    for log in arguments.logs:
        here = [0, 0]
        for test in map(json.loads, log.read_text().splitlines()):
            good, bad = count(test)
            here[0] += good
            here[1] += bad
            if bad:
                print(f"---- {log.stem}: {test['name']}: {test['result']}")
                print((test.get("stdout") or "")[-6000:], (test.get("stderr") or "")[-6000:], sep="")
        print(f"{log.stem:<24} {here[0]:6} passed {here[1]:4} failed")
        passed += here[0]
        failed += here[1]
    for step in arguments.broken:
        print(f"{step}: did not succeed")
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0 or passed == 0)


if __name__ == "__main__":
    main()
