"""Scripts that begin searches, with stand-ins for the programs that they call."""

import os
import stat
import subprocess

import pytest

from nash_tf.experiment import followers
from tests.helpers import ROOT

# Fails at a chief that is not the second, and writes down whom it was sent to.
WORKER = """#!/bin/sh
echo "$KERASTUNER_TUNER_ID $KERASTUNER_ORACLE_IP $KERASTUNER_ORACLE_PORT $*" >> ran
[ "$KERASTUNER_ORACLE_IP" = 10.0.0.2 ] || { echo '10.0.0.2 7 1' > .nash_tf-chief-5; exit 1; }
"""


def program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def slurm(place, task, **environment):
    environment = {
        "SLURM_SUBMIT_DIR": str(place),
        "SLURM_ARRAY_JOB_ID": "5",
        "SLURM_ARRAY_TASK_ID": task,
        **environment,
    }
    command = ["bash", str(ROOT / "launchers" / "slurm.sh"), "--method=sh"]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60)


class TestSlurm:
    def test_an_array_is_told_of_all_methods_that_need_a_second_submission(self):
        said = (ROOT / "launchers" / "slurm_experiment.sh").read_text()
        assert all(f"`{name}`" in said for name in followers.REGISTRY)

    def test_a_worker_goes_on_with_a_chief_that_began_again(self, tmp_path):
        program(tmp_path / ".venv" / "bin" / "python", WORKER)
        (tmp_path / ".nash_tf-chief-5").write_text("10.0.0.1 7 0\n")
        done = slurm(tmp_path, "3")
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "ran").read_text().splitlines() == [
            f"worker3 10.0.0.{number} 7 -m nash_tf.main --method=sh" for number in (1, 2)
        ]

    @pytest.mark.parametrize(
        ("written", "status", "said"),
        [("", 1, "no chief within 1 s\n"), ("10.0.0.1 7 0\n", 1, "no chief within 1 s\n"), ("10.0.0.1 7 0\n", 2, "")],
    )
    def test_a_worker_without_a_chief_or_that_is_refused_ends(self, written, status, said, tmp_path):
        program(tmp_path / ".venv" / "bin" / "python", f"#!/bin/sh\nexit {status}\n")
        (tmp_path / ".nash_tf-chief-5").write_text(written)
        done = slurm(tmp_path, "3", NASH_TF_MEET_SECONDS="1")
        assert (done.returncode, done.stderr) == (status, said)

    def test_a_worker_that_is_killed_goes_on_with_a_chief_that_lives(self, tmp_path):
        program(tmp_path / ".venv" / "bin" / "python", "#!/bin/sh\necho >> ran\n[ $(wc -l < ran) = 3 ] || exit 137\n")
        (tmp_path / ".nash_tf-chief-5").write_text("10.0.0.1 7 0\n")
        done = slurm(tmp_path, "3", NASH_TF_MEET_SECONDS="1")
        assert (done.returncode, done.stderr) == (0, "")

    @pytest.mark.parametrize(("restarts", "more"), [("0", ""), ("2", " --resume")])
    def test_a_chief_says_where_it_is_and_how_often_it_began(self, restarts, more, tmp_path):
        program(tmp_path / "bin" / "hostname", "#!/bin/sh\necho 10.0.0.9 fe80::1\n")
        program(tmp_path / ".venv" / "bin" / "python", '#!/bin/sh\necho "$(cat .nash_tf-chief-5), $*" > ran\nexit 3\n')
        path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
        done = slurm(tmp_path, "0", SLURM_RESTART_COUNT=restarts, PATH=path)
        said = f"10.0.0.9 20005 {restarts}, -m nash_tf.main --method=sh{more}\n"
        assert ((tmp_path / "ran").read_text(), done.returncode) == (said, 3)
        assert not (tmp_path / ".nash_tf-chief-5").exists()


def test_the_launcher_of_a_search_does_not_follow_cdpath(tmp_path):
    """It must go to its own repository, wherever a folder of the same name is."""
    home, other = tmp_path / "home", tmp_path / "other"
    for place, name in ((home, "right"), (other, "wrong")):
        program(place / "launchers" / "environment.sh", f'make_environment() {{ export PATH="{place}/bin:$PATH"; }}\n')
        program(place / "bin" / "nash-tf", f'#!/bin/sh\necho {name} "$PWD" "$@"\n')
    program(home / "launchers" / "search.sh", (ROOT / "launchers" / "search.sh").read_text())
    command = ["bash", "launchers/search.sh", "--method=sh"]
    environment = {**os.environ, "CDPATH": str(other)}
    done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True)
    assert done.stdout == f"right {home} --method=sh\n", done.stderr


def test_an_image_is_made_without_what_lies_beside_the_package():
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".git", ".venv", "runs"} <= {*ignored}
    assert not {"nash_tf", "setup.py", "README.md", "flags"} & {*ignored}
