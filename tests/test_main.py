"""The command line: what is refused and how, flagfiles, output directories, and signals.

The search is a stub here; what it does is tested elsewhere.
"""

import os
import re
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest

import nash_tf
from nash_tf import config, data, export_formats, main
from nash_tf.files import run_directory
from nash_tf.files.lock import LOCK, locked

ROOT = Path(__file__).parents[1]
FLAGFILES = sorted(path for path in (ROOT / "flags").glob("*.flags") if not path.stem.startswith("experiment"))

# (arguments beside --method=shr, what the line must contain). Run in a directory that holds what `fixtures` makes.
REFUSED = [
    # absl's own errors
    (["--stpes=3"], ["--stpes=3", "Unknown"]),
    (["--nosteps"], ["--nosteps", "Unknown"]),
    (["--steps"], ["--steps", "Missing value"]),
    (["--resume=maybe"], ["--resume=maybe", "boolean"]),
    (["--noresume=1"], ["--noresume=1", "does not take"]),
    (["--flagfile"], ["--flagfile", "no argument"]),
    (["--flagfile=absent.flags"], ["--flagfile", "absent.flags", "No such file"]),
    (["--flagfile=full"], ["--flagfile", "full", "directory"]),
    (["--flagfile=binary"], ["--flagfile", "text"]),
    (["--flagfile=bad.flags"], ["--steps=-1", "from 0 to"]),
    (["shrsep"], ["shrsep", "--flag=value"]),
    # names
    (["--method=SHR"], ["--method=SHR", "nash, sh, shr, shrsep"]),
    (["--method="], ["--method=", "nash, sh, shr, shrsep"]),
    (["--precision=float16"], ["--precision=float16", "float32, mixed_bfloat16"]),
    (["--augment=rotate"], ["--augment=rotate", "normalise,flip,shift,cutout"]),
    (["--augment=all,flip"], ["--augment=all,flip", "all, none"]),
    (["--augment="], ["--augment=", "all, none"]),
    # whole numbers
    (["--steps=-1"], ["--steps=-1", "from 0 to"]),
    (["--steps=1.5"], ["--steps=1.5", "whole number"]),
    (["--steps=abc"], ["--steps=abc", "whole number"]),
    (["--steps="], ["--steps=", "whole number"]),
    (["--steps=a\nb"], ["--steps=", r"a\nb", "whole number"]),
    (["--steps=99999999999"], ["--steps=99999999999", "from 0 to"]),
    (["--children=1"], ["--children=1", "from 2 to"]),
    (["--children=6"], ["--children=6", "power of two", "nearest is 4"]),
    (["--export=pdf"], ["--export=pdf", "saved_model,keras,litert,int8,onnx"]),
    (["--mutations=0"], ["--mutations=0", "from 1 to"]),
    (["--epochs_per_step=-32"], ["--epochs_per_step=-32", "from 1 to"]),
    (["--epochs_per_step=50"], ["--epochs_per_step=50", "multiple of 32", "nearest is 64"]),
    (["--epochs_per_step=50", "--method=nash"], ["--epochs_per_step=50", "multiple of 8", "nearest is 48"]),
    (["--vanilla_epochs=0"], ["--vanilla_epochs=0", "from 1 to"]),
    (["--final_epochs=-1"], ["--final_epochs=-1", "from 0 to"]),
    (["--train_limit=0"], ["--train_limit=0", "from 1 to"]),
    (["--train_limit=many"], ["--train_limit=many", "whole number"]),
    (["--batch_size=0"], ["--batch_size=0", "from 1 to"]),
    (["--max_params=0"], ["--max_params=0", "from 1 to"]),
    (["--max_params=1e6"], ["--max_params=1e6", "whole number"]),
    (["--seed=-1"], ["--seed=-1", "from 0 to 4294967295"]),
    (["--seed=4294967296"], ["--seed=4294967296", "from 0 to 4294967295"]),
    (["--workers=0"], ["--workers=0", "from 1 to"]),
    # image files
    (["--image_size=0"], ["--image_size=0", "N or HxW", "4 to 4096"]),
    (["--image_size=64x"], ["--image_size=64x", "N or HxW"]),
    (["--image_size=5000x64"], ["--image_size=5000x64", "4 to 4096"]),
    (["--image_size=64"], ["--image_size", "digits", "arrays"]),
    (["--image_fit=zoom"], ["--image_fit=zoom", "crop, pad, stretch"]),
    (["--memory_share=0"], ["--memory_share=0.0", "above 0"]),
    (["--memory_share=2"], ["--memory_share=2.0", "at most 1"]),
    # widths
    (["--widths="], ["--widths=", "1 to 6 whole numbers"]),
    (["--widths=16,x"], ["--widths=16,x", "1 to 6 whole numbers"]),
    (["--widths=16,0"], ["--widths=16,0", "from 1 to 600"]),
    (["--widths=601"], ["--widths=601", "from 1 to 600"]),
    (["--widths=1,2,3,4,5,6,7"], ["--widths=1,2,3,4,5,6,7", "1 to 6"]),
    # numbers
    (["--valid_fraction=0"], ["--valid_fraction=0.0", "above 0"]),
    (["--valid_fraction=0.6"], ["--valid_fraction=0.6", "at most 0.5"]),
    (["--valid_fraction=10%"], ["--valid_fraction=10%", "number"]),
    (["--max_hours=0"], ["--max_hours=0.0", "above 0"]),
    (["--max_hours=inf"], ["--max_hours=inf", "finite"]),
    (["--max_hours=nan"], ["--max_hours=nan", "finite"]),
    (["--mixup=-1"], ["--mixup=-1.0", "at least 0"]),
    (["--learning_rate=0"], ["--learning_rate=0.0", "above 0"]),
    (["--final_learning_rate=nan"], ["--final_learning_rate=nan", "finite"]),
    (["--momentum=1"], ["--momentum=1.0", "below 1"]),
    (["--weight_decay=-0.1"], ["--weight_decay=-0.1", "at least 0"]),
    # data
    (["--dataset="], ["--dataset=", "name of a data set or a path"]),
    (["--dataset=absent"], ["--dataset", "absent"]),
    (["--dataset=/absent/parts.npz"], ["--dataset", "/absent/parts.npz"]),
    # output directories
    (["--output_dir=file"], ["--output_dir=file", "directory"]),
    (["--output_dir=file/run"], ["--output_dir=file/run", "directory"]),
    (["--output_dir=dangling"], ["--output_dir=dangling", "directory"]),
    (["--output_dir=loop"], ["--output_dir=loop", "symbolic links"]),
    ([f"--output_dir={'a' * 300}"], ["--output_dir=aaa", "too long"]),
    (["--output_dir=full"], ["--output_dir=full", "not a run's"]),
    (["--output_dir=run"], ["--output_dir=run", "--resume"]),
    (["--output_dir=full", "--resume"], ["--output_dir=full", "not a run's"]),
    (["--output_dir=linked", "--resume"], ["linked: holds a link, 'linked/tuner/trial_0001'"]),
    (["--output_dir=piped", "--resume"], ["piped: holds a special file, 'piped/config.json'"]),
    (["--output_dir=locked"], ["locked: holds a link, 'locked/owner.lock'"]),
    (["--output_dir=torn", "--resume"], ["--output_dir=torn", "config.json cannot be read"]),
    (["--output_dir=list", "--resume"], ["--output_dir=list", "config.json cannot be read"]),
    (["--output_dir=other", "--resume"], ["--output_dir=other", "config.json holds --colour=red"]),
    (["--output_dir=run", "--resume", "--seed=7"], ["--resume", "seed was 0, is 7"]),
    (["--output_dir=run", "--resume", "--steps=1", "--batch_size=1"], ["steps was 2, is 1", "batch_size was 64, is 1"]),
]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An otherwise empty working directory with something wrong of every kind in it."""
    monkeypatch.chdir(tmp_path)
    for name in ("empty", "full", "torn", "list", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "full" / "thesis.tex").write_text("")
    (tmp_path / "torn" / "config.json").write_text('{"method": "sh')
    (tmp_path / "list" / "config.json").write_text("[1]")
    (tmp_path / "other" / "config.json").write_text('{"method": "shr", "colour": "red"}')
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "bad.flags").write_text("# a comment\n--steps=-1\n")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("run", "linked"):
        run_directory.write_config(config.SearchConfig(method="shr", output_dir=name), {"keras": "3"})
    (tmp_path / "linked" / "tuner").mkdir()
    (tmp_path / "linked" / "tuner" / "trial_0001").symlink_to("../../full")
    (tmp_path / "piped").mkdir()
    os.mkfifo(tmp_path / "piped" / "config.json")
    (tmp_path / "locked").mkdir()
    (tmp_path / "locked" / "owner.lock").symlink_to("../full/thesis.tex")
    return tmp_path


@pytest.fixture
def search(monkeypatch):
    """Stands in for `nash_tf.search`; `calls` are the runs begun, `act` is what a run does."""
    stub = types.ModuleType("nash_tf.search")
    stub.calls, stub.act = [], lambda config: None

    def run(config, resume, command):
        assert command[1:3] == ["-m", "nash_tf.main"]
        stub.calls.append((config, resume))
        return stub.act(config)

    stub.run, stub.FAILURES = run, (OSError,)
    monkeypatch.setitem(sys.modules, "nash_tf.search", stub)
    monkeypatch.setitem(vars(nash_tf), "search", stub)
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")
    return stub


def contents(directory):
    return {path: path.read_bytes() if path.is_file() else None for path in directory.rglob("*")}


def start(*arguments):
    return main.main(["main", *arguments])


class TestRefused:
    @pytest.mark.parametrize(("arguments", "expected"), REFUSED, ids=lambda value: " ".join(value)[:60])
    def test_with_status_2_and_one_line_and_nothing_written(self, arguments, expected, place, search, capsys):
        before = contents(place)
        assert start("--method=shr", *arguments) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert re.fullmatch(r"[^\n]+\n", printed.err)
        assert [part for part in expected if part not in printed.err] == []
        assert contents(place) == before
        assert search.calls == []

    def test_a_format_without_its_packages(self, place, search, capsys, monkeypatch):
        monkeypatch.setattr(export_formats, "missing", lambda name: ["onnxruntime"] if name == "onnx" else [])
        assert start("--export=onnx") == 2
        assert re.fullmatch("--export=onnx: .*`pip install onnxruntime`\n", capsys.readouterr().err)

    def test_tensorboard_without_its_package(self, place, search, capsys, monkeypatch):
        monkeypatch.setattr(config.importlib.util, "find_spec", lambda name: None)
        assert start("--tensorboard", "--method=none_such") == 2
        assert re.fullmatch("--tensorboard=True: .*`pip install tensorboard`\n", capsys.readouterr().err)

    def test_another_backend(self, place, search, capsys, monkeypatch):
        monkeypatch.setenv("KERAS_BACKEND", "jax")
        assert start("--method=sh") == 2
        assert capsys.readouterr().err == "KERAS_BACKEND=jax: must be tensorflow, or not be set\n"

    @pytest.mark.parametrize("directory", ["new", "empty"])
    def test_a_directory_that_cannot_be_written_to(self, directory, place, search, capsys, monkeypatch):
        monkeypatch.setattr(os, "access", lambda path, mode: False)  # the tests may run as root, who may write anywhere
        assert start("--method=sh", f"--output_dir={directory}") == 2
        assert re.fullmatch(f"--output_dir={directory}: .* written to\n", capsys.readouterr().err)

    @pytest.mark.parametrize(
        ("error", "line"),
        [
            (data.DataError("parts: broken\nimage"), "--dataset: parts: broken image\n"),
            (config.ConfigError("--augment=flip: no"), "--augment=flip: no\n"),
        ],
    )
    def test_what_the_search_refuses(self, error, line, place, search, capsys):
        def refuse(config):
            raise error

        search.act = refuse
        assert start("--method=sh", "--dataset=digits") == 2
        assert capsys.readouterr().err == line

    def test_other_errors_keep_their_traceback(self, place, search):
        def fail(config):
            raise RuntimeError("a bug")

        search.act = fail
        with pytest.raises(RuntimeError, match="a bug"):
            start("--method=sh")

    def test_what_ends_a_run_is_one_line_and_status_1(self, place, search, capsys):
        def fail(config):
            raise OSError(28, "No space left on device", "run/tuner/oracle.json")

        search.act = fail
        assert start("--method=sh") == 1
        assert capsys.readouterr().err == "[Errno 28] No space left on device: 'run/tuner/oracle.json'\n"


class TestRefusedForReal:
    """The same in a process of its own: a status, a line, and no TensorFlow."""

    PROGRAM = (
        "import sys; from nash_tf.main import main; status = main();"
        "assert not {'tensorflow', 'keras', 'keras_tuner'} & set(sys.modules), 'imported too soon'; sys.exit(status)"
    )

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            (["--method=shr", "--stpes=3"], "--stpes=3: Unknown"),
            (["--method=shr", "--steps=abc"], "--steps=abc: must be a whole number"),
            (["--method=shr", "--epochs_per_step=50"], "--epochs_per_step=50: must be a positive multiple of 32"),
            (["--method=shr", "--dataset=/absent"], "/absent"),
            (["--method=shr", "--output_dir=full"], "--output_dir=full: holds files"),
            (["--method=shr", "--output_dir=run"], "--output_dir=run: holds a run"),
        ],
    )
    @pytest.mark.parametrize("how", [["-c", PROGRAM], ["-m", "nash_tf.main"]], ids=["imports", "module"])
    def test_process(self, how, arguments, expected, place):
        before = contents(place)
        environment = {key: value for key, value in os.environ.items() if key != "KERAS_BACKEND"}
        environment.update(PYTHONPATH=str(ROOT), PYTHONDONTWRITEBYTECODE="1")
        command = [sys.executable, *how, *arguments]
        ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert re.fullmatch(r"[^\n]+\n", ended.stderr)
        assert expected in ended.stderr
        assert contents(place) == before


class TestAccepted:
    def test_every_flag_arrives(self, place, search, monkeypatch):
        monkeypatch.setattr(export_formats, "missing", lambda name: [])
        settings = {
            "method": "sh",
            "dataset": "digits",
            "image_fit": "pad",
            "memory_share": 0.5,
            "cache_dir": "kept",
            "train_limit": 500,
            "valid_fraction": 0.25,
            "steps": 3,
            "children": 4,
            "mutations": 2,
            "epochs_per_step": 24,
            "vanilla_epochs": 2,
            "final_epochs": 0,
            "widths": (8, 16),
            "batch_size": 32,
            "max_params": 5000,
            "max_hours": 1.5,
            "max_cpu_hours": 2.5,
            "seed": 9,
            "output_dir": "new",
            "precision": "mixed_bfloat16",
            "augment": ("normalise", "shift"),
            "mixup": 0.2,
            "workers": 3,
            "threads": 2,
            "learning_rate": 0.02,
            "final_learning_rate": 0.03,
            "momentum": 0.8,
            "weight_decay": 1e-4,
            "export": ("onnx", "litert"),
        }
        text = {
            name: ",".join(map(str, value)) if isinstance(value, tuple) else value for name, value in settings.items()
        }
        assert start(*(f"--{name}={value}" for name, value in text.items())) == 0
        ((arrived, resume),) = search.calls
        assert arrived == config.SearchConfig(**settings)
        assert resume is False
        assert {*settings, "tensorboard", "isolate", "image_size"} == set(arrived.to_json())

    @pytest.mark.parametrize(
        ("text", "names"),
        [("all", config.AUGMENTATIONS), ("none", ()), ("shift, flip", ("flip", "shift")), ("cutout", ("cutout",))],
    )
    def test_augment(self, text, names):
        parsed, _ = main.parse(["main", "--method=sh", f"--augment={text}"])
        assert parsed.augment == names

    def test_the_first_lines_say_what_is_done_where_and_a_bare_run_that_it_is_small(self, place, search, capsys):
        assert start() == 0
        printed = capsys.readouterr()
        first, place_, _, last = printed.out.splitlines()
        assert "shrsep" in first and "digits" in first and "runs/digits-shrsep-seed0" in place_
        assert re.fullmatch(".*small.*digits.*--flagfile=paper_shrsep .*", last)
        assert printed.err == ""
        assert start("--method=shrsep", "--dataset=digits") == 0
        assert "small" not in capsys.readouterr().out

    def test_formats_that_are_left_out_are_named_once(self, place, search, capsys, monkeypatch):
        monkeypatch.setattr(export_formats, "missing", lambda name: ["onnx", "tf2onnx"] if name == "onnx" else [])
        assert start() == 0
        (line,) = [line for line in capsys.readouterr().out.splitlines() if "exported" in line]
        assert "saved_model, keras, litert, int8; without onnx (needs onnx, tf2onnx): pip install" in line
        assert start("--export=int8", "--output_dir=new") == 0
        assert "exported as saved_model, keras, int8.\n" in capsys.readouterr().out

    def test_resume(self, place, search):
        assert start("--method=shr", "--output_dir=run", "--resume", "--steps=5") == 0
        ((arrived, resume),) = search.calls
        assert (arrived.steps, resume) == (5, True)

    @pytest.mark.parametrize("directory", ["absent", "empty"])
    def test_resume_begins_where_there_is_nothing_and_says_so(self, directory, place, search, capsys):
        assert start("--method=shr", "--dataset=digits", f"--output_dir={directory}", "--resume") == 0
        assert f"\nNothing to resume in {directory}: the run begins.\n" in capsys.readouterr().out
        assert [resume for _, resume in search.calls] == [False]

    @pytest.mark.parametrize("directory", ["new/and/deep", "empty", "started"])
    def test_new_empty_and_barely_begun_directories(self, directory, place, search):
        (place / "started").mkdir()
        for name in ("config.json.partial", ".config.json.0123abcd.new", "owner.lock", "report.html"):
            (place / "started" / name).write_text("{")
        assert start("--method=shr", f"--output_dir={directory}") == 0

    def test_help(self, search, capsys):
        assert start("--help") == 0
        printed = capsys.readouterr().out
        listed = set(re.findall(r"--(?:\[no\])?(\w+)", printed))
        assert {"resume", "flagfile", *config.SearchConfig.__dataclass_fields__} <= listed
        heads = re.findall(r"^(\w+).*:$", printed, re.MULTILINE)
        assert heads == ["Data", "Limits", "Run", "Search", "Training"]
        assert all(f"nash-tf {command} " in printed for command in ("predict", "report", "experiment"))
        assert search.calls == []


def test_the_lock_is_not_taken_through_a_link(tmp_path):
    (tmp_path / "mine").write_text("text")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / LOCK).symlink_to("../mine")
    with pytest.raises(OSError, match=LOCK), locked(tmp_path / "run"):
        pass
    assert (tmp_path / "mine").read_text() == "text"


class TestFlagfiles:
    def test_all_are_there(self):
        names = ["cifar10_cpu", "fashion_cpu", "paper_nash", "paper_sh", "paper_shr", "paper_shrsep", "quick"]
        assert [path.stem for path in FLAGFILES] == names

    @pytest.mark.parametrize("path", FLAGFILES, ids=lambda path: path.stem)
    @pytest.mark.parametrize("method", ["nash", "shrsep"])
    def test_parse_and_add_up(self, path, method):
        parsed, _ = main.parse(["main", f"--flagfile={path}", f"--method={method}"])
        assert sum(rung.children * rung.epochs for rung in parsed.rungs) == parsed.epochs_per_step

    @pytest.mark.parametrize("path", FLAGFILES, ids=lambda path: path.stem)
    def test_begin_with_what_they_run_and_how(self, path):
        comment = re.match(r"(#[^\n]*\n)+", path.read_text()).group()
        assert f"python -m nash_tf.main --flagfile=flags/{path.name}" in comment

    @pytest.mark.parametrize("method", ["nash", "sh", "shr", "shrsep"])
    def test_papers_experiment(self, method):
        parsed, _ = main.parse(["main", f"--flagfile={ROOT}/flags/paper_{method}.flags"])
        assert parsed.method == method
        assert parsed.dataset == "cifar10"
        assert (parsed.children, parsed.mutations, parsed.epochs_per_step, parsed.vanilla_epochs) == (8, 5, 160, 20)
        assert (parsed.final_epochs, parsed.widths, parsed.batch_size) == (200, (64, 128, 256), 128)
        assert (parsed.max_params, parsed.max_hours, parsed.mixup) == (20_000_000, 23, 1)
        assert (parsed.train_limit, parsed.valid_fraction) == (None, 0.1)
        assert parsed.augment == config.AUGMENTATIONS

    def test_quick_is_the_defaults(self):
        parsed, _ = main.parse(["main", f"--flagfile={ROOT}/flags/quick.flags", "--method=sh"])
        assert parsed == config.SearchConfig(method="sh")

    def test_are_found_by_name_beside_paths(self, place, capsys):
        (place / "mine").write_text("--steps=3\n")
        (place / "paper_sh").write_text("--steps=4\n")  # what lies here comes first
        for how in (["--flagfile=quick"], ["-flagfile", "quick"], ["--flagfile=quick.flags"]):
            assert main.parse(["main", "--steps=9", *how])[0] == config.SearchConfig(), how
        assert main.parse(["main", "--flagfile=mine"])[0].steps == 3
        assert main.parse(["main", "--flagfile=paper_sh"])[0].steps == 4
        with pytest.raises(config.ConfigError, match="--flagfile: .*'other'; by name there are cifar10_cpu, "):
            main.parse(["main", "--flagfile=other"])

    def test_what_comes_later_wins(self):
        parsed, _ = main.parse(["main", f"--flagfile={ROOT}/flags/quick.flags", "--method=sh", "--steps=7"])
        assert parsed.steps == 7


def test_data_that_is_refused_names_the_flag(place):
    for flags, expected in (
        (["--dataset=digits", "--train_limit=5"], "--train_limit: expected at least 20"),
        (["--dataset=no/such"], "--dataset: "),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "nash_tf.main", "--method=sh", *flags],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert done.returncode == 2 and done.stderr.startswith(expected) and len(done.stderr.splitlines()) == 1


class TestSignals:
    @pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_a_stopped_run_says_how_to_go_on(self, number, status, place, search, capsys):
        def stop(config):
            run_directory.write_config(config, {})
            os.kill(os.getpid(), number)
            time.sleep(30)  # cut short by the signal

        search.act = stop
        handler = signal.getsignal(number)
        assert start("--method=sh", "--dataset=digits", "--output_dir=my run") == status
        command = "python -m nash_tf.main --method=sh --dataset=digits '--output_dir=my run' --resume"
        assert capsys.readouterr().err == f"Stopped. To go on: {command}\n"
        assert signal.getsignal(number) == handler

    @pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    @pytest.mark.parametrize("program", ["nash_tf.main", "nash_tf.experiment"])
    def test_while_modules_are_imported(self, program, number, status, tmp_path):
        command = [sys.executable, "-m", program, "--methods=sh" if "exp" in program else "--method=sh", "--steps=0"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(
            command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        handled = 0
        while not handled >> (signal.SIGTERM - 1) & 1:
            assert process.poll() is None
            handled = int(re.search(r"SigCgt:\s*(\w+)", Path(f"/proc/{process.pid}/status").read_text())[1], 16)
        process.send_signal(number)
        printed, _ = process.communicate(timeout=30)
        assert process.returncode == status and b"Traceback" not in printed

    def test_a_signal_that_a_library_turned_into_an_exception(self, place, search, capsys):
        def work(config):
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(30)
            except BaseException:
                raise ImportError("initialization failed") from None

        search.act = work
        assert start("--method=sh", "--dataset=digits") == 143
        assert capsys.readouterr().err == "Stopped before anything was written.\n"

    def test_before_anything_was_written(self, place, search, capsys):
        search.act = lambda config: os.kill(os.getpid(), signal.SIGTERM) or time.sleep(30)
        assert start("--method=sh", "--dataset=digits") == 143
        assert capsys.readouterr().err == "Stopped before anything was written.\n"

    def test_a_signal_that_is_swallowed_is_raised_again(self, place, search):
        class Swallows:
            def __del__(self):  # Python drops exceptions from here
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(0.1)

        def work(config):
            del swallows[0]
            time.sleep(30)

        swallows = [Swallows()]
        search.act = work
        assert start("--method=sh", "--dataset=digits") == 143

    @pytest.mark.parametrize("again", [0, signal.SIGTERM, signal.SIGINT])
    def test_what_is_tidied_up_after_a_signal_is_not_disturbed(self, again, place, search):
        def work(config):
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(30)
            finally:
                os.kill(os.getpid(), again)
                time.sleep(0.7)
                tidied.append(True)

        tidied = []
        search.act = work
        assert start("--method=sh", "--dataset=digits") == 143
        assert tidied and signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
