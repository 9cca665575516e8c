"""The volume key of an image that QEMU has encrypted with LUKS and its default cipher and hash, in
another way than qcowctl: volume_key.py IMAGE KEY-FILE > KEY
"""
import ctypes
import hashlib
import struct
import sys

STRIPES = 4000


def decrypt_xts(key, data):
    """Sectors of 512 bytes, the first one is 0."""
    crypto = ctypes.CDLL("libcrypto.so.3")
    for name in ("EVP_CIPHER_CTX_new", "EVP_aes_256_xts"):
        getattr(crypto, name).restype = ctypes.c_void_p
    context = ctypes.c_void_p(crypto.EVP_CIPHER_CTX_new())
    cipher = ctypes.c_void_p(crypto.EVP_aes_256_xts())
    out = ctypes.create_string_buffer(512)
    length = ctypes.c_int()
    result = b""
    for at in range(0, len(data), 512):
        sector = struct.pack("<QQ", at // 512, 0)
        assert crypto.EVP_DecryptInit_ex(context, cipher, None, key, sector) == 1
        assert crypto.EVP_DecryptUpdate(context, out, ctypes.byref(length),
                                        data[at:at + 512], 512) == 1
        result += out.raw
    return result


def diffuse(data):
    return b"".join(hashlib.sha256(struct.pack(">I", i) + data[at:at + 32]).digest()
                    for i, at in enumerate(range(0, len(data), 32)))


def merge(stripes, size):
    block = bytes(size)
    for at in range(0, size * STRIPES, size):
        block = bytes(a ^ b for a, b in zip(block, stripes[at:at + size]))
        if at < size * (STRIPES - 1):
            block = diffuse(block)
    return block


def main(image, key_file):
    with open(key_file, "rb") as f:
        passphrase = f.read()
    with open(image, "rb") as f:
        head = f.read(4096)
        at = head.index(bytes.fromhex("0537be7700000010")) + 8
        luks = struct.unpack_from(">Q", head, at)[0]
        f.seek(luks)
        header = f.read(592)
        assert header[8:40].rstrip(b"\0") == b"aes" and header[40:72].rstrip(b"\0") == b"xts-plain64"
        size, digest, salt, iterations = struct.unpack_from(">I20s32sI", header, 108)
        slot_iterations, slot_salt, material = struct.unpack_from(">I32sI", header, 212)
        f.seek(luks + material * 512)
        split = f.read(size * STRIPES)
    slot_key = hashlib.pbkdf2_hmac("sha256", passphrase, slot_salt, slot_iterations, size)
    key = merge(decrypt_xts(slot_key, split), size)
    assert hashlib.pbkdf2_hmac("sha256", key, salt, iterations, 20) == digest, "another passphrase"
    sys.stdout.buffer.write(key)


main(*sys.argv[1:])
