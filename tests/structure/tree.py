"""What the structural tests share: the files of the tree, C without comments, results as TAP.
SPDX-License-Identifier: MIT"""
import pathlib
import re
import sys

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
BUILD = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else None
FOLDERS = ["kernels", "core", "ops", "nn", "optim", "io", "teach", "tests", "examples"]
PUBLIC = ["core/core.h", "ops/ops.h", "nn/nn.h", "optim/optim.h", "io/io.h", "teach/teach.h"]
WARNINGS = ["-pedantic", "-Wall", "-Wextra", "-Wshadow", "-Werror"]
C_WARNINGS = WARNINGS + ["-Wconversion", "-Wstrict-prototypes", "-Wmissing-prototypes", "-Wvla"]

_count = _failed = 0


def report(sentence, problems=()):
    """One TAP case: it failed when there are problems, each of which is printed."""
    global _count, _failed
    problems = list(problems)
    _count += 1
    _failed += bool(problems)
    for problem in problems:
        print("\n".join("# " + line for line in str(problem).rstrip().splitlines()))
    print(f"{'not ok' if problems else 'ok'} {_count} - {sentence}", flush=True)


def finish():
    print(f"1..{_count}")
    sys.exit(_failed > 0)


def files(*suffixes, folders=FOLDERS):
    """(path from the root, text) of every file of the tree with one of these suffixes."""
    found = [p for p in ROOT.iterdir() if p.is_file()]
    for folder in folders:
        found += [p for p in (ROOT / folder).rglob("*") if p.is_file()]
    for path in sorted(found):
        if path.suffix in suffixes:
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


_TOKEN = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.S)
_DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.M)
_CPLUSPLUS = re.compile(r"^#ifdef __cplusplus\n.*?^#endif", re.M | re.S)


def blank(text):
    return re.sub(r"[^\n]", " ", text)


def bare(text, strings=False):
    """C without comments (nor strings), line numbers unchanged."""
    keep = lambda m: m[0] if strings and m[0][0] in "\"'" else blank(m[0])
    return _TOKEN.sub(keep, text)


def functions(text):
    """(first line, lines, name) of every function definition: braces that follow a ')' outside all others."""
    code = _DIRECTIVE.sub(lambda m: blank(m[0]), bare(_CPLUSPLUS.sub(lambda m: blank(m[0]), text)))
    depth, begin = 0, None
    for m in re.finditer(r"[{}]", code):
        if m[0] == "{":
            if depth == 0:
                begin = _name_before(code, m.start())
            depth += 1
            continue
        depth -= 1
        if depth == 0 and begin is not None:
            name = re.match(r"\w+", code[begin:])[0]
            yield code.count("\n", 0, begin) + 1, code.count("\n", begin, m.end()) + 1, name
    if depth:
        raise ValueError("braces do not balance")


def _name_before(code, at):
    """Where the name of the function begins whose body begins at `at`; None when that brace is no function's."""
    at = len(code[:at].rstrip())
    if not at or code[at - 1] != ")":
        return None
    depth = 0
    while at > 0:
        at -= 1
        depth += (code[at] == ")") - (code[at] == "(")
        if depth == 0:
            break
    name = re.search(r"\w+\s*$", code[:at])
    return name.start() if name else None
