"""Every promise of docs/design.md has a test with its tag, and a row in README.md.

Usage: promises_tested.py REPOSITORY

A promise is a row "| P1 | **Name.** ... |"; its tests have [P1] among their tags;
README.md has a row that begins with the same name, and its links lead somewhere.
"""

import pathlib
import re
import sys


def name_in(cell):
    found = re.match(r"\*\*([^*]+?)[.,]\*\*", cell)
    return found and found.group(1)


def rows(document):
    for line in document.split("\n"):
        if line.startswith("|"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def main():
    root = pathlib.Path(sys.argv[1])
    design = (root / "docs/design.md").read_text("utf-8")
    promises = {row[0]: name_in(row[1]) for row in rows(design)
                if re.fullmatch(r"P\d", row[0])}
    readme = (root / "README.md").read_text("utf-8")
    shown = {name_in(row[0]): row[1] for row in rows(readme) if name_in(row[0])}
    tags = set()
    for path in (root / "tests").rglob("*_test.cpp"):
        tags.update(re.findall(r"\[(P\d)\]", path.read_text("utf-8")))
    wrong = []
    if len(promises) < 9:
        wrong.append(f"only {sorted(promises)} were found in docs/design.md")
    for promise, name in promises.items():
        if promise not in tags:
            wrong.append(f"no test has the tag [{promise}]")
        links = re.findall(r"\]\(([^)]+)\)", shown.get(name, ""))
        if not links:
            wrong.append(f"README.md shows no test of '{name}' ({promise})")
        wrong += [f"README.md: there is no {link}" for link in links
                  if not (root / link).exists()]
    for line in wrong:
        print(line)
    sys.exit(bool(wrong))


main()
