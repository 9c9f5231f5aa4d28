// Colours of nodes by a chosen figure, and the legend that says what they mean.
// Both scales (cividis; blue to orange) keep their order for colour-blind eyes and in grey.

const SEQUENTIAL = [[0, 34, 78], [53, 69, 108], [102, 105, 112], [148, 142, 119], [200, 182, 102], [254, 232, 56]];
const DIVERGING = [[179, 88, 6], [253, 184, 99], [247, 247, 247], [146, 197, 222], [33, 102, 172]];
const STATES = {
  trained: { mark: "t", colour: [86, 180, 233], meaning: "trained" },
  silent: { mark: "0", colour: [247, 247, 247], meaning: "trained, advantage 0" },
  untrained: { mark: "u", colour: [153, 153, 153], meaning: "not trained" },
  pruned: { mark: "p", colour: [230, 159, 0], meaning: "pruned" },
  unknown: { mark: "?", colour: [90, 90, 90], meaning: "no verdict" },
};

const minus = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : null);
const FIGURES = {
  reward: { of: (node) => nodes.reward[node], meaning: "own reward, of the environment" },
  credit: { of: (node) => nodes.credit[node], meaning: "reward after assignment: repairs count" },
  gain: {
    of: (node) => minus(nodes.credit[node], nodes.reward[node]),
    meaning: "credit less own reward",
    isSigned: true,
  },
  advantage: { of: (node) => nodes.advantage[node], meaning: "against its peers", isSigned: true },
  weight: { of: (node) => nodes.weight[node], meaning: "share in the loss; 1 / group size unless balanced" },
  state: { of: (node) => stateOf(node), meaning: "what the update does with it" },
};
// Ways to colour: the figures, and a node's own reward beside its credit.
const BOTH = "reward | credit";
const WAYS = ["reward", BOTH, ...Object.keys(FIGURES).slice(1)];

function stateOf(node) {
  if (nodes.reward[node] === null) return "unknown";
  if (has(node, "pruned")) return "pruned";
  if (!(nodes.weight[node] > 0) || has(node, "left_out")) return "untrained";
  return nodes.advantage[node] === 0 ? "silent" : "trained";
}

// The ends of a figure's scale, over all nodes of the page: filters do not change colours.
function rangeOf(figure) {
  let low = 0;
  let high = 0;
  nodes.parent.forEach((_, node) => {
    const value = figure.of(node);
    if (!Number.isFinite(value)) return;
    low = Math.min(low, value);
    high = Math.max(high, value);
  });
  if (!figure.isSigned) return [low, high > low ? high : low + 1];
  const most = Math.max(-low, high) || 1;
  return [-most, most];
}
for (const [name, figure] of Object.entries(FIGURES)) {
  if (name !== "state") figure.range = rangeOf(figure);
}

function between(stops, share) {
  const at = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
  const left = Math.min(Math.floor(at), stops.length - 2);
  return stops[left].map((from, i) => Math.round(from + (at - left) * (stops[left + 1][i] - from)));
}

// The colour of a figure's value, or null where there is none.
function colourOf(figure, value) {
  if (!Number.isFinite(value)) return null;
  const [low, high] = figure.range;
  return between(figure.isSigned ? DIVERGING : SEQUENTIAL, (value - low) / (high - low));
}

function luminance(colour) {
  const [red, green, blue] = colour.map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

// Black or white, whichever stands out more.
const inkOn = (colour) => (luminance(colour) > 0.179 ? "#000" : "#fff");

// How a node is drawn: its parts from left to right, each a colour (null: hatched) and a text.
function looksOf(node, by) {
  if (by === BOTH) return ["reward", "credit"].map((name) => lookOf(node, name, 2)).map(inHalf);
  return [by === "state" ? STATES[stateOf(node)] : lookOf(node, by, 2)];
}

function lookOf(node, by, digits) {
  const value = FIGURES[by].of(node);
  return { colour: colourOf(FIGURES[by], value), mark: shown(value, FIGURES[by].isSigned, digits) };
}

// Two figures share a cell: at most two digits after the point, none before it.
function inHalf({ colour, mark }) {
  const value = Number(mark);
  const cut = Number.isFinite(value) ? String(Number(value.toFixed(2))) : mark;
  return { colour, mark: cut.replace(/^0\./, ".") };
}

function shown(value, isSigned = false, digits = 3) {
  if (value === null) return "–";
  if (typeof value !== "number") return value;
  const text = String(rounded(value, digits));
  const cut = Math.abs(value) < 0.0005 && value !== 0 ? value.toExponential(0) : text;
  return (isSigned && value > 0 ? "+" : "") + cut.replace("-", "−");
}

// Whole numbers stay whole, and what is short of 1 is not shown as 1.
function rounded(value, digits) {
  if (Number.isInteger(value)) return value;
  const near = Number(value.toPrecision(digits));
  return Math.abs(near) === 1 && Math.abs(value) < 1 ? Math.trunc(value * 10 ** digits) / 10 ** digits : near;
}

function paint(element, colour) {
  if (colour === null) return element.classList.add("hatched");
  element.style.backgroundColor = `rgb(${colour.join(",")})`;
  element.style.color = inkOn(colour);
}

function drawLegend(place, by, tree) {
  const figure = FIGURES[by] ?? FIGURES.reward;
  const said = by === BOTH ? "own on the left, with what its repairs earned on the right" : figure.meaning;
  const meaning = make("span", "meaning", `${by}: ${said}`);
  const swatches = by === "state" ? stateSwatches(tree) : [...scaleSwatches(figure), ...markSwatches(tree)];
  place.replaceChildren(meaning, ...swatches);
}

function scaleSwatches(figure) {
  const [low, high] = figure.range;
  return [0, 0.25, 0.5, 0.75, 1].map((share) => {
    const value = low + share * (high - low);
    const swatch = make("span", "swatch", shown(value, figure.isSigned));
    paint(swatch, colourOf(figure, value));
    return swatch;
  });
}

function stateSwatches(tree) {
  return Object.entries(STATES).map(([name, state]) => {
    const count = tree.all.filter((node) => stateOf(node) === name).length;
    return keyed(state.mark, `${state.meaning} (${count})`, (swatch) => paint(swatch, state.colour));
  });
}

function markSwatches(tree) {
  const count = (holds) => tree.all.filter(holds).length;
  return [
    keyed("✓", `solved (${count((node) => has(node, "solved"))})`),
    keyed("", `pruned (${count((node) => has(node, "pruned"))})`, (swatch) => swatch.classList.add("pruned")),
    keyed("–", `no value; no verdict (${count((node) => nodes.reward[node] === null)})`, (swatch) => paint(swatch, null)),
  ];
}

function keyed(mark, meaning, draw = () => {}) {
  const swatch = make("span", "swatch", mark);
  draw(swatch);
  const whole = make("span", "keyed");
  whole.append(swatch, meaning);
  return whole;
}
