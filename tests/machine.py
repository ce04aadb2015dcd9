"""Say which parts of the suite this machine cannot run, in one line each; with CI=true, fail."""

import os
import shutil
import sys

PARTS = {
    "Chromium (the browser tests)": (("chromium", "chromium-browser"), "chromium"),
    "Mosquitto (the second broker)": (("mosquitto", "/usr/sbin/mosquitto"), "mosquitto"),
    "mosquitto_pub (the first-device test)": (("mosquitto_pub",), "mosquitto-clients"),
}


def main() -> int:
    missing = [
        (part, package)
        for part, (programs, package) in PARTS.items()
        if not any(map(shutil.which, programs))
    ]
    if os.geteuid() != 0:
        print("This is not root: the tests of full and read-only disks are left out.")
    required = os.environ.get("CI") == "true"
    for part, package in missing:
        left_out = "is required with CI=true" if required else "its tests are left out"
        print(f"{part} is missing, {left_out}: get it with `apt install {package}`.")
    return 1 if missing and required else 0


if __name__ == "__main__":
    sys.exit(main())
