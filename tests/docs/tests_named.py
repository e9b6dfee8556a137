"""Every test that the tables of docs/policies.md name exists.

Usage: tests_named.py REPOSITORY

The last column of a table whose head ends in "test": names as CTest has them,
in backquotes; "unit: ..." stands for all of a unit, a path for a file.
"""

import pathlib
import re
import sys


def test_names(root):
    names = set()
    for path in (root / "tests").rglob("*_test.cpp"):
        source = re.sub(r'(?<!\\)"\s*"', "", path.read_text("utf-8"))
        names.update(re.findall(r'TEST_CASE\(\s*"([^"]+)"', source))
    for path in (root / "tests").rglob("CMakeLists.txt"):
        text = path.read_text("utf-8")
        for mode in ("kill", "preempt"):
            if "add_test(NAME ${mode}.digits" in text:
                names.add(f"{mode}.digits")
    return names


def named(document):
    in_table = False
    for line in document.split("\n"):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            in_table = False
        elif cells[-1] == "test":
            in_table = True
        elif in_table:
            yield from re.findall(r"`([^`]+)`", cells[-1])


def main():
    root = pathlib.Path(sys.argv[1])
    names = test_names(root)
    document = (root / "docs/policies.md").read_text("utf-8")
    wanted = list(named(document))
    missing = []
    for name in wanted:
        if name.startswith("tests/"):
            found = (root / name).exists()
        elif name.endswith(": ..."):
            found = any(n.startswith(name[:-3]) for n in names)
        else:
            found = name in names
        if not found:
            missing.append(name)
    for name in missing:
        print(f"docs/policies.md names a test that is not there: {name}")
    if len(wanted) < 40:
        print(f"only {len(wanted)} names were found in docs/policies.md")
    sys.exit(bool(missing) or len(wanted) < 40)


main()
