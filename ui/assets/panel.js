// Keeps the page current: asks about every second for what changed, sleeps while the tab is hidden, says when nobody answers.
(() => {
  "use strict";
  const page = location.pathname.replaceAll("/", "");
  const asked = new URLSearchParams(location.search).get("run");
  const have = {}, view = JSON.parse(sessionStorage.getItem("vsrpp-view") || "{}");
  let run = asked, failures = 0, timer = null, busy = false, again = false;

  const slots = () => [...document.querySelectorAll("[data-live]")];

  function put(name, { tag, html }) {
    const slot = document.querySelector(`[data-live="${name}"]`);
    if (!slot) return;
    morph(slot, html);
    slot.dataset.tag = tag;
    have[name] = tag;
    document.querySelectorAll(`#${name} .boot`).forEach((boot) => boot.remove());
  }

  function obey(answer) {
    document.body.dataset.state = answer.state;
    document.body.dataset.live = answer.live;
    visitor(answer.visitor);
    if (answer.run && answer.run !== run) run = answer.run;
    if (run) document.querySelectorAll("#nav nav a").forEach((a) => { a.search = `?run=${encodeURIComponent(run)}`; });
    language();
    Object.entries(answer.fragments).forEach(([name, piece]) => put(name, piece));
    const base = document.querySelector("[data-base]");
    if (page === "config" && base && answer.revision !== null && base.dataset.base !== String(answer.revision)
        && base.dataset.asked !== String(answer.revision)) {
      base.dataset.asked = String(answer.revision);
      document.querySelector("#refresh")?.click();
    }
    logSliders();
    // Rows move: what is ticked belongs to a run, not to a place in the table.
    document.querySelectorAll("[data-pick]").forEach((box) => { box.checked = (view.picked || []).includes(box.dataset.pick); });
    bar(answer.visitor.role);
  }

  // Who is signed in, and the way out.
  function visitor({ name, role, can_leave }) {
    document.body.dataset.role = role;
    const who = document.getElementById("who");
    if (!who) return;
    who.hidden = !can_leave;
    who.querySelector("span").textContent = `${(name || "").replace(` (${role})`, "")} · ${who.dataset[role]}`;
  }

  // What a role may not do is shown and cannot be pressed; the server refuses it in any case.
  const ROLES = ["viewer", "operator", "owner"];
  function bar(role) {
    const note = document.querySelector(`.role-note.${role}`);
    ROLES.slice(ROLES.indexOf(role) + 1).forEach((needed) => document.querySelectorAll(`.needs-${needed}`).forEach((thing) => {
      if (thing.tagName === "BUTTON") thing.disabled = true; else thing.inert = true;
      thing.title = note?.textContent || "";
    }));
  }

  // The language stands in the address: every link keeps it, and the switch beside light and dark changes it.
  const NAMES = { en: "English", de: "Deutsch" };
  const params = (search) => new URLSearchParams(search);
  function inLanguage(search, lang = params(location.search).get("lang")) {
    const wanted = params(search);
    lang ? wanted.set("lang", lang) : wanted.delete("lang");
    return wanted.size ? `?${wanted}` : "";
  }
  function language() {
    document.querySelectorAll("a[href]:not(#language)").forEach((a) => {
      if (a.origin === location.origin && /^\/(monitoring|config|runs)\/?$/.test(a.pathname)) a.search = inLanguage(a.search);
    });
    const theme = document.querySelector("#nav [data-theme]");
    if (!theme) return;
    let other = document.getElementById("language");
    if (!other) {
      const lang = Object.keys(NAMES).find((name) => name !== document.documentElement.lang);
      other = Object.assign(document.createElement("a"), { id: "language", className: "quiet", lang, hreflang: lang, textContent: NAMES[lang] });
      theme.before(other);
    }
    other.href = location.pathname + inLanguage(run ? `?run=${encodeURIComponent(run)}` : location.search, other.lang);
  }

  async function look() {
    clearTimeout(timer);
    if (busy) { again = true; return; }
    if (document.hidden) return;
    let wait = 1;
    if (!slots().length || !document.body) wait = 0.1;
    else {
      busy = true;
      slots().forEach((slot) => { if (!slot.dataset.tag) delete have[slot.dataset.live]; });
      const losses = document.querySelector('[data-live="losses"]');
      if (losses) view.w = Math.floor(losses.clientWidth) || view.w;
      try {
        const response = await fetch(`/panel/live/${page}?lang=${document.documentElement.lang}`, {
          method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ run, view, have }),
        });
        if (response.status === 401) { vsrpp.signIn(); return; }
        if (!response.ok) throw new Error(response.status);
        const answer = await response.json();
        obey(answer);
        wait = answer.next_s;
        if (losses === null ? page === "monitoring" : Math.abs(losses.clientWidth - (view.w || 0)) > 20) wait = 0.2;
        failures = 0;
      } catch (error) {
        failures += 1;
        wait = Math.min(5, 1 + failures);
        if (!(error instanceof TypeError)) console.warn(error);
      }
      busy = false;
      const offline = document.getElementById("offline");
      if (offline) offline.hidden = failures < 2;
      document.body.classList.toggle("is-offline", failures >= 2);
      if (again) { again = false; wait = 0; }
    }
    timer = setTimeout(look, wait * 1000);
  }

  function setView(changes) {
    Object.assign(view, changes);
    sessionStorage.setItem("vsrpp-view", JSON.stringify(view));
    const reset = document.querySelector("[data-zoom-reset]");
    if (reset) reset.hidden = view.from == null && view.to == null;
    look();
  }

  // A logarithmic slider under every rate: moves the text field, and the field moves it.
  function logSliders() {
    const source = document.getElementById("log-fields");
    if (!source) return;
    Object.entries(JSON.parse(source.dataset.fields)).forEach(([id, [low, high]]) => {
      const box = document.getElementById(id), field = box?.querySelector("input, textarea");
      if (!field || box.querySelector(".log-slider")) return;
      const slider = document.createElement("input");
      Object.assign(slider, { type: "range", min: Math.log10(low), max: Math.log10(high), step: 0.01, className: "log-slider" });
      slider.setAttribute("aria-label", box.querySelector("span")?.textContent || id);
      const follow = () => { const v = Number(field.value); if (v > 0 && document.activeElement !== slider) slider.value = Math.log10(v); };
      slider.addEventListener("input", () => {
        const text = (10 ** Number(slider.value)).toPrecision(2);
        const write = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(field), "value").set;
        write.call(field, String(Number(text)));
        field.dispatchEvent(new Event("input", { bubbles: true }));
      });
      field.addEventListener("input", follow);
      setInterval(follow, 500);
      box.append(slider);
      follow();
    });
  }

  let typing = null;
  document.addEventListener("input", (event) => {
    if (event.target.closest("#form") && !event.target.closest("#reason")) {
      clearTimeout(typing);
      typing = setTimeout(() => document.querySelector("#check")?.click(), 150);
    }
    const control = event.target.closest("[data-view]");
    if (control && control.tagName !== "BUTTON") {
      const value = control.type === "checkbox" ? control.checked : control.type === "range" ? Number(control.value) : control.value;
      setView({ [control.dataset.view]: value });
    }
    const divider = event.target.closest("[data-divider]");
    if (divider) divider.parentNode.style.setProperty("--cut", `${divider.value}%`);
    if (event.target.closest("[data-run-chooser]")) location.search = inLanguage(`?run=${encodeURIComponent(event.target.value)}`);
  });

  document.addEventListener("click", async (event) => {
    const near = (selector) => event.target.closest(selector);
    const sort = near("button[data-view]"), copy = near("[data-copy]"), back = near("[data-load-revision]");
    if (sort) setView({ [sort.dataset.view]: sort.dataset.value });
    if (near("[data-zoom-reset]")) setView({ from: null, to: null });
    if (back) {
      vsrpp.wanted = Number(back.dataset.loadRevision);
      document.querySelector("#load-revision")?.click();
      document.querySelector("#preview")?.scrollIntoView({ block: "center" });
    }
    if (copy) {
      await navigator.clipboard.writeText(copy.dataset.copy).catch(() => select(copy));
      const word = copy.textContent;
      copy.textContent = copy.dataset.done;
      setTimeout(() => { copy.textContent = word; }, 1500);
    }
  });

  function select(button) {  // without a clipboard (plain http): the text is marked, ready for Ctrl+C
    const range = document.createRange();
    range.selectNodeContents(button.previousElementSibling);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
  }

  document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
  let resized = null;
  window.addEventListener("resize", () => { clearTimeout(resized); resized = setTimeout(look, 250); });

  window.vsrpp = {
    run: () => run,
    sure: (open) => document.body.classList.toggle("asking", open),
    zoom: (from, to) => setView({ from, to }),
    pick: (id, on) => setView({ picked: [...(view.picked || []).filter((one) => one !== id), ...(on ? [id] : [])] }),
    withRevision: (all) => [...all.slice(0, -1), vsrpp.wanted],
    signIn: () => location.assign(`/login?${new URLSearchParams({ next: location.pathname + location.search, lang: document.documentElement.lang })}`),
    look,
  };
  document.readyState === "loading" ? document.addEventListener("DOMContentLoaded", look) : look();
})();
