#!/usr/bin/env python3
"""Writes screens.ld: the functions that the screens run, for the linker to put side by side.

    CARGO_PROFILE_RELEASE_STRIP=false cargo build --release -p kafka-tui
    valgrind --tool=callgrind --demangle=no --compress-strings=no --callgrind-out-file=ran \\
        target/release/kafka-tui --bootstrap HOST:PORT      (go through the screens, then q)
    tui/link/order.py target/release/kafka-tui ran > tui/link/screens.ld

Functions stand by their paths without hashes, so that the list outlives other compilers and small
changes. A path of a generic function has many instances: it is taken where so many of them were run
that they would be in as much memory if they stayed where they are, and stands at the end.
"""

import re
import subprocess
import sys

# The share of a path's code that has to have run for all of it to be taken among the first.
SHARE_MIN = 0.3
# Bytes of a path for each of its instances that was run, at most: what comes with a page.
BYTES_MAX = 48 * 1024


def path_of(name):
    """The mangled name up to its hash; None for what is not mangled in that way."""
    found = re.match(r"(_ZN.*?)17h[0-9a-f]{16}E", name)
    return found and found.group(1)


def symbols_of(program):
    """Sizes by name of all functions."""
    lines = subprocess.run(["nm", "-S", program], capture_output=True, text=True, check=True)
    rows = (line.split() for line in lines.stdout.splitlines())
    return {row[3]: int(row[1], 16) for row in rows if len(row) == 4 and row[2] in "tTwW"}


def run_in(callgrind):
    """The names of all functions that were run; callgrind does not know whose ours are."""
    names = set()
    for line in open(callgrind, encoding="utf-8"):
        if line.startswith("fn="):
            names.add(re.sub(r"'\d+$", "", line[3:].rstrip("\n")))
    return names


def paths(sizes, ran):
    whole, part, instances = {}, {}, {}
    for name, size in sizes.items():
        path = path_of(name)
        if path:
            whole[path] = whole.get(path, 0) + size
            if name in ran:
                part[path] = part.get(path, 0) + size
                instances[path] = instances.get(path, 0) + 1
    first = [path for path in part if part[path] >= SHARE_MIN * whole[path]]
    few = (path for path in part if part[path] < SHARE_MIN * whole[path])
    last = (path for path in few if whole[path] <= BYTES_MAX * instances[path])
    return sorted(first) + sorted(last)


def main():
    program, callgrind = sys.argv[1:3]
    print("/* What the screens run, side by side. Written by order.py, which says how. */")
    print("SECTIONS\n{\n  .text.screens :\n  {")
    for path in paths(symbols_of(program), run_in(callgrind)):
        print(f"    *(.text.{path}17h*)")
    print("    /* The standard library's own. */")
    print("    *(.text._R*)")
    print("  }\n}\nINSERT BEFORE .text;")


main()
