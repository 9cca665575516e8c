# SPDX-License-Identifier: GPL-2.0
"""same_check.py QCOWCTL IMAGE [ignore=KEY,...]: check says what qemu-img check says.

Exit status and JSON, but for the keys that are named; "status" names the exit status."""
import json
import subprocess
import sys


def check(command, image):
    done = subprocess.run(
        [*command, "check", "--output=json", image],
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
    )
    found = json.loads(done.stdout) if done.stdout else {}
    found["status"] = done.returncode
    return found, done.stderr


def main():
    program, image = sys.argv[1:3]
    ignore = sys.argv[3].split("=")[1].split(",") if len(sys.argv) > 3 else []
    want, want_text = check(["qemu-img"], image)
    got, got_text = check([program], image)
    for key in ignore:
        want.pop(key, None)
        got.pop(key, None)
    if want == got:
        return 0
    print(f"qemu-img: {want}\n{want_text[:2000]}", file=sys.stderr)
    print(f"qcowctl: {got}\n{got_text[:2000]}", file=sys.stderr)
    return 1


sys.exit(main())
