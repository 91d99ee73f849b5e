"""The style sheet of a page, and its few lines of script: highlighting, sorting, unfolding."""

from nash_tf.drawing import figure
from nash_tf.drawing.figure import FONT

# Cells of a confusion matrix: right ones and wrong ones, by their share of the row.
_SHADES = "".join(
    f".{sort}.l{level}{{background:color-mix(in srgb,var(--{colour}) {12 * level}%,var(--paper))}}"
    for sort, colour in (("hit", "c0"), ("miss", "c1"))
    for level in range(1, 6)
)
STYLE = f"""
:root{{color-scheme:light dark;{figure.variables()}}}
@media (prefers-color-scheme:dark){{:root{{{figure.variables(dark=True)}}}}}
*{{box-sizing:border-box}}
html{{scroll-behavior:smooth;scroll-padding-top:3.4rem;-webkit-text-size-adjust:100%}}
body{{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 {FONT}}}
main,header,footer{{max-width:1180px;margin:0 auto;padding:0 24px}}
header{{padding-top:34px}}
h1{{font-size:1.9rem;line-height:1.2;margin:0 0 .3rem;overflow-wrap:anywhere}}
h2{{font-size:1.35rem;margin:3rem 0 .5rem;padding-top:.8rem;border-top:1px solid var(--rule)}}
h3{{font-size:1.05rem;margin:1.6rem 0 .4rem}}
p{{max-width:76ch;margin:.4rem 0 .8rem}}
a{{color:var(--c0)}}
code{{font-family:ui-monospace,"DejaVu Sans Mono",Menlo,monospace;font-size:.9em;overflow-wrap:anywhere}}
.soft{{color:var(--soft)}}
.badge{{display:inline-block;border:1.5px solid var(--soft);border-radius:99px;padding:.05rem .7rem;font-size:.9rem;
font-weight:600}}
.badge.finished{{border-color:var(--c2);color:var(--c2)}}.badge.failed,.badge.broken{{border-color:var(--c1);color:var(--c1)}}
nav{{position:sticky;top:0;background:var(--paper);border-bottom:1px solid var(--rule);z-index:1}}
nav div{{max-width:1180px;margin:0 auto;padding:.45rem 24px;display:flex;gap:1.1rem;overflow-x:auto;white-space:nowrap}}
nav a{{text-decoration:none;padding:.15rem 0;font-size:.95rem}}
.cards{{display:grid;grid-template-columns:repeat(auto-fit,minmax(140px,1fr));gap:14px;margin:1.2rem 0}}
.cards div{{background:var(--wash);border-radius:10px;padding:.8rem 1rem}}
.cards b{{display:block;white-space:nowrap;font-size:1.45rem;line-height:1.25;font-variant-numeric:tabular-nums}}
.cards span{{color:var(--soft);font-size:.92rem;display:block;line-height:1.35}}
.notice{{border-left:5px solid var(--c1);background:var(--wash);padding:.6rem 1rem;border-radius:4px;margin:1rem 0}}
.notice ul{{margin:.3rem 0;padding-left:1.2rem}}.notice li{{overflow-wrap:anywhere}}
.scroll{{overflow-x:auto;max-width:100%;margin:.6rem 0}}
.scroll svg{{display:block;height:auto}}
.centred svg{{margin:0 auto;width:100%;max-width:var(--w);min-width:calc(.8*var(--w))}}
.fit svg{{width:100%;max-width:max-content}}
.pair{{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(500px,100%),1fr));gap:26px 30px;margin:1rem 0}}
.pair svg{{height:auto}}
table{{border-collapse:collapse;font-size:.95rem;font-variant-numeric:tabular-nums;margin:.3rem 0}}
th,td{{padding:.36rem .55rem;border-bottom:1px solid var(--grid);text-align:right;vertical-align:top}}
th{{border-bottom:2px solid var(--rule);font-weight:650;vertical-align:bottom}}
td.l,th.l{{text-align:left}}td.w{{white-space:normal;min-width:15rem;overflow-wrap:anywhere}}
td{{white-space:nowrap}}
td:first-child,th:first-child{{padding-left:.2rem}}
th button{{all:unset;cursor:pointer;font-weight:650}}th button:focus-visible{{outline:2px solid var(--c0)}}
th[aria-sort=ascending] button::after{{content:" ▲"}}th[aria-sort=descending] button::after{{content:" ▼"}}
tr:target{{background:var(--wash);outline:2px solid var(--c0)}}tr.won td{{font-weight:650}}
caption{{text-align:left;color:var(--soft);padding-bottom:.3rem;caption-side:top}}
.published{{border:1.5px dashed var(--rule);border-radius:10px;padding:.2rem 1.1rem 1rem;margin-top:1.6rem}}
.links{{display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;max-width:none}}
.more{{margin-top:3rem;border-top:1px solid var(--rule);padding-top:.4rem}}.more>summary h2{{display:inline;border:0;margin:0}}
.more section h3{{font-size:1.2rem;margin:2.6rem 0 .5rem;padding-top:.8rem;border-top:1px solid var(--grid)}}
pre{{background:var(--wash);border-radius:8px;padding:.7rem 1rem;margin:.4rem 0 1rem;white-space:pre-wrap;overflow-wrap:anywhere;
user-select:all}}pre code{{font-size:.88rem}}
.narrow td.l{{overflow-wrap:anywhere}}.bounds,.site{{display:inline-block;font-size:.9em;padding-left:.35rem}}
.narrow caption{{max-width:72ch}}
.matrix{{font-size:.88rem}}.matrix th,.matrix td{{padding:.22rem .35rem;text-align:center;border:1px solid var(--paper);min-width:2rem}}
.matrix tbody th{{text-align:right;font-weight:500;max-width:11rem;overflow-wrap:anywhere;white-space:normal}}
.matrix thead th{{font-weight:500;border-bottom:0}}.matrix thead th span{{writing-mode:vertical-rl;transform:rotate(180deg);
max-height:11rem;overflow-wrap:anywhere;white-space:normal;text-align:left}}
.matrix .none{{color:var(--rule)}}
{_SHADES}
.mistakes{{display:grid;grid-template-columns:repeat(auto-fill,minmax(104px,1fr));gap:14px;margin:1rem 0}}
.mistakes figure{{margin:0}}.mistakes img{{width:96px;height:96px;object-fit:contain;image-rendering:pixelated;background:var(--wash);
border-radius:6px;display:block}}
.mistakes figcaption{{font-size:.85rem;line-height:1.3;margin-top:.25rem;overflow-wrap:anywhere}}
.phone{{display:none}}
details{{margin:.8rem 0}}summary{{cursor:pointer;font-weight:600;padding:.25rem 0}}
:focus-visible{{outline:2px solid var(--c0);outline-offset:2px;border-radius:3px}}
svg a:focus-visible rect,svg g:focus-visible rect{{stroke-width:3}}
.picked [data-child]:not(.lit){{opacity:.18}}
.print{{display:none}}
footer{{margin-top:3.5rem;padding-bottom:3rem;color:var(--soft);font-size:.92rem}}
@media (max-width:640px){{main,header,footer,nav div{{padding-left:14px;padding-right:14px}}h1{{font-size:1.5rem}}
.cards{{grid-template-columns:1fr 1fr}}.centred svg{{margin:0 auto;width:100%;max-width:var(--w);min-width:calc(.8*var(--w))}}
.fit svg{{width:auto;max-width:none;min-width:620px}}.phone{{display:block}}
nav{{position:static}}nav div{{flex-wrap:wrap;white-space:normal;gap:.1rem 1.1rem}}
.narrow{{font-size:.87rem}}.narrow td,.narrow th{{white-space:normal;padding-left:.2rem;padding-right:.2rem}}.narrow td.l{{min-width:6.6em}}
.narrow td.w{{min-width:6.3em}}
.bounds,.site{{display:block;padding-left:0;white-space:nowrap;font-size:.82em}}
.matrix{{font-size:.69rem}}.matrix th,.matrix td{{padding:.2rem .05rem;min-width:1.5rem}}.matrix tbody th{{max-width:4.4rem;
padding-right:.2rem}}.matrix thead th:first-child{{white-space:normal}}}}
@media print{{:root{{color-scheme:light;{figure.variables()}}}@page{{size:A4 landscape;margin:12mm}}
body{{font-size:11pt}}nav,.screen{{display:none}}.print{{display:block}}h2,h3,summary{{break-after:avoid}}h2{{margin-top:1.6rem}}
p{{break-inside:avoid}}h2+p,h3+p{{break-after:avoid}}.cards,.mistakes figure,pre,.notice,.whole,.matrix{{break-inside:avoid}}p:has(+pre),p:has(+.scroll){{break-after:avoid}}
section:has(>#architecture){{break-before:page}}
details:not(.aside)::details-content{{content-visibility:visible;display:block;block-size:auto}}
.matrix,.hit,.miss{{print-color-adjust:exact}}
main,header,footer{{max-width:none;padding:0}}
.scroll{{overflow:visible}}.scroll svg,.pair svg{{max-width:100%;min-width:0;width:auto;break-inside:avoid}}
.pair{{grid-template-columns:1fr 1fr;gap:10px 16px}}.pair>div{{break-inside:avoid}}
details.aside{{display:none}}table{{font-size:9pt}}th,td{{padding:.16rem .45rem}}tr{{break-inside:avoid}}
.published{{break-inside:avoid}}.print svg{{display:block;margin:0 auto;max-width:100%;height:auto;break-inside:avoid}}}}
"""
SCRIPT = """
"use strict";
const pick=key=>{document.body.classList.toggle("picked",key!==null);
document.querySelectorAll("[data-child]").forEach(e=>e.classList.toggle("lit",e.dataset.child===key))};
for(const [on,off] of [["mouseover","mouseout"],["focusin","focusout"]]){
document.addEventListener(on,e=>{const t=e.target.closest("svg [data-child]");if(t)pick(t.dataset.child)});
document.addEventListener(off,e=>{if(e.target.closest("svg [data-child]"))pick(null)})}
document.querySelectorAll("table.sortable th button").forEach(b=>b.addEventListener("click",()=>{
const th=b.closest("th"),i=th.cellIndex,body=th.closest("table").tBodies[0];
const up=th.getAttribute("aria-sort")==="descending"||th.classList.contains("l")&&!th.hasAttribute("aria-sort");
th.parentNode.querySelectorAll("th").forEach(o=>o.removeAttribute("aria-sort"));
th.setAttribute("aria-sort",up?"ascending":"descending");
const key=r=>r.cells[i].dataset.value??r.cells[i].textContent;
[...body.rows].sort((a,b)=>{const x=key(a),y=key(b),n=x-y;
return(up?1:-1)*(isNaN(n)?x.localeCompare(y):n)}).forEach(r=>body.append(r))}));
const reveal=()=>{const t=location.hash&&document.getElementById(decodeURIComponent(location.hash.slice(1)));
if(t){let shut=false;for(let d=t.closest("details");d;d=d.parentElement.closest("details")){shut=shut||!d.open;d.open=true}
if(shut)t.scrollIntoView()}};
addEventListener("hashchange",reveal);reveal();
addEventListener("beforeprint",()=>document.querySelectorAll("details:not(.aside)").forEach(d=>d.open=true));
"""
