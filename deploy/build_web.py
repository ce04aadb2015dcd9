"""Fetch the console's libraries with npm and put what a browser needs into api/web/vendor.

Node comes from a Python wheel; npm's own settings (a mirror in .npmrc) hold. The versions and
hashes are those of package-lock.json, which names no address.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent
VENDOR = FOLDER / "api" / "web" / "vendor"
FILES = {
    "leaflet/dist/leaflet.js": "leaflet.js",
    "leaflet/dist/leaflet.css": "leaflet.css",
    "leaflet/dist/images": "images",
    "leaflet/LICENSE": "leaflet.LICENSE.txt",
    "uplot/dist/uPlot.esm.js": "uPlot.esm.js",
    "uplot/dist/uPlot.min.css": "uPlot.min.css",
    "uplot/LICENSE": "uPlot.LICENSE.txt",
}


def build(*, with_test_tools: bool) -> str:
    """Fetch and copy; return what went wrong, or an empty string."""
    npm = Path(sys.executable).with_name("npm")
    if not npm.exists():
        return f"npm is missing beside {sys.executable}: remove .venv and run `make run` again."
    command = [str(npm), "ci", "--no-progress", "--loglevel=error"]
    if not with_test_tools:
        command.append("--omit=dev")
    environment = {
        **os.environ,
        "npm_config_cache": str(FOLDER / ".venv" / "npm"),
        "npm_config_update_notifier": "false",
        # A city's own certificate authority is in the system's store, as for pip and curl.
        "NODE_USE_SYSTEM_CA": "1",
        # npm runs `node` by name.
        "PATH": f"{npm.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }
    done = subprocess.run(
        command, cwd=FOLDER, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        return (
            f"{done.stderr.strip()}\nThe console's libraries could not be fetched: npm says why "
            "above. Behind a proxy or mirror, set it in .npmrc or npm_config_registry, then run "
            "the command again."
        )
    VENDOR.mkdir(exist_ok=True)
    for source, target in FILES.items():
        path = FOLDER / "node_modules" / source
        if path.is_dir():
            shutil.copytree(path, VENDOR / target, dirs_exist_ok=True)
        else:
            shutil.copyfile(path, VENDOR / target)
    return ""


if __name__ == "__main__":
    sys.exit(build(with_test_tools="--test-tools" in sys.argv[1:]) or 0)
