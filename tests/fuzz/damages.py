"""Damages each file of an interrupted and of a finished run, goes on with `--resume`, and compares the end with that of a whole run.

    python -m tests.fuzz.damages DIRECTORY [DAMAGES]

Runs and findings are kept in DIRECTORY, so that the same command goes on where it was stopped; the damages follow from their
numbers alone. What a damage may lead to: the results of the whole run, or one line that names a file and what to do, which is
then done and leads to these results. Anything else is printed as a fault. Exit status 1 where there is one.
"""

import collections
import contextlib
import faulthandler
import io
import json
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

from nash_tf import main as program

FLAGS = [
    "--method=shr",
    "--train_limit=120",
    "--widths=4",
    "--steps=1",
    "--children=2",
    "--epochs_per_step=4",
    "--vanilla_epochs=1",
    "--final_epochs=1",
    "--export=keras",
    "--nocontrol",
]
MEASURED = ("cpu_seconds", "wall_seconds", "seconds", "exports")  # differ from run to run
PATIENCE = 180.0  # seconds after which a run counts as hanging
PART, STOPPED = 4, 3  # exit statuses
IN_A_PROCESS = 40  # runs before a new process is begun


def truncated(data: bytes, order: random.Random) -> bytes:
    return data[: order.randrange(len(data))]


def flipped(data: bytes, order: random.Random) -> bytes:
    at = order.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << order.randrange(8))]) + data[at + 1 :]


def other_digit(data: bytes, order: random.Random) -> bytes:
    at = order.choice([place for place, byte in enumerate(data) if byte in b"0123456789"])
    return data[:at] + str((int(chr(data[at])) + order.randrange(1, 10)) % 10).encode() + data[at + 1 :]


def emptied(data: bytes, order: random.Random) -> bytes:
    return b""


CHANGES = {"truncated": truncated, "bit flipped": flipped, "digit changed": other_digit, "emptied": emptied}


def files_of(run: Path) -> list[Path]:
    return sorted(path.relative_to(run) for path in run.rglob("*") if path.is_file() and path.stat().st_size)


def plan(directory: Path, count: int) -> list[tuple[str, Path, str]]:
    """Which run, which of its files, and what is done to it: all damages to what a run is resumed from, two of each other file,
    again and again."""
    kinds, planned, order = [*CHANGES, "deleted", "swapped"], [], random.Random(0)
    while len(planned) < count:
        every = []
        for run in ("finished", "interrupted"):
            for file in files_of(directory / run):
                matters = file.parts[0] not in ("best", "report", "report.html")
                every += [(run, file, kind) for kind in (kinds if matters else order.sample(kinds, 2))]
        planned += order.sample(every, len(every))
    return planned[:count]


def damage(run: Path, place: Path, kind: str, order: random.Random) -> str:
    """Damages a file of a run; says what was done to it."""
    file = run / place
    if kind == "deleted":
        file.unlink()
    elif kind == "swapped":  # with one of its own sort where there is one
        others = [other for other in files_of(run) if other != place]
        other = order.choice([other for other in others if other.name == place.name] or others)
        mine, its = file.read_bytes(), (run / other).read_bytes()
        file.write_bytes(its)
        (run / other).write_bytes(mine)
        return f"swapped with {other}"
    else:
        file.write_bytes(CHANGES[kind](file.read_bytes(), order))
    return kind


def end_of(run: Path) -> dict:
    """What a run has come to, without what was measured."""
    lines = (run / "lineage.jsonl").read_text().splitlines()
    results = json.loads((run / "results.json").read_text())
    plain = [{name: value for name, value in each.items() if name not in MEASURED} for each in map(json.loads, lines)]
    return {"lineage": plain, "results": {name: of for name, of in results.items() if name not in MEASURED}}


def resume(run: Path, fresh: bool = False) -> tuple[int | None, str, str]:
    """Goes on with a run; exit status, None where it hangs, output and error output."""
    arguments = [*FLAGS, f"--output_dir={run}", "--resume"]
    if fresh:
        command = [sys.executable, "-m", "nash_tf.main", *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            return None, "", ""
        said = [line for line in done.stderr.splitlines(True) if "cuInit" not in line]
        return done.returncode, done.stdout, "".join(said)
    printed, failed = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(failed):
        try:
            status = program.main(["main", *arguments])
        except Exception:
            traceback.print_exc()
            status = -1
    if status in (128 + signal.SIGINT, 128 + signal.SIGTERM):  # it is this script that is to stop
        sys.exit(STOPPED)
    return status, printed.getvalue(), failed.getvalue()


def judged(run: Path, wanted: dict, fresh: bool) -> tuple[str, str]:
    """A verdict, which begins with "fault" where it is one, and what was said."""
    status, printed, failed = resume(run, fresh)
    said = " / ".join(
        line for line in printed.splitlines() if "Reloading" not in line and "Exported" not in line and str(run) in line
    )
    if status is None:
        return "fault: hangs", ""
    if "Traceback" in failed:
        return "fault: traceback", failed
    if status == 0:
        same = end_of(run) == wanted
        return ("same, and said" if said else "same") if same else "fault: silently different", said + failed
    first, removed = failed, 0
    while status:
        lines = [line for line in failed.splitlines() if line]
        if len(lines) != 1 or str(run) not in lines[0] or not re.search("remove |put |give ", lines[0]):
            return "fault: not one line that names file and remedy", failed
        if (remedy := re.search(r"remove (\S+?),", lines[0])) is None:
            return "refused", first
        place = Path(remedy[1])
        if not place.is_relative_to(run) or not place.exists() or removed > 5:
            return "fault: the remedy does not help", f"{first} ... {failed}"
        (shutil.rmtree if place.is_dir() else Path.unlink)(place)
        removed += 1
        status, _, failed = resume(run, fresh)
    if end_of(run) != wanted:
        return "fault: the remedy leads elsewhere", first
    return "refused, and the remedy helps", first


def make_runs(directory: Path) -> None:
    """A finished run, and one that was stopped during its second training."""
    finished, interrupted = directory / "finished", directory / "interrupted"
    if not (finished / "results.json").exists():
        shutil.rmtree(finished, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "nash_tf.main", *FLAGS, f"--output_dir={finished}"], check=True)
    if not (directory / "made").exists():
        shutil.rmtree(interrupted, ignore_errors=True)
        process = subprocess.Popen([sys.executable, "-m", "nash_tf.main", *FLAGS, f"--output_dir={interrupted}"])
        while not (interrupted / "tuner" / "trial_0002" / "trial.json").exists():
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 128 + signal.SIGTERM and not (interrupted / "results.json").exists()
        (directory / "made").touch()


def try_some(directory: Path, count: int) -> bool:
    """Tries damages whose findings are not there yet, as many as one process should; whether it was the last of them."""
    log, run = directory / "findings.jsonl", directory / "run"
    known = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    begun = directory / "begun"
    wanted = end_of(directory / "finished")
    planned, todo = plan(directory, count), sorted(set(range(count)) - {each["number"] for each in known})
    for number in todo[:IN_A_PROCESS]:
        kind, place, how = planned[number]
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(directory / kind, run)
        how, name = damage(run, place, how, random.Random(number)), str(place)
        if begun.exists() and begun.read_text() == str(number):
            verdict, said = "fault: hangs or dies", ""
        else:
            begun.write_text(str(number))
            faulthandler.dump_traceback_later(PATIENCE, exit=True)
            verdict, said = judged(run, wanted, fresh=name == "config.json")
            faulthandler.cancel_dump_traceback_later()
        found = {"number": number, "run": kind, "file": name, "damage": how, "verdict": verdict, "said": said}
        with open(log, "a", encoding="utf-8") as file:
            file.write(json.dumps(found) + "\n")
        if verdict.startswith("fault"):
            print(f"{number}: {kind}, {name} {how}: {verdict}\n{said}", flush=True)
    return len(todo) <= IN_A_PROCESS


def table(directory: Path) -> int:
    """Prints what was found, by file and damage; gives the number of faults."""
    found = [json.loads(line) for line in (directory / "findings.jsonl").read_text().splitlines()]
    verdicts = sorted({each["verdict"] for each in found})
    for title, key in (("file", "file"), ("damage", "damage")):
        counts = collections.Counter((each[key].split(" with ")[0], each["verdict"]) for each in found)
        print(f"\n| {title} | {' | '.join(verdicts)} |\n|---|{'---|' * len(verdicts)}")
        for name in sorted({name for name, _ in counts}):
            print(f"| {name} | {' | '.join(str(counts[name, verdict] or '') for verdict in verdicts)} |")
    return sum(each["verdict"].startswith("fault") for each in found)


def main(directory: Path, count: int) -> int:
    directory = directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    make_runs(directory)
    (directory / "begun").unlink(missing_ok=True)  # of a process that was stopped, which hung in nothing
    again = [sys.executable, "-m", "tests.fuzz.damages", str(directory), str(count), "--part"]
    hung = 0
    while status := subprocess.run(again).returncode:
        hung = 0 if status == PART else hung + 1  # faulthandler ends one that hangs with 1
        if status == STOPPED or hung > 3:
            return status
    faults = table(directory)
    print(f"\n{count} damages, {faults} faults")
    return min(faults, 1)


if __name__ == "__main__":
    where, number = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 200
    if "--part" in sys.argv:
        sys.exit(0 if try_some(where, number) else PART)
    sys.exit(main(where, number))
