"""Reads every #include line: arrows between folders point one way only.
  examples, tests -> teach, io -> nn, optim -> ops -> core -> kernels -> libc
SPDX-License-Identifier: MIT"""
import re
from tree import FOLDERS, PUBLIC, bare, files, finish, report

BELOW = {"kernels": []}
BELOW["core"] = ["kernels"]
BELOW["ops"] = ["core", "kernels"]
BELOW["nn"] = BELOW["optim"] = ["ops", "core", "kernels"]
BELOW["io"] = BELOW["teach"] = ["nn", "optim", "ops", "core", "kernels"]
BELOW["tests"] = ["teach", "io", "nn", "optim", "ops", "core", "kernels"]
BELOW["examples"] = []

# The sum of two gradients must itself be differentiable.
EXCEPTIONS = {("core/backward.c", "ops/ops.h")}

LIBC = set("""assert ctype errno fenv float inttypes limits locale math setjmp signal stdalign stdarg stdatomic stdbool
stddef stdint stdio stdlib stdnoreturn string threads time tgmath
dirent dlfcn fcntl poll pthread sched strings sys/ioctl sys/mman sys/resource sys/stat sys/time sys/types sys/wait termios unistd
""".split())
MACHINE = {"kernels": {"immintrin.h", "arm_neon.h"}, "core": {"sanitizer/asan_interface.h"}}


def includes():
    for path, text in files(".c", ".h"):
        for number, line in enumerate(bare(text, strings=True).splitlines(), 1):
            m = re.match(r"\s*#\s*include\s*([<\"])([^>\"]+)[>\"]", line)
            if m:
                yield path, number, m[1], m[2]


wrong, foreign, outside, used = [], [], [], set()
for path, number, quote, name in includes():
    here = path.split("/")[0] if "/" in path else "gradus.h"
    there = name.split("/")[0] if "/" in name else ""
    where = f"{path}:{number}: includes {name}"
    if (path, name) in EXCEPTIONS:
        used.add((path, name))
    elif name == "gradus.h":
        if here not in ("examples", "tests"):
            wrong.append(where + ": only examples and tests include everything")
    elif quote == "<":
        if name.removesuffix(".h") not in LIBC and name not in MACHINE.get(here, ()):
            foreign.append(where + ", which is not libc")
    elif here == "gradus.h":
        if name not in PUBLIC:
            wrong.append(where + ", which is not public")
    elif here == "examples":
        if name != "teach/here.h": # not part of gradus.h by design: whoever wants source lines asks for them
            outside.append(where + ": an example is written as a user would, with <gradus.h> alone")
    elif there not in FOLDERS:
        wrong.append(where + ": write the folder too")
    elif there != here and there not in BELOW[here]:
        wrong.append(where + f": {here} stands below {there}, or beside it")

report("arrows_between_folders_point_one_way", wrong)
report("only_libc_is_included_from_outside", foreign)
report("examples_include_gradus_h_alone", outside)
report("the_exception_is_still_needed", [f"{a} no longer includes {b}: remove the exception" for a, b in EXCEPTIONS - used])
top = [name for path, _, _, name in includes() if path == "gradus.h"]
report("gradus_h_includes_the_public_header_of_each_folder", [] if top == PUBLIC else [f"it includes {top}"])
finish()
