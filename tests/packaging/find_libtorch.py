#!/usr/bin/env python3
"""Which LibTorch cmake/HoldfastLibTorch.cmake takes, and what it says where
there is none: fake ones, each of another version, and no compiler.

    find_libtorch.py <repository> <cmake> <generator> <make program>
"""

import os
import pathlib
import subprocess
import sys
import tempfile

NOTHING = ["no LibTorch was found", "-DHOLDFAST_WITH_LIBTORCH=OFF"]
WAYS = [
    "1. -DCMAKE_PREFIX_PATH=", "-DTorch_DIR=",
    "2. a Python environment that has torch", "pip install torch",
    "3. the system's package", "libtorch-dev",
    "-DHOLDFAST_LIBTORCH_DIRECT=",
]


class Machine:
    """A folder with LibTorches, Pythons and what else a search may meet."""

    def __init__(self, root):
        self.root = root
        for number, name in enumerate(
            ["user", "other", "active", "python", "system", "target"], 1
        ):
            self.libtorch(name, f"2.{number}.0")
        self.libtorch("cuda", "2.7.0", ["torch_cuda", "c10_cuda"])
        self.libtorch("old", "1.12.1")
        self.libtorch("useless", "2.8.0", config="")
        self.libtorch("direct", "2.9.0", config=None)
        self.libtorch("no_library", "2.9.0", config=None)
        (root / "no_library/lib/libtorch_cpu.so").unlink()
        self.libtorch("no_header", "2.9.0", config=None)
        (root / "no_header/include/torch/csrc/api/include/torch/torch.h").unlink()
        # The way that names in libc10 tell of std::string.
        (root / "direct/lib/libc10.so").write_text(
            "_ZN3c106detail14torchCheckFailEPKcS2_jRKNSt7__cxx1112basic_stringE\n"
        )
        self.python("bin", root / "python")
        self.python("venv/bin", root / "active")
        self.python("useless_bin", root)
        self.program("without_torch/python3", "exit 1")
        self.program("toolkit/bin/nvcc", "exit 0")
        (root / "empty").mkdir()

    def file(self, path, text=""):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def program(self, path, text):
        self.file(path, "#!/bin/sh\n" + text + "\n").chmod(0o755)

    def python(self, folder, torch):
        """Answers where the package torch is, like any Python that is asked."""
        self.program(f"{folder}/python3", f"echo '{torch}'")

    def libtorch(self, name, version, libraries=(), config="torch"):
        prefix = self.root / name
        numbers = zip(("MAJOR", "MINOR", "PATCH"), version.split("."))
        self.file(
            f"{name}/include/torch/headeronly/version.h",
            "".join(f"#define TORCH_VERSION_{a} {b}\n" for a, b in numbers),
        )
        self.file(f"{name}/include/torch/csrc/api/include/torch/torch.h")
        for library in ["torch", "torch_cpu", "c10", *libraries]:
            self.file(f"{name}/lib/lib{library}.so")
        if config is not None:
            self.file(
                f"{name}/share/cmake/Torch/TorchConfig.cmake",
                f"add_library({config} INTERFACE IMPORTED)\n"
                f"set_target_properties({config} PROPERTIES"
                f' INTERFACE_INCLUDE_DIRECTORIES "{prefix}/include")\n'
                if config
                else "",
            )


def cases(root):
    """(name, CMake arguments, environment, what the output must hold)"""
    user, other, target = root / "user", root / "other", root / "target"
    config = "share/cmake/Torch"
    everywhere = [f"-DSYSTEM={root}/system"]
    with_python = {"PATH": f"{root}/bin"}
    no_python = {"PATH": f"{root}/empty"}
    no_torch = {"PATH": f"{root}/without_torch"}

    def got(number, how):
        return [f"holdfast: LibTorch 2.{number}.0 in {root}/", f"({how}"]

    for name, arguments, environment in [
        ("Torch_DIR", [f"-DTorch_DIR={user}/{config}"], {}),
        ("Torch_ROOT", [f"-DTorch_ROOT={user}"], {}),
        ("CMAKE_PREFIX_PATH", [f"-DCMAKE_PREFIX_PATH={root}/empty;{user}"], {}),
        ("Torch_DIR in the environment", [], {"Torch_DIR": f"{user}/{config}"}),
        ("Torch_ROOT in the environment", [], {"Torch_ROOT": str(user)}),
        ("CMAKE_PREFIX_PATH in the environment", [],
         {"CMAKE_PREFIX_PATH": f"{root}/empty:{user}"}),
    ]:
        how = "Torch_DIR)" if name == "Torch_DIR" else "as the user set it)"
        yield (name + " before Python's and the system's",
               everywhere + arguments, {**with_python, **environment}, got(1, how))
    yield ("Torch_DIR before CMAKE_PREFIX_PATH",
           everywhere + [f"-DTorch_DIR={other}/{config}", f"-DCMAKE_PREFIX_PATH={user}"],
           with_python, got(2, "Torch_DIR)"))
    yield ("the project's target before Torch_DIR",
           everywhere + [f"-DTARGET_TORCH={target}", f"-DTorch_DIR={user}/{config}"],
           with_python, got(6, "the project's target torch)"))

    yield ("Python's before the system's", everywhere, with_python,
           got(4, f"from {root}/bin/python3)"))
    yield ("the active environment's before that in PATH", everywhere,
           {**with_python, "VIRTUAL_ENV": f"{root}/venv"},
           got(3, f"from {root}/venv/bin/python3)"))
    for name, environment in [
        ("no Python", no_python),
        ("a Python without torch", no_torch),
        ("a Python whose torch has no CMake package",
         {"PATH": f"{root}/useless_bin"}),
    ]:
        yield ("the system's after " + name, everywhere, environment,
               got(5, "the system's)"))
        yield ("nothing, and " + name, [], environment, NOTHING + WAYS)

    all_three = everywhere + [f"-DCMAKE_PREFIX_PATH={user}"]
    yield ("only Python's", all_three + ["-DHOLDFAST_LIBTORCH=python"],
           with_python, got(4, "from "))
    yield ("only Python's, which has none",
           all_three + ["-DHOLDFAST_LIBTORCH=python"], no_torch, NOTHING + WAYS)
    yield ("only the system's", all_three + ["-DHOLDFAST_LIBTORCH=system"],
           with_python, got(5, "the system's)"))
    yield ("only the system's, which has none",
           [f"-DCMAKE_PREFIX_PATH={user}", "-DHOLDFAST_LIBTORCH=system"],
           with_python, NOTHING + WAYS)
    yield ("a word that HOLDFAST_LIBTORCH does not know",
           all_three + ["-DHOLDFAST_LIBTORCH=conda"], with_python,
           ["HOLDFAST_LIBTORCH is auto, python or system, not 'conda'"])

    direct = [f"holdfast: LibTorch 2.9.0 in {root}/direct (linked directly)",
              f"{root}/direct/lib/libtorch.so;{root}/direct/lib/libtorch_cpu.so;"
              f"{root}/direct/lib/libc10.so",
              "_GLIBCXX_USE_CXX11_ABI=1"]
    yield ("linked directly, before all others",
           all_three + [f"-DTARGET_TORCH={target}",
                        f"-DHOLDFAST_LIBTORCH_DIRECT={root}/direct"],
           with_python, direct)
    yield ("linked directly by the environment", all_three,
           {**with_python, "HOLDFAST_LIBTORCH_DIRECT": f"{root}/direct"}, direct)
    for folder, missing in [
        ("empty", "lib/libtorch.so is not there"),
        ("absent", "lib/libtorch.so is not there"),
        ("no_library", "lib/libtorch_cpu.so is not there"),
        ("no_header", "LibTorch's headers are not in include/"),
    ]:
        yield (f"linked directly, wrong: {folder}",
               all_three + [f"-DHOLDFAST_LIBTORCH_DIRECT={root}/{folder}"],
               with_python,
               [f"HOLDFAST_LIBTORCH_DIRECT={root}/{folder}: {missing}"])

    cuda = [f"-DCMAKE_PREFIX_PATH={root}/cuda"]
    yield ("a CUDA build without the toolkit", cuda, no_python,
           got(7, "as the user set it, linked directly: a CUDA build")
           + ["/libtorch_cuda.so;", "/libc10_cuda.so;", "_GLIBCXX_USE_CXX11_ABI=0"])
    yield ("a CUDA build with the toolkit",
           cuda + [f"-DCUDAToolkit_ROOT={root}/toolkit"], no_python,
           got(7, "as the user set it)"))
    yield ("too old", [f"-DCMAKE_PREFIX_PATH={root}/old"], no_python,
           [f"needs LibTorch 1.13 or newer, found 1.12.1 in {root}/old"])
    yield ("a package that makes no target", [f"-DCMAKE_PREFIX_PATH={root}/useless"],
           no_python,
           [f"package in {root}/useless/{config}/ could not be used"] + WAYS)


def squeezed(text):
    """CMake breaks the lines of its errors where it likes."""
    return "".join(text.split())


def main():
    if len(sys.argv) != 5:
        print(__doc__)
        return 2
    repository, cmake, generator, make = sys.argv[1:]
    # Nothing that this process was told reaches a search.
    inherited = {k: v for k, v in os.environ.items() if k in ("HOME", "TMPDIR", "LANG")}
    failures = count = 0
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory).resolve()
        Machine(root)
        for name, arguments, environment, expected in cases(root):
            count += 1
            run = subprocess.run(
                [cmake, "-S", pathlib.Path(__file__).parent / "find_libtorch",
                 "-B", root / f"build-{count}", "-G", generator,
                 f"-DCMAKE_MAKE_PROGRAM={make}",
                 f"-DHOLDFAST_SOURCE={repository}", f"-DROOT={root}", *arguments],
                env={**inherited, **environment},
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )
            found = squeezed(run.stdout)
            missing = [text for text in expected if squeezed(text) not in found]
            succeeds = expected[0].startswith("holdfast: LibTorch")
            if missing or (run.returncode == 0) != succeeds:
                failures += 1
                print(f"{name}: status {run.returncode}, not said: {missing}\n"
                      f"{run.stdout}")
    print(f"{count - failures} of {count} cases as expected")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
