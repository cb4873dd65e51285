"""Does what pages under docs/flows tell a newcomer to do, and compares what is
printed: every block that is marked bash, in order and in one shell, in a folder
with the files they name. A block that is marked text and follows is what must
have been printed, line by line and in this order, with "…" for what differs
from run to run; lines between may be left out."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

PAGES = ["direct.md", "trusted-user.md", "device-code.md", "jitp.md", "jitr.md", "bulk.md", "authorizer.md"]
ROOT = pathlib.Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```(bash|text)\n(.*?)^```$", re.M | re.S)
MARK = "==== end of block"


def run(page):
    blocks = FENCE.findall((ROOT / "docs/flows" / page).read_text())
    commands = [text for kind, text in blocks if kind == "bash"]
    assert commands, f"{page} has no commands"
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "docs/example", pathlib.Path(folder, "docs/example"))
        script = "".join(f"{text}\necho '{MARK}'\n" for text in commands)
        done = subprocess.run(["bash", "-eu", "-c", script], cwd=folder, text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=os.environ)
    if done.returncode:
        sys.exit(f"{page} ended with {done.returncode}:\n{done.stdout}")
    printed = iter(done.stdout.split(MARK + "\n"))
    last = ""
    for kind, text in blocks:
        if kind == "bash":
            last = next(printed)
        else:
            compare(page, text, last)
    print(f"== {page}: {len(commands)} blocks")


def compare(page, wanted, printed):
    lines = iter(printed.splitlines())
    for want in wanted.splitlines():
        pattern = ".*".join(re.escape(part) for part in want.split("…"))
        if not any(re.fullmatch(pattern, line) for line in lines):
            sys.exit(f"{page} promises\n{want}\nand this was printed:\n{printed}")


for name in PAGES:
    run(name)
