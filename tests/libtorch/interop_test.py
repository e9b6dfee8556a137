"""Opens a checkpoint's module with the Python packages safetensors and torch,
and compares it with what LibTorch's own torch::save wrote of the same module.

usage: interop_test.py WRITER

Exit status 77: a package is not installed, the test is skipped.
"""

import json
import os
import subprocess
import sys
import tempfile

try:
    import safetensors.torch
    import torch
except ImportError as error:
    print("skipped: %s" % error)
    sys.exit(77)

# Integers of the same width, so that bits are compared and not numbers.
BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def aliases_of(checkpoint):
    """Other names of the module's tensors: {other: name in the file}."""
    with open(os.path.join(checkpoint, "state.json"), encoding="utf-8") as file:
        parts = json.load(file)["parts"]
    (part,) = [part for part in parts if part["name"] == "model"]
    return {
        alias: tensor["name"]
        for tensor in part["tensors"]
        for alias in tensor.get("aliases", [])
    }


def what_of(tensor):
    """Dtype and shape; the bits are compared apart."""
    return tensor.dtype, tuple(tensor.shape)


def differing(ours, theirs):
    """The names under which the two do not have the same tensor."""
    names = set(ours) ^ set(theirs)
    for name in set(ours) & set(theirs):
        a, b = (tensors[name].detach().contiguous() for tensors in (ours, theirs))
        bits = BITS[a.element_size()]
        if what_of(a) != what_of(b) or not torch.equal(a.view(bits), b.view(bits)):
            names.add(name)
    return names


def opened(path, aliases):
    tensors = safetensors.torch.load_file(path)
    for alias, name in aliases.items():
        assert alias not in tensors, alias
        tensors[alias] = tensors[name]
    return tensors


def check_that_each_byte_counts(path, aliases, theirs):
    """A bit of any tensor changed in the file is a difference there."""
    with open(path, "rb") as file:
        contents = bytearray(file.read())
    begin = 8 + int.from_bytes(contents[:8], "little")
    changed = 0
    for name, entry in json.loads(contents[8:begin]).items():
        if name == "__metadata__" or entry["data_offsets"][0] == entry["data_offsets"][1]:
            continue
        last = begin + entry["data_offsets"][1] - 1
        contents[last] ^= 1
        with open(path, "wb") as file:
            file.write(contents)
        contents[last] ^= 1
        expected = {name} | {a for a, n in aliases.items() if n == name}
        found = differing(opened(path, aliases), theirs)
        assert found == expected, (found, expected)
        changed += 1
    assert changed >= 12, changed


def main():
    with tempfile.TemporaryDirectory() as directory:
        checkpoint = subprocess.run(
            [sys.argv[1], directory], check=True, stdout=subprocess.PIPE
        ).stdout.decode("utf-8").strip()
        path = os.path.join(checkpoint, "model", "model.safetensors")
        aliases = aliases_of(checkpoint)
        assert aliases == {"conv.weight": "tied"}, aliases
        theirs = torch.jit.load(os.path.join(directory, "model.pt")).state_dict()
        assert {what_of(tensor)[0] for tensor in theirs.values()} == {
            torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.bool,
        }
        assert {(), (0, 3), (4, 3)} <= {tuple(t.shape) for t in theirs.values()}
        found = differing(opened(path, aliases), theirs)
        assert not found, found
        check_that_each_byte_counts(path, aliases, theirs)
    print("safetensors %s and torch %s agree on %d tensors"
          % (safetensors.__version__, torch.__version__, len(theirs)))


if __name__ == "__main__":
    main()
