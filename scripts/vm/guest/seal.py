"""What an "encrypted" key of the kernel is loaded from, for a payload that is known.
seal.py NAME MASTER PAYLOAD prints it for keyctl add; the latter two are files, and the key user:NAME
has what is in MASTER. See security/keys/encrypted-keys of the kernel.
"""
import hashlib
import hmac
import os
import subprocess
import sys


def derive(name, master):
    return hashlib.sha256((name + b"\0" + master).ljust(len(b"AUTH_KEY\0") + len(master), b"\0")).digest()


def main(name, master_file, payload_file):
    with open(master_file, "rb") as f:
        master = f.read()
    with open(payload_file, "rb") as f:
        payload = f.read()
    iv = os.urandom(16)
    data = subprocess.run(["openssl", "enc", "-aes-256-cbc", "-nopad", "-iv", iv.hex(), "-K",
                           derive(b"ENC_KEY", master).hex()], input=payload, capture_output=True,
                          check=True).stdout
    head = f"user:{name}", str(len(payload))
    signed = b"".join(text.encode() + b"\0" for text in ("default",) + head) + iv + b"\0" + data
    mac = hmac.new(derive(b"AUTH_KEY", master), signed, hashlib.sha256).digest()
    print("load", "default", *head, (iv + b"\0" + data + mac).hex())


main(*sys.argv[1:])
