// Every visible piece of text whose contrast ratio is below WCAG 2.1's AA: 4.5, or 3 for large text and for signs without letters.
// Colours are composited as the browser paints them: backgrounds of all ancestors, their alpha and the opacity of whole groups;
// over a gradient the worst of its stops counts, over a picture the worse of black and white.
() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const known = new Map();
  const rgba = (css) => {
    if (!known.has(css)) {
      const plain = css.match(/^rgba?\(([\d.]+), ([\d.]+), ([\d.]+)(?:, ([\d.]+))?\)$/);
      if (plain) known.set(css, [+plain[1], +plain[2], +plain[3], plain[4] === undefined ? 1 : +plain[4]]);
      else {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = css;
        canvas.fillRect(0, 0, 1, 1);
        const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
        known.set(css, [r, g, b, a / 255]);
      }
    }
    return known.get(css);
  };
  const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a)];
  const mix = (under, top, share) => under.map((value, i) => value * (1 - share) + top[i] * share);
  const channel = (value) => { const s = value / 255; return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4; };
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const ratio = (a, b) => {
    const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  };

  // What an element lays over `under`: every ground it could be, as a gradient or a picture leaves more than one.
  function grounds(style, under) {
    const plain = over(rgba(style.backgroundColor), under), image = style.backgroundImage;
    if (image.includes("url(")) return [[0, 0, 0], [255, 255, 255]];
    if (image.includes("gradient(")) return image.match(/rgba?\([^)]*\)/g).map((stop) => over(rgba(stop), plain));
    return [plain];
  }

  // Whether an element lies behind the middle of a text: a label may be placed outside the box it belongs to.
  function behind(element, at) {
    if (element === document.body || element === document.documentElement) return true;
    const box = element.getBoundingClientRect(), x = (at.left + at.right) / 2, y = (at.top + at.bottom) / 2;
    return box.left <= x && x <= box.right && box.top <= y && y <= box.bottom;
  }

  // [text, ground] as painted, for every ground there may be.
  function painted(chain, place, under, colour, at) {
    if (place === chain.length) return [[over(colour, under), under]];
    const style = getComputedStyle(chain[place]), opacity = Number(style.opacity);
    const laid = behind(chain[place], at) ? grounds(style, under) : [under];
    return laid.flatMap((ground) => painted(chain, place + 1, ground, colour, at))
      .map(([text, ground]) => [mix(under, text, opacity), mix(under, ground, opacity)]);
  }

  function judge(element, text, colour, at) {
    const chain = [];
    for (let one = element; one; one = one.parentElement) chain.unshift(one);
    const style = getComputedStyle(element), size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) || !/[\p{L}\p{N}]/u.test(text);
    const worst = Math.min(...painted(chain, 0, [255, 255, 255], rgba(colour), at).map(([ink, ground]) => ratio(ink, ground)));
    const where = element.outerHTML.slice(0, 120).replace(/\s+/g, " ");
    return worst < (large ? 3 : 4.5) - 0.005 ? [{ text: text.slice(0, 40), ratio: Number(worst.toFixed(2)), where }] : [];
  }

  const seen = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true, contentVisibilityAuto: true })
    && !element.closest(".sr, :disabled, [aria-disabled=true]") && parseFloat(getComputedStyle(element).fontSize) > 0;
  const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let count = 0;
  while (walker.nextNode()) {
    const node = walker.currentNode, element = node.parentElement, text = node.nodeValue.trim();
    if (!text || /^(SCRIPT|STYLE|TITLE|DESC|OPTION|TEMPLATE|NOSCRIPT)$/i.test(element.tagName) || !seen(element)) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect();
    if (box.width < 1 || box.height < 1 || /^\p{Emoji_Presentation}+$/u.test(text)) continue;
    count += 1;
    const svg = element instanceof SVGElement;
    found.push(...judge(element, text, svg ? getComputedStyle(element).fill : getComputedStyle(element).color, box));
  }
  for (const field of document.querySelectorAll("input:not([type=range], [type=checkbox], [type=radio], [type=hidden]), textarea, select")) {
    if (!seen(field)) continue;
    const empty = !field.value && field.placeholder;
    if (!field.value && !empty) continue;
    count += 1;
    found.push(...judge(field, field.value || field.placeholder, getComputedStyle(field, empty ? "::placeholder" : null).color,
      field.getBoundingClientRect()));
  }
  return { count, found };
}
