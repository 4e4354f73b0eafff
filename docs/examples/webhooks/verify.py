"""Exits with 0 if the body on stdin is signed with SECRET. ID, TIMESTAMP and SIGNATURE are its webhook-… headers."""

import base64
import hashlib
import hmac
import os
import sys
import time

TOLERANCE_SECONDS = 300


def verify(secret: str, id: str, timestamp: str, signatures: str, body: bytes) -> bool:
    if abs(time.time() - int(timestamp)) > TOLERANCE_SECONDS:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mac = hmac.new(key, f"{id}.{timestamp}.".encode() + body, hashlib.sha256)
    expected = b"v1," + base64.b64encode(mac.digest())
    return any([hmac.compare_digest(expected, each.encode()) for each in signatures.split(" ")])


if __name__ == "__main__":
    given = [os.environ[name] for name in ("SECRET", "ID", "TIMESTAMP", "SIGNATURE")]
    sys.exit(0 if verify(*given, sys.stdin.buffer.read()) else 1)
