"""What the tests of the report share."""

import html.parser
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from nash_tf import report

ROOT = Path(__file__).parents[2]
HOSTILE = """<script>alert("x")</script>'"><img src=x onerror=alert(1)>&amp;"""


class Outline(html.parser.HTMLParser):
    """Checks that elements nest, and collects what a test asks for."""

    VOID = {"meta", "link", "br", "hr", "col", "img"}

    def __init__(self, page: str):
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.sources: list[str] = []
        self.names: list[str] = []
        self.headings: list[str] = []
        self.parts: list[str] = []  # their headings
        self.words: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, name, attributes):
        self.names.append(name)
        self.sources += [value for key, value in attributes if key == "src"]
        self.ids += [value for key, value in attributes if key == "id"]
        self.targets += [value for key, value in attributes if key == "href"]
        assert not [key for key, _ in attributes if key.startswith("on")]
        if name not in self.VOID:
            self.open.append(name)

    def handle_startendtag(self, name, attributes):
        self.names.append(name)

    def handle_endtag(self, name):
        assert self.open.pop() == name

    def handle_data(self, data):
        if self.open and self.open[-1] in ("h2", "h3"):
            (self.headings if self.open[-1] == "h2" else self.parts).append(data)
        if not {"script", "style"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)


def page_of(directory: Path) -> Outline:
    return Outline(report.write(directory).read_text(encoding="utf-8"))


def check_texts(svgs: Path) -> None:
    """No text of a drawing leaves it, by a narrow guess of its width."""
    for path in svgs.glob("*.svg"):
        drawing = ElementTree.parse(path).getroot()
        width, height = float(drawing.get("width")), float(drawing.get("height"))
        for node in drawing.iter("{http://www.w3.org/2000/svg}text"):
            x, y, wide = float(node.get("x")), float(node.get("y")), 6.2 * len(node.text or "")
            look = (node.get("class") or "").split()
            start = x - wide if "end" in look else x - wide / 2 if "mid" in look else x
            assert start >= -3 and start + wide <= width + 8, (path.name, node.text)
            assert 10 <= y <= height, (path.name, node.text)


def change_settings(run: Path, **settings) -> Path:
    """Changes settings in a run's config.json."""
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | settings))
    return run


def lineage(run: Path) -> list[dict]:
    """The records in a run's lineage."""
    return [json.loads(line) for line in (run / "lineage.jsonl").read_text().splitlines()]


def write_lineage(run: Path, records: list[dict]) -> None:
    """Writes a run's lineage."""
    (run / "lineage.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


def cut(path: Path, count: int) -> None:
    """Takes bytes off the end of a file."""
    path.write_bytes(path.read_bytes()[:-count])
