"""Runs a program and compares what it prints with a file, numbers with a tolerance.

  compare_output.py NAME.expected PROGRAM [ARGUMENT...]

Text must be equal but for the amount of white space. Numbers with a decimal point or exponent may differ by one unit of the
last digit that is printed: instruction sets round differently. A program that ends with 77 is skipped. In the expected file
"..." stands for any one word, "{0.85..0.9}" for a number in that range.
SPDX-License-Identifier: MIT"""
import itertools
import re
import subprocess
import sys

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
PIECE = re.compile(rf"\{{(?:{NUMBER})\.\.(?:{NUMBER})\}}|(?<![A-Za-z_]){NUMBER}|[A-Za-z_]\w*|\s+|.", re.S)
RANGE = re.compile(r"\{(.*)\.\.(.*)\}")


def close(want, got):
    """Are these two printed numbers equal but for rounding?"""
    if want == got:
        return True
    if "." not in want and "e" not in want.lower():
        return float(want) == float(got)
    mantissa, _, exponent = want.lower().partition("e")
    unit = 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
    return abs(float(want) - float(got)) <= unit * (1 + 1e-9)


def word_matches(want, got):
    if want == got or want == "...":
        return True
    a, b = PIECE.findall(want), PIECE.findall(got)
    if len(a) != len(b):
        return False
    for x, y in zip(a, b):
        number = re.fullmatch(NUMBER, y)
        if m := RANGE.fullmatch(x):
            if not number or not float(m[1]) <= float(y) <= float(m[2]):
                return False
        elif re.fullmatch(NUMBER, x) and number:
            if not close(x, y):
                return False
        elif x != y:
            return False
    return True


def difference(want, got):
    """The first line that differs, as text, or None."""
    lines = itertools.zip_longest(want.rstrip().splitlines(), got.rstrip().splitlines())
    for number, (a, b) in enumerate(lines, 1):
        x, y = (a or "").split(), (b or "").split()
        if a is None or b is None or len(x) != len(y) or not all(map(word_matches, x, y)):
            return f"line {number}\n  expected: {a if a is not None else '(end)'}\n  printed:  {b if b is not None else '(end)'}"
    return None


def main():
    run = subprocess.run(sys.argv[2:], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        want = open(sys.argv[1], encoding="utf-8").read()
    except FileNotFoundError:
        sys.exit(f"{sys.argv[1]} is missing. The program printed:\n{run.stdout}")
    if run.returncode == 77:
        print(run.stdout, end="")
        sys.exit(77)
    if run.returncode:
        sys.exit(f"{sys.argv[2]} ended with {run.returncode}. It printed:\n{run.stdout}")
    if problem := difference(want, run.stdout):
        sys.exit(f"{sys.argv[1]}: {problem}\nThe program printed:\n{run.stdout}")


if __name__ == "__main__":
    main()
