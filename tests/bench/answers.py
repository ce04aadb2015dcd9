"""Bytes and processor time of the API's answers at each gzip level, of a system that runs.

Usage: python -m tests.bench.answers http://127.0.0.1:8080 TOWN
"""

import sys
import time
import zlib

import httpx

PATHS = (
    "/api/v1/{town}/devices",
    "/api/v1/{town}/map/flood",
    "/api/v1/{town}/map/plows/tracks?minutes=120",
    "/api/v1/{town}/map/base",
    "/vendor/leaflet.js",
)
ROUNDS = 5


def cost(body, level):
    """Bytes of a gzipped body, and the least processor milliseconds of some rounds."""
    spent = []
    for _ in range(ROUNDS):
        begun = time.thread_time()
        gzipped = zlib.compress(body, level, 16 + zlib.MAX_WBITS)
        spent.append(time.thread_time() - begun)
    return len(gzipped), min(spent) * 1000


def main():
    """Print a line for each answer and level."""
    base, town = sys.argv[1:]
    with httpx.Client(base_url=base, timeout=60, headers={"Accept-Encoding": "identity"}) as client:
        for path in PATHS:
            body = client.get(path.format(town=town)).raise_for_status().content
            print(f"{path:48} {len(body):9,} bytes")
            for level in (1, 2, 3, 4, 5, 6, 9):
                size, spent_ms = cost(body, level)
                print(f"    level {level}  {size:9,} bytes  {spent_ms:6.1f} ms")


if __name__ == "__main__":
    main()
