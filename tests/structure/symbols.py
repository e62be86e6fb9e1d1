"""What the shared library gives to programs and what it asks of the system.
SPDX-License-Identifier: MIT"""
import re
import subprocess
from tree import BUILD, PUBLIC, ROOT, bare, finish, report

library = str(BUILD / "libgradus.so")
listing = subprocess.run(["nm", "-D", "--defined-only", library], text=True, capture_output=True, check=True).stdout
exported = {line.split()[-1].split("@")[0] for line in listing.splitlines()}
report("every_exported_symbol_begins_with_gr_", sorted(s for s in exported if not s.startswith("gr_")) or ([] if exported else ["none"]))
report("nothing_internal_is_exported", sorted(s for s in exported if s.startswith("gr__")))

declared = {}
for header in PUBLIC:
    text = (ROOT / header).read_text() if (ROOT / header).exists() else ""
    for statement in re.findall(r"^GR_API ([^;#]*);", bare(text), re.M):
        if m := re.search(r"\b(gr_\w+)\s*\(", statement):
            declared[m[1]] = header
report("every_declared_function_exists", [f"{header}: {name}" for name, header in declared.items() if name not in exported])
known = {name for name in exported if re.match(r"gr_(op|layer|rule|format)_", name)}
report("every_exported_function_is_declared", sorted(exported - set(declared) - known))

dynamic = subprocess.run(["readelf", "-d", library], text=True, capture_output=True, check=True).stdout
needed = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
report("only_libc_and_libm_are_needed", [n for n in needed if not re.match(r"(libc|libm|ld-linux.*)\.so", n)])
finish()
