#!/usr/bin/env python3
"""Packs a directory and signs it: pack.py DIRECTORY PRIVATE-KEY.pem PACKAGE.zip

Written from the description of the package format in selena-package's README, with Python's standard library and
openssl, to show that the description is enough. It shares no code with selenactl.
"""

import base64
import hashlib
import json
import os
import stat
import subprocess
import sys
import tempfile
import zipfile

SIGNATURE = "SIGNATURE.json"


def files_of(directory):
    """The files below the directory by their paths in the package, with their modes."""
    found = {}
    for at, _, names in os.walk(directory):
        for name in names:
            full = os.path.join(at, name)
            path = os.path.relpath(full, directory).replace(os.sep, "/")
            if path != SIGNATURE:
                with open(full, "rb") as file:
                    found[path] = (file.read(), stat.S_IMODE(os.stat(full).st_mode) & 0o755)
    return found


def openssl(*arguments):
    return subprocess.run(["openssl", *arguments], check=True, capture_output=True).stdout


def key_id(key_file):
    """The first 16 bytes of the SHA-256 of the key's 32 bytes, which are the last ones of its DER."""
    key = openssl("pkey", "-in", key_file, "-pubout", "-outform", "DER")[-32:]
    return hashlib.sha256(key).hexdigest()[:32]


def signed(message, key_file):
    with tempfile.NamedTemporaryFile() as file:
        file.write(message)
        file.flush()
        return openssl("pkeyutl", "-sign", "-rawin", "-inkey", key_file, "-in", file.name)


def signature(files, key_file):
    digests = {path: hashlib.sha256(content).hexdigest() for path, (content, _) in files.items()}
    message = b"selena-package-v1\n"
    for path in sorted(digests, key=lambda path: path.encode()):
        message += path.encode() + b"\0" + digests[path].encode() + b"\n"
    sig = base64.b64encode(signed(message, key_file)).decode()
    return json.dumps({"key_id": key_id(key_file), "alg": "ed25519", "files": digests, "sig": sig}, indent=2)


def pack(directory, key_file, package):
    files = files_of(directory)
    with zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED) as out:
        for path, (content, mode) in files.items():
            entry = zipfile.ZipInfo(path)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (stat.S_IFREG | mode) << 16
            out.writestr(entry, content)
        out.writestr(SIGNATURE, signature(files, key_file))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    pack(*sys.argv[1:])
