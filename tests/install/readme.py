"""The README's program, extracted, compiled against an installed copy, run under valgrind: it must learn.
SPDX-License-Identifier: MIT"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "structure"))
from tree import BUILD, C_WARNINGS, PUBLIC, ROOT, finish, report

VALGRIND = ["valgrind", "-q", "--leak-check=full", "--show-leak-kinds=all", "--errors-for-leak-kinds=all", "--error-exitcode=99"]
LAST_LOSS = 0.05


def run(*command, **more):
    return subprocess.run([str(word) for word in command], text=True, capture_output=True, **more)


def problems(result):
    return [f"{' '.join(result.args)}\n{result.stdout}{result.stderr}"] if result.returncode else []


def learned(result):
    """It came through, and the last number that it printed is small."""
    numbers = re.findall(r"\d+\.\d+", result.stdout)
    bad = problems(result)
    if not bad and (not numbers or float(numbers[-1]) >= LAST_LOSS):
        bad.append(f"the loss should end below {LAST_LOSS}:\n{result.stdout}")
    return bad


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    meson = shutil.which("meson") or "meson"
    report("meson_install_succeeds", problems(run(meson, "install", "-C", BUILD, "--no-rebuild", "--destdir", folder)))
    prefix = next((p.parent.parent for p in folder.rglob("include/gradus") if p.is_dir()), folder)
    pc = next(prefix.rglob("gradus.pc"), None)

    def flags(*options):
        env = dict(os.environ, PKG_CONFIG_PATH=str(pc.parent if pc else folder))
        return run("pkg-config", f"--define-variable=prefix={prefix}", *options, "gradus", env=env).stdout.split()

    report("every_public_header_is_installed",
           [name for name in PUBLIC + ["gradus.h"] if not (prefix / "include/gradus" / name).exists()])
    report("no_internal_header_is_installed",
           [p for p in prefix.rglob("*.h") if p.relative_to(prefix / "include/gradus").as_posix() not in
            PUBLIC + ["gradus.h", "teach/here.h"]])
    report("the_command_is_installed", [] if (prefix / "bin/gradus").exists() else ["bin/gradus is missing"])

    readme = ROOT / "README.md"
    programs = re.findall(r"```c\n(.*?)```", readme.read_text(), re.S) if readme.exists() else []
    programs = [code for code in programs if "int main" in code]
    report("the_readme_has_a_program", [] if programs else ["no ```c block with a main in README.md"])
    # The prototypes of a program's own functions are its own affair.
    warnings = [w for w in C_WARNINGS if w != "-Wmissing-prototypes"]
    for number, code in enumerate(programs, 1):
        source = folder / f"program{number}.c"
        source.write_text(code if "<stdio.h>" in code or "gradus.h" in code else "#include <stdio.h>\n" + code)
        for compiler in filter(shutil.which, ["gcc", "clang"]):
            built = run(compiler, "-std=c11", *warnings, source, "-o", folder / "program", *flags("--cflags", "--libs"))
            report(f"program {number} compiles against the installed library: {compiler}", problems(built))
        env = dict(os.environ, LD_LIBRARY_PATH=str(pc.parent.parent if pc else ""))
        if (folder / "program").exists():
            report(f"program {number} learns", learned(run(folder / "program", env=env)))
            if shutil.which("valgrind"):
                report(f"program {number} has no error and no leak", learned(run(*VALGRIND, folder / "program", env=env)))
        built = run("gcc", "-std=c11", source, "-static", "-o", folder / "static", *flags("--static", "--cflags", "--libs"))
        report(f"program {number} links statically", problems(built))
        if (folder / "static").exists():
            report(f"program {number}, static, learns", learned(run(folder / "static")))
finish()
