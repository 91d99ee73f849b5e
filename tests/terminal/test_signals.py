import signal
import subprocess
import sys

from nash_tf.terminal.signals import end

READY = "print('ready', flush=True); import time; time.sleep(600)"


def begin(code: str) -> subprocess.Popen:
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def test_processes_are_asked_to_end_and_killed_if_they_do_not():
    deaf = begin(f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {READY}")
    hearing, over = begin(READY), begin("print('ready', flush=True)")
    over.wait()
    end([deaf, hearing, over], patience=2.0)
    assert [each.returncode for each in (deaf, hearing, over)] == [-signal.SIGKILL, -signal.SIGTERM, 0]
