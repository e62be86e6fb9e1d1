"""Ceilings on what a reader must hold in mind at once, and what every file must say first.
SPDX-License-Identifier: MIT"""
import re
from tree import files, finish, functions, report

FILE_LINES, FUNCTION_LINES, EXAMPLE_LINES = 600, 60, 150
LATER = re.compile(r"\b(T[O]DO|F[I]XME|X[X]X|H[A]CK)\b")
DIARY = re.compile(r"\b(s[e]ssion|t[i]cket|s[p]rint|i[s]sue\s+#?\d+)\b", re.I) # what only its author's calendar explains

c = list(files(".c", ".h"))
text_files = c + list(files(".py", ".sh", ".build", ".md"))

report("a_file_has_at_most_600_lines",
       [f"{path}: {n} lines" for path, text in c if (n := text.count("\n")) > FILE_LINES])
report("an_example_has_at_most_150_lines",
       [f"{path}: {n} lines" for path, text in c if path.startswith("examples/") and (n := text.count("\n")) > EXAMPLE_LINES])

long, broken = [], []
for path, text in c:
    try:
        long += [f"{path}:{line}: {name} has {n} lines" for line, n, name in functions(text) if n > FUNCTION_LINES]
    except ValueError as error:
        broken.append(f"{path}: {error}")
report("a_function_has_at_most_60_lines", long)
report("braces_balance_without_the_preprocessor", broken)

report("a_file_begins_with_what_it_is",
       [path for path, text in c if not text.startswith("/*")]
       + [path for path, text in files(".py") if not text.startswith(('"""', "#!"))])
report("a_file_has_one_spdx_line",
       [path for path, text in c + list(files(".py", ".sh")) if text[:4000].count("SPDX-" "License-Identifier: MIT") != 1])

for sentence, pattern in ("nothing_is_left_for_later", LATER), ("no_file_keeps_a_diary", DIARY):
    report(sentence, [f"{path}:{number}: {line.strip()}" for path, text in text_files
                      for number, line in enumerate(text.splitlines(), 1) if pattern.search(line)])
report("lines_end_without_spaces_and_contain_no_tabs",
       [f"{path}:{number}" for path, text in text_files if not path.endswith(".md")
        for number, line in enumerate(text.splitlines(), 1) if line != line.rstrip() or "\t" in line])
finish()
