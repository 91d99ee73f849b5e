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
from nash_tf.records import runs
from tests.helpers.synthetic_runs import add_test, make_run
from tests.report.helpers import HOSTILE

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

# Outside of figures and of the matrix of many classes, which move sideways, everything is within the window and not cut.
OVERFLOW = """
const wide=document.documentElement.scrollWidth-innerWidth;if(wide>0)say.push("page overflows by "+wide);
document.querySelectorAll("body *:not(script)").forEach(e=>{if(!e.checkVisibility())return;const b=e.getBoundingClientRect();
if(b.width&&(b.right>innerWidth+1||b.left<-1)&&!e.closest("table.matrix.many"))say.push("cut: "+e.tagName+" "+e.textContent.slice(0,40));
if(e.clientWidth&&e.scrollWidth>e.clientWidth+1&&getComputedStyle(e).overflowX!=="visible"&&!e.querySelector("table.matrix.many"))
say.push("moves: "+e.tagName+" "+e.className)})"""
# Words of tables that stand on two lines, broken off where they have no blank.
BROKEN = r"""
const range=document.createRange();document.querySelectorAll(".narrow td.l").forEach(e=>{if(!e.checkVisibility())return;
const texts=document.createTreeWalker(e,NodeFilter.SHOW_TEXT);let text;while(text=texts.nextNode())
if(!text.parentElement.closest("code"))for(const word of text.textContent.matchAll(/\S+/g)){
range.setStart(text,word.index);range.setEnd(text,word.index+word[0].length);
if(range.getClientRects().length>1)say.push("broken: "+word[0])}})"""
LONG = "a class with a name that is longer than others_and_has_no_blanks_in_it"


def _running(directory: Path) -> Path:
    return make_run(directory, "shr", steps=2, stop_after=14)


def _with_test(names: list[str], images: list[int], skill: list[float], **settings):
    return lambda directory: add_test(make_run(directory, "nash", steps=1, **settings), names, images, skill)


STATES = {
    "balanced": _with_test([f"kind {n}" for n in range(10)], [10_000] * 10, [0.7] * 10),
    "imbalanced": _with_test(["common", LONG, "rare"], [70_000, 9_000, 10], [0.98, 0.6, 0.3]),
    "2 classes": _with_test(["female", "male"], [1900, 740], [0.95, 0.33]),
    "20 classes": _with_test([f"kind {n}" for n in range(20)], [1_000] * 20, [0.7] * 20),
    "100 classes": _with_test([f"kind {n}" for n in range(100)], [100] * 100, [0.7] * 100),
    "earlier version": lambda directory: make_run(directory, "nash", steps=1),
    "running": _running,
}


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

    def measure(self, page: Path, probe: str, *widths: int) -> dict[str, str]:
        """What `probe`, the body of a function that fills the list `say`, says of the page in windows of these widths.

        A window of Chromium is never narrower than 500 pixels; a frame may be.
        """
        code = (
            'addEventListener("load",()=>{const say=[];'
            f'{probe};parent.postMessage([innerWidth,say.join(" | ")||"fine"],"*")}})'
        )
        allowed = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
        source = page.read_text(encoding="utf-8").replace("</body>", f"<script>{code}</script></body>")
        probed = page.with_name("probed.html")
        probed.write_text(source.replace("script-src", f"script-src &#x27;sha256-{allowed}&#x27;", 1), encoding="utf-8")
        frames = "".join(
            f'<iframe src="probed.html" style="width:{width}px;height:900px"></iframe>' for width in widths
        )
        outer = page.with_name("frames.html")
        outer.write_text(
            "<!DOCTYPE html><style>iframe{border:0}</style><script>addEventListener('message',e=>{const p="
            f"document.createElement('p');p.id='w'+e.data[0];p.textContent=e.data[1];document.body.append(p)}})</script>{frames}"
        )
        shown, said = self.browse(outer, "--window-size=1500,900")
        assert said == []
        return dict(re.findall(r'<p id="w(\d+)">([^<]*)</p>', shown))

    def test_the_probe_sees_what_overflows(self, tmp_path):
        page = tmp_path / "page.html"
        page.write_text(
            '<!DOCTYPE html><html><meta name="script-src"><body style="margin:0"><div style="width:600px">x</div></body>'
        )
        found = self.measure(page, OVERFLOW, 400, 800)
        assert found == {"400": "page overflows by 200 | cut: DIV x", "800": "fine"}

    def test_nothing_overflows_and_the_script_works(self, big, tmp_path):
        """Measures in the browser: the page is as wide as its window, texts stay in their cards, and rows are sorted."""
        probe = """
document.querySelectorAll("details").forEach(d=>d.open=true);
const wide=document.documentElement.scrollWidth-innerWidth;if(wide>0)say.push("page overflows by "+wide);
document.querySelectorAll("#figure-family_tree a, #figure-architecture g g").forEach(g=>{
const r=g.querySelector("rect").getBoundingClientRect();g.querySelectorAll("text").forEach(t=>{
const b=t.getBoundingClientRect();if(b.left<r.left-1||b.right>r.right+1||b.bottom>r.bottom+1)say.push("out: "+t.textContent)})});
document.querySelectorAll("svg").forEach(s=>{const r=s.getBoundingClientRect();if(r.width)s.querySelectorAll(":scope text")
.forEach(t=>{const b=t.getBoundingClientRect();if(b.width&&(b.right>r.right+2||b.left<r.left-2||b.bottom>r.bottom+2))
say.push("clipped: "+s.id+" "+t.textContent)})});
const t=document.querySelector("#children~details table.sortable"),b=t.querySelectorAll("th button")[2];b.click();
const sizes=[...t.tBodies[0].rows].map(r=>+r.cells[2].dataset.value);
if(sizes.some((v,i)=>i&&v>sizes[i-1]))say.push("not sorted");
const child=document.querySelector("#figure-family_tree a");child.focus();
if(document.activeElement!==child)say.push("cards cannot be focused");
if(!document.body.classList.contains("picked"))say.push("nothing is picked")"""
        page = report.write(big, tmp_path / "page.html")
        assert self.measure(page, probe, 1280, 390) == {"1280": "fine", "390": "fine"}

    @pytest.mark.parametrize("state", STATES)
    def test_what_there_is_can_be_read_without_moving_anything_sideways(self, state, tmp_path):
        run = STATES[state](tmp_path / "run")
        page = report.write(run, tmp_path / "page.html")
        assert self.measure(page, OVERFLOW, 400, 800, 1400) == {"400": "fine", "800": "fine", "1400": "fine"}

    def test_a_phone_breaks_no_usual_word_off(self, tmp_path):
        names = ["airplane", "automobile", "motorcycle", "strawberry"]
        run = add_test(make_run(tmp_path / "run", "nash", steps=1), names, [10_000] * 4, [0.7] * 4)
        page = report.write(run, tmp_path / "page.html")
        assert self.measure(page, f"{BROKEN};{OVERFLOW}", 360, 400) == {"360": "fine", "400": "fine"}

    def test_a_phone_is_told_how_to_see_all_of_an_experiment(self, tmp_path):
        run = make_run(tmp_path / "run", "nash", steps=1)
        page = report.write_experiment([run], tmp_path / "page.html")
        probe = """
for(const p of document.querySelectorAll("p"))if(p.checkVisibility()&&p.textContent.includes("move sideways"))say.push("told")"""
        assert self.measure(page, probe, 400, 800) == {"400": "told", "800": "fine"}

    def test_a_link_to_what_is_folded_unfolds_it(self, big, tmp_path):
        page = report.write(big, tmp_path / "page.html")
        probe = """
const shown=e=>e.checkVisibility(),child=document.getElementById("child-2-1");
if(shown(child))say.push("not folded");location.hash="child-2-1";dispatchEvent(new HashChangeEvent("hashchange"));
if(!shown(child))say.push("still folded")"""
        assert self.measure(page, probe, 800) == {"800": "fine"}

    def test_on_paper_nothing_is_folded(self, small, tmp_path):
        page = report.write(small, tmp_path / "page.html")
        probe = """
dispatchEvent(new Event("beforeprint"));
if([...document.querySelectorAll("details:not(.aside)")].some(d=>!d.open))say.push("folded")"""
        assert self.measure(page, probe, 800) == {"800": "fine"}
