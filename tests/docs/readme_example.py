"""The first code of README.md is the marked region of examples/minimal.cpp.

Usage: readme_example.py REPOSITORY
"""

import pathlib
import re
import sys
import textwrap


def region_of(source):
    """The lines between the two markers, without their common indentation."""
    found = re.findall(
        r"^ *// readme-begin\n(.*?)^ *// readme-end\n", source,
        re.DOTALL | re.MULTILINE)
    if len(found) != 1 or not found[0].strip():
        sys.exit("readme_example: minimal.cpp has not one region for README.md")
    return textwrap.dedent(found[0])


def main():
    root = pathlib.Path(sys.argv[1])
    readme = (root / "README.md").read_text("utf-8")
    region = region_of((root / "examples/minimal.cpp").read_text("utf-8"))
    blocks = re.findall(r"^```cpp\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)
    if blocks[:1] != [region]:
        print("The first code of README.md is not this region of minimal.cpp:\n")
        print(region)
        sys.exit(1)


main()
