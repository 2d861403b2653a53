#!/usr/bin/env python3
"""Writes the golden records as inputs for the fuzzer: `seeds.py FOLDER`. The first byte of an input says which kind of
record it is taken for, in the order of `SHAPES` in `src/lib.rs`."""

import json
import pathlib
import sys

KINDS = ["streaming", "incident-", "alert-", "xdr-incident-", "xdr-alert-", "endpoint-alert-", "siem-detection-"]
GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden" / "records"


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(GOLDEN.glob("*.json")):
        kind = next((place for place, name in enumerate(KINDS) if path.name.startswith(name)), 0)
        try:
            text = json.dumps(json.loads(path.read_bytes()))
        except ValueError:
            text = path.read_bytes().decode(errors="replace")
        (folder / path.stem).write_bytes(bytes([kind]) + text.encode())


if __name__ == "__main__":
    main()
