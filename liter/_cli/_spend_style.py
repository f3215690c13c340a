"""The style sheet of the page of ``liter spend``: light and dark, nothing loaded from anywhere."""

# Eight hues of like lightness that can be told apart, with and without red-green blindness, on either ground.
STYLE = """
:root {
  color-scheme: light dark;
  --ground: #f6f6f4; --card: #ffffff; --ink: #16181d; --muted: #6a7079; --line: #e7e7e3; --grid: #ecece8;
  --cell: #f1f1ee; --bad: #c8434f;
  --c0: #3a6ddb; --c1: #e08a2c; --c2: #1f9e89; --c3: #b8509c;
  --c4: #7c66d9; --c5: #7d9a1f; --c6: #d2574b; --c7: #2fa3cf;
  --rest: #a6abb3;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #101216; --card: #171a20; --ink: #eceef1; --muted: #949ba6; --line: #262a32; --grid: #232730;
    --cell: #1e2229; --bad: #f0727c;
    --c0: #6d9bff; --c1: #f0a650; --c2: #3fc4ac; --c3: #dc7fc2;
    --c4: #a592f5; --c5: #a9c653; --c6: #ef8276; --c7: #5cc6ec;
    --rest: #6d7480;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.5 Inter, ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  font-feature-settings: "tnum", "cv11"; -webkit-font-smoothing: antialiased;
}
main { max-width: 1160px; margin: 0 auto; padding: 44px 24px 64px; }
header { margin-bottom: 26px; }
h1 { margin: 0; font-size: 30px; line-height: 1.2; letter-spacing: -0.02em; font-weight: 680; }
header p { margin: 6px 0 0; color: var(--muted); }
.tiles { display: grid; grid-template-columns: 1.5fr repeat(4, 1fr); gap: 14px; margin-bottom: 14px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 18px 20px; min-width: 0; }
.tile { display: flex; flex-direction: column; gap: 2px; }
.tile .name { color: var(--muted); font-size: 13px; }
.tile .value { font-size: 26px; line-height: 1.25; font-weight: 650; letter-spacing: -0.02em; white-space: nowrap; }
.tile .note { color: var(--muted); font-size: 13px; }
.tile.first { position: relative; overflow: hidden; }
.tile.first .value { font-size: 34px; }
.tile.first svg { position: absolute; right: 14px; bottom: 14px; width: 42%; }
section.card { margin-bottom: 14px; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 14px; }
.pair > section.card { display: flex; flex-direction: column; }
h2 { margin: 0; font-size: 16px; font-weight: 640; letter-spacing: -0.01em; }
section > p { margin: 2px 0 14px; color: var(--muted); font-size: 13px; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { font-size: 12px; fill: var(--muted); }
svg text.strong { fill: var(--ink); font-weight: 600; }
.grid { stroke: var(--grid); } .axis { stroke: var(--line); }
.mark { stroke: var(--ink); stroke-dasharray: 2 3; opacity: .75; }
path.mark { stroke-dasharray: none; }
.hit { fill: transparent; } .column:hover .hit { fill: var(--grid); opacity: .6; }
.cell { fill: var(--cell); }
.area { fill: var(--c0); opacity: .14; }
.curve { fill: none; stroke: var(--c0); stroke-width: 2; stroke-linejoin: round; }
.s0 { fill: var(--c0); background: var(--c0); } .s1 { fill: var(--c1); background: var(--c1); }
.s2 { fill: var(--c2); background: var(--c2); } .s3 { fill: var(--c3); background: var(--c3); }
.s4 { fill: var(--c4); background: var(--c4); } .s5 { fill: var(--c5); background: var(--c5); }
.s6 { fill: var(--c6); background: var(--c6); } .s7 { fill: var(--c7); background: var(--c7); }
.rest { fill: var(--rest); background: var(--rest); } .bad { fill: var(--bad); background: var(--bad); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 0 0 12px; padding: 0; list-style: none; }
.legend li { font-size: 13px; display: flex; align-items: center; gap: 7px; white-space: nowrap; }
.legend b { font-weight: 600; }
.dot { width: 10px; height: 10px; border-radius: 3px; flex: none; }
.rows { display: grid; gap: 9px; }
.row { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: 2px 12px; font-size: 14px; }
.row .who { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.row .amount { text-align: right; font-weight: 600; white-space: nowrap; }
.row .amount small { color: var(--muted); font-weight: 400; font-size: 13px; margin-left: 6px; }
.track { grid-column: 1 / -1; height: 7px; border-radius: 4px; background: var(--cell); overflow: hidden; }
.track i { display: block; height: 100%; border-radius: 4px; min-width: 2px; }
.strip { display: flex; height: 22px; border-radius: 6px; overflow: hidden; gap: 2px; margin-bottom: 12px; }
.strip i { display: block; min-width: 2px; }
table { width: 100%; border-collapse: collapse; font-size: 14px; }
th { text-align: right; font-weight: 500; color: var(--muted); font-size: 13px; }
th { padding: 0 0 6px 14px; white-space: nowrap; }
td { text-align: right; padding: 6px 0 6px 14px; border-top: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
td:first-child { max-width: 320px; overflow: hidden; text-overflow: ellipsis; }
td.bad { background: none; color: var(--bad); }
.scroll { overflow-x: auto; }
.plot svg { min-width: 640px; }
footer { margin-top: 22px; color: var(--muted); font-size: 13px; }
@media (max-width: 900px) {
  .tiles { grid-template-columns: 1fr 1fr; } .tile.first { grid-column: 1 / -1; } .pair { grid-template-columns: 1fr; }
}
@media print { body { background: none; } .card { break-inside: avoid; } }
"""
