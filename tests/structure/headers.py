"""Each public header compiles alone, as C11 and as C++17, without a warning; so does the code in its comments.
SPDX-License-Identifier: MIT"""
import re
import shutil
import subprocess
from tree import C_WARNINGS, PUBLIC, ROOT, WARNINGS, finish, report

COMPILERS = [(["gcc", "-std=c11", "-xc"], C_WARNINGS), (["clang", "-std=c11", "-xc"], C_WARNINGS),
             (["g++", "-std=c++17", "-xc++"], WARNINGS), (["clang++", "-std=c++17", "-xc++"], WARNINGS)]


def complaint(command, source):
    run = subprocess.run(command + ["-fsyntax-only", "-I", str(ROOT), "-"], input=source, text=True, capture_output=True)
    return [run.stderr or f"exit {run.returncode}"] if run.returncode else []


def blocks(text):
    """The ```c blocks in the comments of a header."""
    for block in re.findall(r"```c\n(.*?)```", text, re.S):
        yield "\n".join(re.sub(r"^\s*\* ?", "", line) for line in block.splitlines())


for command, warnings in COMPILERS:
    if not shutil.which(command[0]):
        report(f"headers compile with {command[0]} # SKIP not installed")
        continue
    for header in PUBLIC + ["gradus.h"]:
        source = f'#include "{header}"\nint nothing;\n'
        report(f"{header} compiles alone: {' '.join(command[:2])}", complaint(command + warnings, source))

for header in PUBLIC + ["gradus.h"]:
    path = ROOT / header
    for number, code in enumerate(blocks(path.read_text()) if path.exists() else [], 1):
        whole = code if "int main" in code else f"void example(gr_ctx *c)\n{{\n(void)c;\n{code}\n}}"
        source = f"#include <gradus.h>\n{whole}\n"
        quiet = ["-Wno-missing-prototypes", "-Wno-unused"]
        report(f"{header}: example {number} compiles", complaint(["gcc", "-std=c11", "-xc"] + C_WARNINGS + quiet, source))
finish()
