// Light or dark: what was chosen here, else what the system prefers. Gradio decides by itself first; this decides last.
(() => {
  "use strict";
  const kept = () => localStorage.getItem("vsrpp-theme");
  const wanted = () => (kept() ? kept() === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
  const obey = () => {
    if (document.body.classList.contains("dark") !== wanted()) document.body.classList.toggle("dark", wanted());
  };
  document.addEventListener("DOMContentLoaded", () => {
    obey();
    new MutationObserver(obey).observe(document.body, { attributes: true, attributeFilter: ["class"] });
  });
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-theme]")) return;
    localStorage.setItem("vsrpp-theme", wanted() ? "light" : "dark");
    obey();
  });
})();
