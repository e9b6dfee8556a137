"""Opens a file of Holdfast's writer with the safetensors package.

usage: interop_test.py WRITER

Exit status 77: the package is not installed, the test is skipped.
"""

import os
import struct
import subprocess
import sys
import tempfile

try:
    import safetensors
except ImportError:
    print("skipped: the Python package safetensors is not installed")
    sys.exit(77)

# What the package calls the dtypes when it writes; it cannot write the others.
WRITABLE = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8",
    "F8_E5M2": "float8_e5m2", "F8_E4M3": "float8_e4m3fn",
    "F8_E8M0": "float8_e8m0fnu", "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz", "I16": "int16", "U16": "uint16",
    "F16": "float16", "BF16": "bfloat16", "I32": "int32", "U32": "uint32",
    "F32": "float32", "C64": "complex64", "F64": "float64", "I64": "int64",
    "U64": "uint64",
}


def header_text(contents):
    (length,) = struct.unpack("<Q", contents[:8])
    return contents[8 : 8 + length].rstrip(b" ").decode("utf-8")


def expected_tensors(lines):
    tensors = {}
    for line in lines.splitlines():
        dtype, shape, data, name = line.split(" ", 3)
        dimensions = [int(d) for d in shape.split(",") if d]
        tensors[name] = (dtype, dimensions, bytes.fromhex(data))
    return tensors


def check_contents(contents, expected):
    """Every tensor, as the package reads the file, byte by byte."""
    found = {
        name: (entry["dtype"], list(entry["shape"]), bytes(entry["data"]))
        for name, entry in safetensors.deserialize(contents)
    }
    assert set(found) == set(expected), set(found) ^ set(expected)
    for name, value in expected.items():
        assert found[name] == value, (name, found[name], value)


def check_safe_open(path, expected):
    """Names, dtypes and shapes through the package's usual door."""
    try:
        import numpy  # noqa: F401: safe_open asks for a framework
    except ImportError:
        print("safe_open is not tried: numpy is not installed")
        return
    with safetensors.safe_open(path, framework="np") as file:
        assert set(file.keys()) == set(expected)
        assert file.metadata()["format"] == "pt"
        assert file.metadata()["made.by"] == 'a "test"\n\x01\x7f'
        for name, (dtype, shape, data) in expected.items():
            part = file.get_slice(name)
            assert part.get_dtype() == dtype, name
            assert list(part.get_shape()) == shape, name
            if dtype in ("F32", "F64", "I64", "I8", "U8", "F16"):
                assert file.get_tensor(name).tobytes() == data, name


def check_bytes(contents, expected):
    """The package writes the same tensors to the same header and data."""
    import ctypes

    if not hasattr(safetensors, "TensorSpec"):
        print("writing is not compared: the package has no TensorSpec")
        return
    chosen = {n: t for n, t in expected.items() if t[0] in WRITABLE}
    buffers = {
        n: ctypes.create_string_buffer(t[2], max(1, len(t[2])))
        for n, t in chosen.items()
    }
    theirs = safetensors.serialize(
        {
            name: safetensors.TensorSpec(
                dtype=WRITABLE[dtype],
                shape=shape,
                data_ptr=ctypes.addressof(buffers[name]),
                data_len=len(data),
            )
            for name, (dtype, shape, data) in chosen.items()
        },
        None,
    )
    # Ours has metadata, dtypes that the package cannot write, and therefore
    # other offsets: what must agree is the order and each entry's text.
    ours_entries = entries_text(header_text(contents), chosen)
    theirs_entries = entries_text(header_text(bytes(theirs)), chosen)
    assert ours_entries == theirs_entries, (ours_entries, theirs_entries)


def entries_text(header, chosen):
    """The header's own text of the chosen entries, with offsets from 0."""
    import json
    import re

    entries = []
    begin = 0
    for name in json.loads(header):
        if name not in chosen:
            continue
        # serde_json and we must escape alike: search for the literal text.
        literal = json.dumps(name, ensure_ascii=False)
        start = header.index(literal + ":")
        text = header[start : header.index("}", start) + 1]
        end = begin + len(chosen[name][2])
        text, count = re.subn(
            r'"data_offsets":\[(\d+),(\d+)\]',
            lambda m: '"data_offsets":[%d,%d]'
            % (begin, begin + int(m[2]) - int(m[1])),
            text,
        )
        assert count == 1, text
        entries.append(text)
        begin = end
    return entries


def main():
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "every_dtype.safetensors")
        lines = subprocess.run(
            [sys.argv[1], path], check=True, stdout=subprocess.PIPE
        ).stdout.decode("utf-8")
        with open(path, "rb") as file:
            contents = file.read()
        expected = expected_tensors(lines)
        assert len({t[0] for t in expected.values()}) == 22
        check_contents(contents, expected)
        check_safe_open(path, expected)
        check_bytes(contents, expected)
    print("safetensors %s agrees on %d tensors"
          % (safetensors.__version__, len(expected)))


if __name__ == "__main__":
    main()
