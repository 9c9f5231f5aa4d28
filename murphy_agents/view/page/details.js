// One attempt: its figures, its program beside its parent's, and the texts around it.
// Texts come from models and programs: they are put into the page as text and as nothing else.

const CLOSED = new Set(["Prompt"]);
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029\p{Cf}\p{Cs}\p{Default_Ignorable_Code_Point}]/gu;

// Control characters, what has no shape, marks of direction and lone surrogates written out.
function visible(text) {
  return text.replace(UNSEEN, (char) => {
    const code = char.codePointAt(0);
    if (code < 32) return String.fromCharCode(0x2400 + code);
    return `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
  });
}

function make(tag, name = "", text = "") {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text) element.textContent = text;
  return element;
}

function mark(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
}

// What is read stays as it is, scrolling and focus too, until there is another attempt.
function drawDetails(box, node) {
  if (box.dataset.node === String(node)) return;
  box.dataset.node = node;
  const focused = document.activeElement?.closest("#details details")?.dataset.part;
  box.replaceChildren(...(node < 0 ? [] : partsOf(node)));
  box.scrollTop = 0;
  if (focused) (box.querySelector(`[data-part="${focused}"] > summary`) ?? box).focus();
}

function partsOf(node) {
  const parent = nodes.parent[node];
  const title = make("h2", "", `Attempt ${pathOf(node)}`);
  const parts = [title, drawFigures(node), ...drawCode(node, parent)];
  const feedback = nodes.reward[node] === null ? "Why there is no verdict" : "Feedback";
  parts.push(fold(feedback, block(textOf("feedback", node))));
  parts.push(fold("Completion", block(textOf("completion", node))));
  parts.push(fold("Prompt", block(textOf("prompt", node))));
  return parts;
}

function drawFigures(node) {
  const list = make("dl", "figures");
  for (const name of ["reward", "credit", "advantage", "weight"]) {
    const { of, isSigned } = FIGURES[name];
    list.append(pair(name, shown(of(node), isSigned)));
  }
  list.append(pair("tokens", String(nodes.tokens[node])), pair("repairs", String(childrenOf[node].length)));
  list.append(pair("state", STATES[stateOf(node)].meaning, "wide"));
  const marks = marksOf(node);
  if (marks.length) list.append(pair("marks", marks.join(", "), "wide"));
  return list;
}

function marksOf(node) {
  const marks = { solved: "solved", truncated: "cut at the token limit", overflow: "no room for a repair", pruned: "pruned" };
  return Object.keys(marks).filter((flag) => has(node, flag)).map((flag) => marks[flag]);
}

function pair(name, value, kind = "") {
  const whole = make("div", kind);
  whole.append(make("dt", "", name), make("dd", "", value));
  return whole;
}

function drawCode(node, parent) {
  const code = textOf("code", node);
  const before = parent < 0 ? null : textOf("code", parent);
  if (code === null || before === null) return [fold("Program", block(code, "no program was found"))];
  if (code === before) return [fold("Program", block(code), `the same as ${pathOf(parent)}'s`)];
  const told = difference(before, code);
  const count = (sign) => told.filter(([each]) => each === sign).length;
  const counts = `+${count("+")} −${count("-")} lines`;
  return [
    fold(`Program, against ${pathOf(parent)}'s`, drawDifference(told), counts, "Difference"),
    fold("Program", block(code)),
  ];
}

function drawDifference(told) {
  const pre = make("pre", "difference");
  for (const [sign, line] of told) {
    const kind = { "+": "added", "-": "removed", " ": "" }[sign];
    pre.append(make(kind === "added" ? "ins" : kind === "removed" ? "del" : "span", kind, `${sign} ${visible(line)}\n`));
  }
  return pre;
}

function block(text, none = "–") {
  return text === null ? make("p", "none", none) : make("pre", "", text === "" ? "(empty)" : visible(text));
}

// A part that can be closed; what is closed once stays so from attempt to attempt.
function fold(title, content, note = "", key = title) {
  const part = make("details");
  part.dataset.part = key;
  part.open = !CLOSED.has(key);
  part.addEventListener("toggle", () => (part.open ? CLOSED.delete(key) : CLOSED.add(key)));
  const summary = make("summary", "", title);
  if (note) summary.append(make("span", "note", note));
  part.append(summary, content);
  return part;
}
