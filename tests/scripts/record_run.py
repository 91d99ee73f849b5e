"""Keeps what is told of finished runs among the recorded ones: `python tests/scripts/record_run.py RUN... FOLDER`

A run is recorded as FOLDER/NAME, where NAME is that of its directory, as if it had been made in runs/compare. Files that are there are replaced.
"""

import json
import sys
from pathlib import Path

from nash_tf.architecture import Architecture
from nash_tf.files.checksums import with_checksum, without_checksum

ARCHITECTURE = Path("best") / "architecture.json"


def record(run: Path, target: Path) -> None:
    """Copies a run's settings, lineage, results and architecture."""
    made_in = f"runs/compare/{run.name}"
    config = without_checksum(json.loads((run / "config.json").read_text())) | {"output_dir": made_in}
    texts = {name: (run / name).read_text().replace(str(run), made_in) for name in ("lineage.jsonl", "results.json")}
    texts["config.json"] = json.dumps(with_checksum(config), indent=2) + "\n"
    texts[str(ARCHITECTURE)] = Architecture.from_json((run / ARCHITECTURE).read_text()).to_json() + "\n"
    (target / ARCHITECTURE).parent.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (target / name).write_text(text)


def main() -> None:
    """Records each run."""
    *runs, folder = map(Path, sys.argv[1:])
    for run in runs:
        record(run, folder / run.name)


if __name__ == "__main__":
    main()
