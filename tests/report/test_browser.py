"""The pages in a real browser."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from nash_tf import report
from nash_tf.report.records import runs
from tests.report.helpers import HOSTILE

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here; Debian: apt-get install chromium")
class TestBrowser:
    def browse(self, page: Path, *options: str) -> tuple[str, list[str]]:
        """The document after its script has run, and what the console said."""
        fixed = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--hide-scrollbars"]
        fixed += [f"--user-data-dir={page.parent / 'profile'}", "--dump-dom", *options]
        done = subprocess.run([CHROMIUM, *fixed, page.absolute().as_uri()], capture_output=True, timeout=120)
        said = [line for line in done.stderr.decode(errors="replace").splitlines() if "CONSOLE" in line]
        return done.stdout.decode(), said

    def test_errors_would_be_seen(self, tmp_path):
        page = tmp_path / "page.html"
        page.write_text("<p>here</p><script>nothing.there()</script>")
        shown, said = self.browse(page)
        assert "here" in shown and any("nothing is not defined" in line for line in said)

    def test_experiment(self, many, tmp_path):
        page = report.write_experiment([path for path in many.iterdir() if runs.is_run(path)], tmp_path / "page.html")
        shown, said = self.browse(page)
        assert said == [] and "Comparisons" in shown

    def test_hostile_names_run_nothing(self, big, tmp_path):
        run = tmp_path / "a\"b'<img src=x onerror=alert(1)>"
        shutil.copytree(big, run)
        values = json.loads((run / "results.json").read_text())
        (run / "results.json").write_text(json.dumps({**values, "dataset": HOSTILE}))
        shown, said = self.browse(report.write(run, tmp_path / "page.html"))
        assert said == [] and "<img" not in shown and shown.count("<script") == 1
        assert "&lt;script&gt;alert" in shown

    @pytest.mark.parametrize("width", [1280, 390])
    def test_nothing_overflows_and_the_script_works(self, big, tmp_path, width):
        """Measures in the browser: the page is as wide as its window, texts stay in their cards, and rows are sorted."""
        probe = """
<script>addEventListener("load",()=>{const say=[];
const wide=document.documentElement.scrollWidth-innerWidth;if(wide>0)say.push("page overflows by "+wide);
document.querySelectorAll("#figure-family_tree a, #figure-architecture g g").forEach(g=>{
const r=g.querySelector("rect").getBoundingClientRect();g.querySelectorAll("text").forEach(t=>{
const b=t.getBoundingClientRect();if(b.left<r.left-1||b.right>r.right+1||b.bottom>r.bottom+1)say.push("out: "+t.textContent)})});
document.querySelectorAll("svg").forEach(s=>{const r=s.getBoundingClientRect();if(r.width)s.querySelectorAll(":scope text")
.forEach(t=>{const b=t.getBoundingClientRect();if(b.width&&(b.right>r.right+2||b.left<r.left-2||b.bottom>r.bottom+2))
say.push("clipped: "+s.id+" "+t.textContent)})});
const t=document.querySelector("table.sortable"),b=t.querySelectorAll("th button")[2];b.click();
const sizes=[...t.tBodies[0].rows].map(r=>+r.cells[2].dataset.value);
if(sizes.some((v,i)=>i&&v>sizes[i-1]))say.push("not sorted");
const child=document.querySelector("#figure-family_tree a");child.focus();
if(document.activeElement!==child)say.push("cards cannot be focused");
if(!document.body.classList.contains("picked"))say.push("nothing is picked");
document.body.dataset.said=say.length?say.join(" | "):"fine"})</script></body>"""
        code = probe.removeprefix("\n<script>").removesuffix("</script></body>")
        allowed = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
        page = report.write(big, tmp_path / "page.html")
        source = page.read_text(encoding="utf-8").replace("</body>", probe)
        page.write_text(source.replace("script-src", f"script-src &#x27;sha256-{allowed}&#x27;", 1), encoding="utf-8")
        shown, said = self.browse(page, f"--window-size={width},900")
        assert said == [] and "Family tree" in shown and shown.count("<svg") > 20
        assert re.search(r'data-said="([^"]*)"', shown)[1] == "fine"
