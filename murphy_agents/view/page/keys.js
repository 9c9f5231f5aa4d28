// What keys do, and the page that says so.

const HELP = {
  "← → ↑ ↓": "to the next attempt in that direction; ← ends at the parent",
  "j k": "next and previous tree (in the list ↓ ↑ too)",
  "Home End": "first and last tree (in the details these and arrows scroll)",
  c: "colour by the next figure",
  t: "all steps of this task, other filters off; again: all tasks",
  "/": "search task ids (Esc leaves the search and keeps its text)",
  "?": "these keys",
};

function drawHelp(list) {
  for (const [keys, meaning] of Object.entries(HELP)) {
    const term = make("dt");
    for (const key of keys.split(" ")) term.append(make("kbd", "", key), " ");
    list.append(term, make("dd", "", meaning));
  }
}

const isTyping = (target) => target.matches("input, select, textarea");
const isScrolling = (key, target) => /^(Arrow.*|Home|End)$/.test(key) && target.closest("#details");

// actions: {arrow(key), tree(by), colour(), task(), search(), help()}
function listen(actions, list) {
  const does = {
    j: () => actions.tree(1), k: () => actions.tree(-1), Home: () => actions.tree(-Infinity),
    End: () => actions.tree(Infinity), c: actions.colour, t: actions.task, "/": actions.search, "?": actions.help,
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (isTyping(event.target)) {
      if (event.key === "Escape") leave(event);
      return;
    }
    if (isScrolling(event.key, event.target)) return;
    const isInList = list.contains(event.target);
    const action = does[event.key] ?? arrowAction(event.key, isInList, actions);
    if (!action) return;
    event.preventDefault();
    action();
  });
}

// Chromium would empty the search box and tell nobody.
function leave(event) {
  event.preventDefault();
  event.target.blur();
}

function arrowAction(key, isInList, actions) {
  if (!key.startsWith("Arrow")) return null;
  if (isInList && key === "ArrowDown") return () => actions.tree(1);
  if (isInList && key === "ArrowUp") return () => actions.tree(-1);
  return () => actions.arrow(key);
}
