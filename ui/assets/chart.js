// Reading values off the loss curves (pointer and arrow keys) and zooming by dragging. The chart itself comes drawn.
(() => {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg";
  const parsed = new WeakMap();

  function points(path) {
    const d = path.getAttribute("d");
    const kept = parsed.get(path);
    if (kept && kept.d === d) return kept.list;
    const list = [...d.matchAll(/[ML](-?[\d.]+) (-?[\d.]+)/g)].map((m) => [Number(m[1]), Number(m[2])]);
    parsed.set(path, { d, list });
    return list;
  }

  const facts = (svg) => Object.fromEntries(Object.entries(svg.dataset).map(([key, value]) => [key, Number(value)]));
  const stepAt = (f, px) => f.x0 + ((px - f.px0) / (f.px1 - f.px0)) * (f.x1 - f.x0);
  function valueAt(f, py) {
    const share = (py - f.py0) / (f.py1 - f.py0);
    if (!f.log) return f.y0 + share * (f.y1 - f.y0);
    const low = Math.log10(Math.max(f.y0, 1e-12)), high = Math.log10(Math.max(f.y1, 1e-12));
    return 10 ** (low + share * (high - low));
  }
  const short = (value) => (value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e5) ? value.toExponential(2) : value.toPrecision(4));

  function line(svg, x, css, width = 0) {
    const f = facts(svg);
    const shape = document.createElementNS(SVG, width ? "rect" : "line");
    const set = (name, value) => shape.setAttribute(name, value);
    if (width) { set("x", x); set("y", f.py1); set("width", width); set("height", f.py0 - f.py1); }
    else { set("x1", x); set("x2", x); set("y1", f.py1); set("y2", f.py0); }
    set("class", css);
    return shape;
  }

  function read(svg, px) {
    const f = facts(svg), rows = [];
    let nearest = null;
    svg.querySelectorAll("path.line[data-name]:not(.faint)").forEach((path) => {
      const list = points(path);
      if (!list.length) return;
      const near = list.reduce((best, p) => (Math.abs(p[0] - px) < Math.abs(best[0] - px) ? p : best));
      if (Math.abs(near[0] - px) > 40) return;
      if (nearest === null || Math.abs(near[0] - px) < Math.abs(nearest - px)) nearest = near[0];
      rows.push([path.dataset.name, valueAt(f, near[1]), path.style.stroke]);
    });
    const cursor = svg.querySelector(".cursor"), tip = svg.parentNode.querySelector(".tip");
    cursor.replaceChildren();
    if (nearest === null) { tip.hidden = true; return; }
    cursor.append(line(svg, nearest, "hair"));
    tip.replaceChildren();
    const head = document.createElement("b");
    head.textContent = Math.round(stepAt(f, nearest)).toLocaleString("en").replaceAll(",", "\u202f");
    tip.append(head);
    rows.forEach(([name, value, colour]) => {
      const row = document.createElement("span"), dot = document.createElement("i");
      dot.style.background = colour;
      row.append(dot, `${name} ${short(value)}`);
      tip.append(row);
    });
    tip.hidden = false;
    const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
    const at = svg.offsetLeft || 0;
    tip.style.left = nearest > (f.px0 + f.px1) / 2 ? `${nearest * scale - tip.offsetWidth - 12}px` : `${nearest * scale + 12}px`;
    svg.dataset.at = nearest;
  }

  function hide(svg) {
    svg.querySelector(".cursor")?.replaceChildren();
    const tip = svg.parentNode?.querySelector(".tip");
    if (tip) tip.hidden = true;
  }

  const chartOf = (event) => event.target.closest?.("svg.chart[data-x0]");
  const pixel = (svg, event) => {
    const box = svg.getBoundingClientRect(), f = facts(svg);
    return Math.min(f.px1, Math.max(f.px0, ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width));
  };
  let drag = null;

  document.addEventListener("pointerdown", (event) => {
    const svg = chartOf(event);
    if (svg && event.button === 0) drag = { svg, from: pixel(svg, event), to: null };
  });
  document.addEventListener("pointermove", (event) => {
    const svg = chartOf(event);
    if (drag) {
      drag.to = pixel(drag.svg, event);
      const low = Math.min(drag.from, drag.to), width = Math.abs(drag.to - drag.from);
      if (width > 6) drag.svg.querySelector(".cursor").replaceChildren(line(drag.svg, low, "zoom", width));
    } else if (svg) read(svg, pixel(svg, event));
    else document.querySelectorAll("svg.chart[data-x0]").forEach((one) => { if (one !== document.activeElement) hide(one); });
  });
  document.addEventListener("pointerup", () => {
    if (!drag) return;
    const { svg, from, to } = drag;
    drag = null;
    if (to === null || Math.abs(to - from) < 12) return;
    const f = facts(svg), steps = [stepAt(f, from), stepAt(f, to)].sort((a, b) => a - b).map(Math.round);
    hide(svg);
    window.vsrpp.zoom(steps[0], Math.max(steps[1], steps[0] + 1));
  });
  document.addEventListener("keydown", (event) => {
    const svg = chartOf(event);
    if (!svg) return;
    const f = facts(svg), here = Number(svg.dataset.at || f.px1);
    const move = { ArrowLeft: -1, ArrowRight: 1, PageUp: -8, PageDown: 8, Home: -1e6, End: 1e6 }[event.key];
    if (event.key === "Escape") { hide(svg); window.vsrpp.zoom(null, null); }
    if (move === undefined) return;
    event.preventDefault();
    read(svg, Math.min(f.px1, Math.max(f.px0, here + move * Math.max(4, (f.px1 - f.px0) / 120))));
  });
})();
