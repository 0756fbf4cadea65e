// @ts-check
// A QR code drawn as SVG: one path for all dark modules, on white, whatever the page's colours are.

const SVG = "http://www.w3.org/2000/svg";
const QUIET = 4; // light modules around it (ISO/IEC 18004)

/**
 * The code of `rows` (strings of "0" and "1"); `label` says what it is.
 *
 * @param {string[]} rows
 * @param {string} label
 */
export function drawQr(rows, label) {
  const side = rows.length + 2 * QUIET;
  const svg = make("svg", { viewBox: `0 0 ${side} ${side}`, role: "img", "aria-label": label, class: "qr", "shape-rendering": "crispEdges" });
  const dark = rows.flatMap((row, y) => [...row.matchAll(/1+/g)].map(({ 0: run, index }) => `M${index + QUIET} ${y + QUIET}h${run.length}v1h-${run.length}z`));
  svg.append(make("rect", { width: side, height: side, fill: "#fff" }), make("path", { d: dark.join(""), fill: "#000" }));
  return svg;
}

/**
 * @param {string} name
 * @param {{ [name: string]: string | number }} attributes
 */
function make(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  return element;
}
