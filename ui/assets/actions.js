// The runs page's buttons: ask first, show the command, send the order, say what became of it. And ticking runs to compare.
(() => {
  "use strict";
  const get = (id) => document.getElementById(id);
  let order = null, pressed = null;

  async function send(what) {
    try {
      const response = await fetch(`/panel/do?lang=${document.documentElement.lang}`, {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(what),
      });
      if (response.status === 401) { vsrpp.signIn(); return { ok: false, notice: "" }; }
      const text = await response.text();
      const answer = text.startsWith("{") ? JSON.parse(text) : {};
      if (answer.notice === undefined) throw new Error(text);
      return answer;  // a refusal too: its notice says why
    } catch (error) {
      const said = document.createElement("p");
      Object.assign(said, { className: "notice bad", textContent: `${get("offline").textContent} (${error.message})` });
      return { ok: false, notice: said.outerHTML };
    }
  }

  let fading = null;
  function tell(notice) {
    const told = get("told");
    told.innerHTML = notice;
    clearTimeout(fading);
    fading = setTimeout(() => { told.innerHTML = ""; }, 9000);
    vsrpp.look();
  }

  const line = () => {
    const shown = pressed.dataset.act === "promote"
      ? pressed.dataset.line.replace(/--alias \S+/, `--alias ${get("ask-alias").value.trim()}`) : pressed.dataset.line;
    get("ask-line").textContent = shown;
    get("ask-copy").dataset.copy = shown;
    get("ask-copy").setAttribute("aria-label", `${get("ask-copy").textContent}: ${shown}`);
  };

  function ask(button) {
    const { act, run, step, job, sure, warn } = button.dataset;
    pressed = button;
    order = { verb: act, run, job, step: step === undefined ? undefined : Number(step) };
    get("ask-title").textContent = get("ask-yes").textContent = button.dataset.do;
    get("ask-sure").textContent = sure;
    get("ask-warn").textContent = warn || "";
    get("ask-warn").hidden = !warn;
    get("ask-alias-row").hidden = act !== "promote";
    get("ask-told").innerHTML = "";
    get("ask-yes").disabled = false;
    line();
    get("ask").showModal();
    get(act === "promote" ? "ask-alias" : "ask-yes").focus();
  }

  async function yes() {
    if (get("ask-yes").disabled) return;
    get("ask-yes").disabled = true;
    const alias = order.verb === "promote" ? get("ask-alias").value.trim() : undefined;
    const answer = await send({ ...order, alias });
    get("ask-yes").disabled = false;
    order.confirmed = answer.reason_code === "refused.rollback_ends_run";  // it was said: the next press confirms it
    if (answer.ok) { get("ask").close(); tell(answer.notice); } else get("ask-told").innerHTML = answer.notice;
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-act]");
    if (button?.dataset.sure) ask(button);
    else if (button) tell((await send({ verb: button.dataset.act, job: button.dataset.job })).notice);
    if (event.target.closest("#ask-yes")) yes();
  });
  document.addEventListener("keydown", (event) => {  // Enter in the field sends; it must not press "No", the form's button
    if (event.key === "Enter" && event.target.id === "ask-alias") { event.preventDefault(); yes(); }
  });
  document.addEventListener("input", (event) => {
    if (event.target.id === "ask-alias") line();
    const box = event.target.closest("[data-pick]");
    if (box) vsrpp.pick(box.dataset.pick, box.checked);
  });
})();
