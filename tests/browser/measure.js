/* Return what is cut off on this page, as objects {what, where, text}. On a narrow screen
   a table may have become a list (docs/_static/tables.js). */

const [isNarrow] = arguments;

const TOLERANCE = 1.5; // pixels; scrollWidth is rounded

function isVisible(element) {
  return element.checkVisibility({ opacityProperty: true, visibilityProperty: true })
    && !element.closest(".visually-hidden, .pst-skip-link, mjx-assistive-mml");
}

/* Path such as "article > table > td.text", of at most three elements. */
function pathOf(element) {
  const names = [];
  for (let node = element; node && names.length < 3; node = node.parentElement) {
    names.unshift([node.localName, ...[...node.classList].slice(0, 2)].join("."));
  }
  return names.join(" > ");
}

/* Boxes whose text runs into what stands beside them if it is too wide. */
const TEXT = "h1, h2, h3, h4, p, li, dt, dd, th, td, pre, a, figure, figcaption";

/* Text and pictures that do not fit into this box, or null. */
function overflow(element) {
  const style = getComputedStyle(element);
  const wider = element.scrollWidth - element.clientWidth;
  const holds = style.overflowX !== "visible" || element.matches(TEXT);
  if (holds && element.clientWidth > 0 && wider > TOLERANCE) {
    return `${wider} px wider than its box of ${element.clientWidth} px`;
  }
  const higher = element.scrollHeight - element.clientHeight;
  if (["hidden", "clip"].includes(style.overflowY) && higher > TOLERANCE) {
    return `${higher} px higher than its box of ${element.clientHeight} px`;
  }
  return null;
}

/* How this element lies outside of the page, or null. */
function outside(element) {
  const { left, right, width } = element.getBoundingClientRect();
  const page = document.documentElement.clientWidth;
  if (width > 0 && (left < -TOLERANCE || right > page + TOLERANCE)) {
    const [from, to] = [Math.round(left), Math.round(right)];
    return `from ${from} to ${to} px on a page of ${page} px`;
  }
  return null;
}

function missing(element) {
  const broken = element.localName === "img" && element.naturalWidth === 0;
  return broken ? "cannot be loaded" : null;
}

function isList(element) {
  return !isNarrow && element.matches("table.stacked") ? "is too wide for a table" : null;
}

/* The elements that `check` finds, of those around each other the innermost only. */
function innermost(check) {
  const checked = visible.map((element) => [element, check(element)]);
  const found = checked.filter(([, what]) => what);
  const around = new Set();
  for (const [element] of found) {
    for (let node = element.parentElement; node; node = node.parentElement) {
      around.add(node);
    }
  }
  return found.filter(([element]) => !around.has(element));
}

/* Code is measured as a whole, not word by word. */
const visible = [...document.body.querySelectorAll(":not(pre *)")].filter(isVisible);
const boxes = innermost(overflow);
const others = [...innermost(outside), ...innermost(missing), ...innermost(isList)];
const isInBox = ([element]) => boxes.some(([box]) => box.contains(element));
return [...boxes, ...others.filter((other) => !isInBox(other))]
  .map(([element, what]) => ({
    what,
    where: pathOf(element),
    text: element.textContent.trim().replace(/\s+/g, " ").slice(0, 60),
  }));
