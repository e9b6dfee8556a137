"""Every cpp block of docs/adapters.md is a marked region of its test, and every
region is in the document.

Usage: adapters_examples.py REPOSITORY
"""

import pathlib
import re
import sys
import textwrap


def main():
    root = pathlib.Path(sys.argv[1])
    source = (root / "tests/libtorch/adapters_examples_test.cpp").read_text("utf-8")
    document = (root / "docs/adapters.md").read_text("utf-8")
    regions = [textwrap.dedent(region) for region in re.findall(
        r"^ *// adapters-begin\n(.*?)^ *// adapters-end\n", source,
        re.DOTALL | re.MULTILINE)]
    blocks = re.findall(r"^```cpp\n(.*?)^```$", document, re.DOTALL | re.MULTILINE)
    if not blocks:
        sys.exit("adapters_examples: docs/adapters.md has no cpp block")
    wrong = 0
    for block in blocks:
        if block not in regions:
            wrong = 1
            print("In docs/adapters.md, but not compiled by its test:\n" + block)
    for region in regions:
        if region not in blocks:
            wrong = 1
            print("In the test, but not in docs/adapters.md:\n" + region)
    sys.exit(wrong)


main()
