"""docs/errors.md has one whole entry for every ErrorCode, in the same order, and
its examples have the words of the code.

Usage: errors_documented.py REPOSITORY
"""

import errno
import os
import pathlib
import re
import sys


def codes_of(header):
    body = re.search(r"enum class ErrorCode \{(.*?)\};", header, re.DOTALL)
    if body is None:
        sys.exit("errors_documented: no enum class ErrorCode in error.hpp")
    without_comments = re.sub(r"//[^\n]*", "", body.group(1))
    return re.findall(r"[a-z_0-9]+", without_comments)


def literals_of(root):
    """All string literals of the library, adjacent ones joined."""
    files = sorted((root / "include").rglob("*.[hi]pp"))
    source = "\n".join(file.read_text("utf-8") for file in files)
    joined = re.sub(r'(?<!\\)"\s*"', "", source)
    return re.findall(r'"((?:[^"\\\n]|\\.)*)"', joined)


def words_of(message):
    """What a message says itself: no names, values and text of the system."""
    between = r"'[^']*'|: |, |\([a-z_]+\)|[0-9a-f]{32}|[A-Z]+[a-z]*\d+"
    for piece in re.split(between, message):
        piece = piece.strip()
        if piece in {os.strerror(number) for number in errno.errorcode}:
            continue
        piece = re.sub(r"^cannot |^(found|expected) .*", "", piece)
        if " " in piece:
            yield re.sub(r" ?\d+$", "", piece)


def problems(codes, document, literals):
    pieces = re.split(r"^### (.*)$", document, flags=re.MULTILINE)[1:]
    names = [name.strip().strip("`") for name in pieces[0::2]]
    texts = dict(zip(names, pieces[1::2]))
    if len(codes) < 2:
        yield "error.hpp: fewer than two codes were found"
    for code in codes:
        if code not in texts:
            yield f"{code}: a code without an entry in docs/errors.md"
    for name in sorted(set(names)):
        if name not in codes:
            yield f"{name}: an entry without a code in error.hpp"
        if names.count(name) > 1:
            yield f"{name}: more than one entry"
        text = re.split(r"^## ", texts[name], flags=re.MULTILINE)[0]
        for part in ("**Cause.**", "**What to do.**"):
            if not re.search(re.escape(part) + r" \S", text):
                yield f"{name}: no {part}"
        example = re.search(r"^```text\n(.*)\n```$", text, re.MULTILINE)
        if example is None:
            yield f"{name}: no example message of one line"
        elif not example.group(1).endswith(f" ({name})"):
            yield f"{name}: the example does not end with ({name})"
        elif re.search(r"[^:,'] found |[^,:] expected ", example.group(1)):
            yield f"{name}: found and expected are not set off as in what()"
        else:
            for words in words_of(example.group(1)):
                if not any(words in literal for literal in literals):
                    yield f"{name}: nowhere in the code: {words}"
    if not set(names) ^ set(codes) and names != codes:
        yield "the entries are in another order than the codes"


def main():
    root = pathlib.Path(sys.argv[1])
    header = (root / "include/holdfast/base/error.hpp").read_text("utf-8")
    document = (root / "docs/errors.md").read_text("utf-8")
    found = list(problems(codes_of(header), document, literals_of(root)))
    for problem in found:
        print(problem)
    sys.exit(1 if found else 0)


main()
