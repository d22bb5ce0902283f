// Turns what stands in an element into new HTML by touching only what differs: focus, hover, scroll and open details stay.
window.morph = (() => {
  "use strict";
  const keptAttributes = (node) =>
    node.tagName === "DETAILS" ? ["open"] : node.hasAttribute("data-keep-style") ? ["style"] : [];

  function attributes(from, to) {
    const kept = keptAttributes(from);
    for (const { name, value } of [...to.attributes])
      if (from.getAttribute(name) !== value && !(kept.includes(name) && from.hasAttribute(name))) from.setAttribute(name, value);
    for (const { name } of [...from.attributes])
      if (!to.hasAttribute(name) && !kept.includes(name)) from.removeAttribute(name);
    if (from.tagName === "OPTION" && document.activeElement !== from.parentNode) from.selected = to.hasAttribute("selected");
  }

  function children(from, to) {
    const old = [...from.childNodes], fresh = [...to.childNodes];
    fresh.forEach((node, place) => {
      const there = old[place];
      if (!there) from.appendChild(node);
      else if (there.nodeName !== node.nodeName || (there.id || "") !== (node.id || "")) from.replaceChild(node, there);
      else if (node.nodeType !== Node.ELEMENT_NODE) {
        if (there.nodeValue !== node.nodeValue) there.nodeValue = node.nodeValue;
      } else if (!there.hasAttribute("data-keep")) {
        attributes(there, node);
        children(there, node);
      }
    });
    old.slice(fresh.length).forEach((node) => node.remove());
  }

  return (element, html) => {
    const fresh = document.createElement("template");
    fresh.innerHTML = html;
    children(element, fresh.content);
  };
})();
