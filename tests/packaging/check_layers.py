#!/usr/bin/env python3
"""Checks the includes of include/holdfast against the layer table of
docs/design.md (section 3), which it reads, and that files are opened in io only.

    check_layers.py <repository>     exit 1 and one line per broken rule
    check_layers.py --self-test      feeds it wrong includes, expects each found
"""

import pathlib
import re
import sys
import tempfile

# Headers outside the layers: the layers they may include, and whether they may
# include LibTorch and each other.
TOP = {
    "fwd": (lambda table: set(), False),
    "core": (lambda table: set(table) - TORCH_LAYERS, False),
    "checkpoint_manager": (set, True),
    "holdfast": (set, True),
}
TORCH_LAYERS = {"libtorch", "distributed"}
# The helper that trains a loop twice sits on top of everything but LibTorch.
LOOP_HELPER = re.compile(r"testing/(impl/)?resume[a-z_]*\.[hi]pp$")
COMPAT = "libtorch/compat.hpp"

INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]*([<\"])([^>\"]+)[>\"]", re.M)
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"", re.S)
STANDARD = re.compile(r"^[a-z_0-9]+$")
# Files are opened behind the seam of io, or a test's disk does not see it.
FILE_ACCESS = re.compile(
    r"\bf(?:re|d)?open\b|\btmpfile\b|\b(?:basic_)?[io]?f(?:stream|ilebuf)\b"
    r"|\bstd::filesystem\b|<filesystem>"
)

DESIGN = "docs/design.md"
ROW = re.compile(r"^\|(.*)\|(.*)\|\s*$")
TICKED = re.compile(r"`([^`]*)`")


def read_table(text):
    """{layer: layers it may include besides itself}, as the text's table says
    before the first semicolon of a row: what follows are exceptions, which are
    rules below. ValueError for what is not understood."""
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith("| Layer | May include |"):
            break
    rows = []
    for line in lines:
        match = ROW.match(line)
        if not match:
            break
        if set(match.group(1)) - set("-: "):
            names = [n for n in TICKED.findall(match.group(1)) if "." not in n]
            rows.append((names, match.group(2)))
    every = {name for names, _ in rows for name in names}
    table = {}
    for names, cell in rows:
        allowed = set()
        torch = False
        plain = re.sub(r"\([^)]*\)", "", cell.split(";")[0])
        for item in plain.split(","):
            item = item.strip().strip("`")
            if item == "everything":
                allowed |= every
                torch = True
            elif item == "everything above":
                allowed |= set(table)
            elif item == "LibTorch":
                torch = True
            elif item in every:
                allowed.add(item)
            elif item != "the standard library":
                raise ValueError(f"{DESIGN}: '{item}' is not understood")
        for name in names:
            if name in table:
                raise ValueError(f"{DESIGN}: two rows for '{name}'")
            if torch != (name in TORCH_LAYERS):
                raise ValueError(f"{DESIGN}: may '{name}' include LibTorch?")
            table[name] = allowed - {name}
    if not table:
        raise ValueError(f"{DESIGN}: no table 'Layer, May include'")
    return table


def without_comments(text):
    def keep(match):
        token = match.group(0)
        if token.startswith('"'):
            return token
        return "\n" * token.count("\n")

    return COMMENT.sub(keep, text)


def layer_of(path):
    """The layer of a path below holdfast/, or None for a top-level header."""
    parts = path.split("/")
    return parts[0] if len(parts) > 1 and parts[0] != "impl" else None


def top_of(path):
    return re.sub(r"^impl/", "", path).rsplit(".", 1)[0]


def check_include(table, path, delimiter, target):
    """What is wrong with `#include <target>` in `path`, or nothing."""
    everything = set(table)
    layer = layer_of(path)
    body = path.endswith(".ipp")
    helper = LOOP_HELPER.search(path) is not None
    if layer is None:
        if top_of(path) not in TOP:
            return "a header outside the layers that the table does not know"
        layers, torch = TOP[top_of(path)]
        layers = layers(table)
    elif layer not in table:
        return f"layer '{layer}' is not in the table"
    else:
        layers = everything - TORCH_LAYERS if helper else table[layer] | {layer}
        torch = layer in TORCH_LAYERS

    if delimiter == '"':
        return f'includes "{target}": the form is <holdfast/layer/name.hpp>'
    if target.startswith("holdfast/"):
        inner = target[len("holdfast/"):]
        other = layer_of(inner)
        if other is None:
            if top_of(inner) == top_of(path):
                return None
            if top_of(inner) == "fwd":
                return None
            if layer is None and layers == everything and top_of(inner) in TOP:
                return None
            if layer == "distributed" or helper and top_of(inner) == "core":
                return None
            return f"includes <{target}>, which stands above all layers"
        if other not in layers:
            return f"includes <{target}>: upward, or a layer it must not know"
        if LOOP_HELPER.search(inner) and not (helper or layers == everything):
            return f"includes <{target}>, which stands above all layers"
        return None
    if target == "torch/torch.h":
        return "includes <torch/torch.h>: use the narrowest header that serves"
    if re.match(r"(torch|ATen|c10|caffe2)/", target):
        return None if torch else f"includes <{target}>: only libtorch may"
    if target.startswith("nlohmann/"):
        # For the conversions of users' types. The whole of it costs every file
        # that includes holdfast half a second.
        if layer == "format" and target == "nlohmann/json_fwd.hpp":
            return None
        return f"includes <{target}>: only format may, and only its json_fwd"
    if target.startswith(("zstd", "xxhash", "xxh3")):
        if layer == "io" and body:
            return None
        return f"includes <{target}>: only io/impl/*.ipp may"
    if STANDARD.match(target):
        return None
    if re.match(r"io/(impl/)?posix_[a-z_]+\.[hi]pp$", path):
        return None
    if path == "base/impl/posix_fork.ipp":
        return None  # what all layers ask, state among them
    return f"includes <{target}>: system headers belong into io/posix_*"


def check(repository, table):
    """All broken rules, as 'file:line: text'."""
    root = pathlib.Path(repository) / "include" / "holdfast"
    problems = []
    included = set()
    files = sorted(p for p in root.rglob("*") if p.is_file())
    for file in files:
        path = file.relative_to(root).as_posix()
        where = f"include/holdfast/{path}"
        if file.suffix not in (".hpp", ".ipp"):
            problems.append(f"{where}: neither .hpp nor .ipp")
            continue
        text = without_comments(file.read_text(encoding="utf-8"))
        if not re.search(r"^#pragma once$", text, re.M):
            problems.append(f"{where}: no #pragma once")
        for match in INCLUDE.finditer(text):
            line = text.count("\n", 0, match.start(2)) + 1
            delimiter, target = match.groups()
            problem = check_include(table, path, delimiter, target)
            if problem:
                problems.append(f"{where}:{line}: {problem}")
            if target.startswith("holdfast/"):
                if not (root.parent / target).is_file():
                    problems.append(f"{where}:{line}: <{target}> is not there")
                if target.endswith(".ipp"):
                    included.add(target[len("holdfast/"):])
                    if layer_of(path) != layer_of(target[len("holdfast/"):]):
                        problems.append(
                            f"{where}:{line}: a body belongs to its own layer"
                        )
        if layer_of(path) != "io":
            for match in FILE_ACCESS.finditer(text):
                line = text.count("\n", 0, match.start()) + 1
                problems.append(
                    f"{where}:{line}: {match.group(0)}: only io opens files"
                )
        if "TORCH_VERSION_" in text and path != COMPAT:
            problems.append(f"{where}: only {COMPAT} tests LibTorch's version")
    for file in files:
        path = file.relative_to(root).as_posix()
        if file.suffix == ".ipp" and path not in included:
            problems.append(
                f"include/holdfast/{path}: no header includes this body"
            )
    return problems


# (file, text, what must be found; "" for nothing)
CASES = [
    ("base/a.hpp", "#include <vector>", ""),
    ("base/a.hpp", "#include <holdfast/io/b.hpp>", "upward"),
    ("io/a.hpp", "#include <holdfast/format/b.hpp>", "upward"),
    ("io/a.hpp", "#include <holdfast/base/b.hpp>", ""),
    ("format/a.hpp", "#include <holdfast/store/b.hpp>", "upward"),
    ("store/a.hpp", "#include <holdfast/policy/b.hpp>", "must not know"),
    ("policy/a.hpp", "#include <holdfast/io/b.hpp>", "must not know"),
    ("state/a.hpp", "#include <holdfast/store/b.hpp>", "must not know"),
    ("engine/a.hpp", "#include <holdfast/state/b.hpp>", ""),
    ("engine/a.hpp", "#include <holdfast/libtorch/b.hpp>", "upward"),
    ("engine/a.hpp", "#include <holdfast/run/b.hpp>", "upward"),
    ("run/a.hpp", "#include <holdfast/store/b.hpp>", "must not know"),
    ("libtorch/a.hpp", "#include <holdfast/io/b.hpp>", "must not know"),
    ("libtorch/a.hpp", "#include <holdfast/engine/b.hpp>", "must not know"),
    ("libtorch/a.hpp", "#include <holdfast/state/b.hpp>", ""),
    ("testing/a.hpp", "#include <holdfast/store/b.hpp>", "must not know"),
    ("testing/resume.hpp", "#include <holdfast/store/b.hpp>", ""),
    ("testing/resume.hpp", "#include <holdfast/libtorch/b.hpp>", "upward"),
    ("testing/resume.hpp", "#include <torch/nn/module.h>", "only libtorch"),
    ("io/a.hpp", "#include <holdfast/core.hpp>", "above all layers"),
    ("core.hpp", "#include <holdfast/io/b.hpp>", ""),
    ("core.hpp", "#include <holdfast/libtorch/b.hpp>", "upward"),
    ("core.hpp", "#include <holdfast/holdfast.hpp>", "above all layers"),
    ("holdfast.hpp", "#include <holdfast/core.hpp>", ""),
    ("holdfast.hpp", "#include <holdfast/libtorch/b.hpp>", ""),
    ("other.hpp", "#include <vector>", "does not know"),
    ("extra/a.hpp", "#include <vector>", "not in the table"),
    ("base/a.hpp", '#include "b.hpp"', "the form is"),
    ("base/a.hpp", "#include <unistd.h>", "system headers"),
    ("base/a.hpp", "#include <sys/stat.h>", "system headers"),
    ("io/file.hpp", "#include <fcntl.h>", "system headers"),
    ("io/posix_file.hpp", "#include <fcntl.h>", ""),
    ("io/impl/posix_file.ipp", "#include <sys/stat.h>", ""),
    ("base/impl/posix_fork.ipp", "#include <pthread.h>", ""),
    ("base/posix_fork.hpp", "#include <pthread.h>", "system headers"),
    ("base/impl/posix_b.ipp", "#include <pthread.h>", "system headers"),
    ("run/posix_signals.hpp", "#include <signal.h>", "system headers"),
    ("io/a.hpp", "#include <zstd.h>", "only io/impl"),
    ("io/impl/a.ipp", "#include <zstd.h>", ""),
    ("io/impl/a.ipp", "#include <xxhash.h>", ""),
    ("store/impl/a.ipp", "#include <xxhash.h>", "only io/impl"),
    ("format/a.hpp", "#include <nlohmann/json.hpp>", "only its json_fwd"),
    ("format/impl/a.ipp", "#include <nlohmann/json.hpp>", "only its json_fwd"),
    ("format/a.hpp", "#include <nlohmann/json_fwd.hpp>", ""),
    ("state/a.hpp", "#include <nlohmann/json_fwd.hpp>", "only format may"),
    ("engine/impl/a.ipp", "#include <nlohmann/json.hpp>", "only format may"),
    ("state/a.hpp", "#include <ATen/core/Tensor.h>", "only libtorch"),
    ("engine/a.hpp", "#  include <c10/core/Device.h>", "only libtorch"),
    ("testing/a.hpp", "#include <torch/nn/module.h>", "only libtorch"),
    ("libtorch/a.hpp", "#include <ATen/core/Tensor.h>", ""),
    ("libtorch/a.hpp", "#include <torch/torch.h>", "narrowest"),
    ("holdfast.hpp", "#include <torch/torch.h>", "narrowest"),
    ("libtorch/a.hpp", "#if TORCH_VERSION_MAJOR > 1\n#endif", "version"),
    ("libtorch/compat.hpp", "#if TORCH_VERSION_MAJOR > 1\n#endif", ""),
    ("base/a.hpp", "// #include <unistd.h>", ""),
    ("base/a.hpp", "/*\n#include <unistd.h>\n*/", ""),
    ("base/a.hpp", "#include <holdfast/base/missing.hpp>", "not there"),
    ("io/impl/lonely.ipp", "", "no header includes"),
    ("base/a.txt", "", "neither"),
    ("testing/a.hpp", 'void* f = std::fopen("a", "w");', "only io opens"),
    ("store/a.hpp", "std::ifstream file;", "only io opens"),
    ("engine/impl/a.ipp", "std::ofstream file;", "only io opens"),
    ("state/a.hpp", "using fs = std::basic_fstream<char>;", "only io opens"),
    ("libtorch/a.hpp", "#include <fstream>", "only io opens"),
    ("format/a.hpp", "#include <filesystem>", "only io opens"),
    ("run/a.hpp", "bool a = std::filesystem::exists(x);", "only io opens"),
    ("run/a.hpp", "// std::filesystem, std::fopen()", ""),
    ("run/a.hpp", "int file_system, open_file, reopen;", ""),
    ("io/a.hpp", "std::ifstream file;", ""),
]

# (text to replace in docs/design.md, by what, what must be found; "" for a rule
# that is not a layer's, so that the table stays as it is)
TABLES = [
    ("| `store` | base, `io`, `format` |", "| `store` | base, `io` |", "store"),
    ("| `policy` | base, `format`", "| `policy` | base, `format`, `io`", "policy"),
    ("| `engine` | everything above |", "| `engine` | `state` |", "engine"),
    ("never `io`, `store`, `engine`", "never `io`", ""),
    ("| `run` | base, `io`,", "| `run` | base, whatever,", "not understood"),
    ("`state`, LibTorch; never", "`state`; never", "may 'libtorch'"),
    ("| `store` | base", "| `state` | base", "two rows"),
    ("| Layer | May include |", "| Layer | Includes |", "no table"),
]


def check_tables(design):
    """What changes of the table are not seen."""
    before = read_table(design)
    problems = []
    for old, new, expected in TABLES:
        if design.count(old) != 1:
            problems.append(f"OUT OF DATE: {old!r}")
            continue
        try:
            after = read_table(design.replace(old, new))
            found = ", ".join(n for n in after if after[n] != before.get(n))
        except ValueError as error:
            found = str(error)
        if expected not in found or not expected and found:
            problems.append(f"{new!r}: expected {expected!r}, got {found!r}")
    return problems


def self_test():
    repository = pathlib.Path(__file__).resolve().parents[2]
    design = (repository / DESIGN).read_text(encoding="utf-8")
    table = read_table(design)
    problems = check_tables(design)
    for problem in problems:
        print(problem)
    failures = len(problems)
    for path, text, expected in CASES:
        with tempfile.TemporaryDirectory() as directory:
            root = pathlib.Path(directory) / "include" / "holdfast"

            def write(name, content):
                file = root / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text("#pragma once\n" + content + "\n")

            for target in re.findall(r"<holdfast/([^>]+)>", text):
                if "missing" not in target:
                    write(target, "")
            write(path, text)
            if path.endswith(".ipp") and "lonely" not in path:
                header = path.replace("impl/", "").replace(".ipp", ".hpp")
                write(header, f"#include <holdfast/{path}>")
            problems = check(directory, table)
        good = (
            len(problems) == 1 and expected in problems[0]
            if expected
            else not problems
        )
        if not good:
            failures += 1
            print(f"{path}: {text!r}: expected {expected!r}, got {problems}")
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory) / "include" / "holdfast" / "base"
        root.mkdir(parents=True)
        (root / "a.hpp").write_text("#include <vector>\n")
        if len(check(directory, table)) != 1:
            failures += 1
            print("a missing #pragma once was not found")
    count = len(CASES) + len(TABLES) + 1
    print(f"{count - failures} of {count} cases as expected")
    return 1 if failures else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    if not any((pathlib.Path(sys.argv[1]) / "include/holdfast").rglob("*.hpp")):
        print(f"no headers in {sys.argv[1]}/include/holdfast")
        return 1
    design = pathlib.Path(sys.argv[1]) / DESIGN
    try:
        table = read_table(design.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        print(error)
        return 1
    problems = check(sys.argv[1], table)
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
