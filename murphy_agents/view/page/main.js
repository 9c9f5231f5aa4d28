// The page's one state, kept in the address; every change draws what depends on it.

const byId = (id) => document.getElementById(id);
const FILTERS = { step: "step", task: "task", outcome: "outcome", q: "query" };
const NO_FILTER = { step: "", task: "", outcome: "", q: "" };
const state = { ...NO_FILTER, by: "reward", tree: null, node: -1 };

const list = makeList(byId("list"), (tree) => go({ tree, node: tree.roots[0] }));
const treeView = makeTree(byId("tree"), (node) => go({ node }));

function go(changes) {
  Object.assign(state, changes);
  const shownTrees = kept(state);
  if (!shownTrees.includes(state.tree)) {
    state.tree = shownTrees[0] ?? null;
    state.node = state.tree ? state.tree.roots[0] : -1;
  }
  draw(shownTrees);
  keepAddress();
}

// Browsers stop counting addresses that change faster than a held key repeats.
let addressTimer = 0;
function keepAddress() {
  addressTimer ||= setTimeout(() => {
    addressTimer = 0;
    history.replaceState(null, "", `#${addressOf()}`);
  }, 150);
}

function draw(shownTrees) {
  const { tree, node, by } = state;
  for (const [name, id] of Object.entries(FILTERS)) if (byId(id).value !== state[name]) byId(id).value = state[name];
  byId("by").value = by;
  const numNodes = shownTrees.reduce((sum, each) => sum + each.all.length, 0);
  byId("count").textContent = `${plural(shownTrees.length, "tree")} of ${trees.length}, ${plural(numNodes, "attempt")}`;
  byId("tree-name").textContent = tree ? `Step ${tree.step}, problem ${tree.problem + 1}: ${visible(tree.task)}` : "No tree matches";
  byId("legend").hidden = !tree;
  if (tree) drawLegend(byId("legend"), by, tree);
  list.show(shownTrees, tree);
  treeView.show(tree, node, by);
  drawDetails(byId("details"), node);
}

const plural = (count, what) => `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;

function addressOf() {
  const parts = new URLSearchParams();
  if (state.tree) parts.set("tree", `${state.tree.step}.${state.tree.problem + 1}`);
  if (state.tree) parts.set("node", pathOf(state.node));
  for (const name of [...Object.keys(FILTERS), "by"]) if (state[name]) parts.set(name, state[name]);
  return parts.toString();
}

// The place that the address names; what it names wrongly is passed over.
function placeOf(address) {
  const parts = new URLSearchParams(address.replace(/^#/, ""));
  const place = { by: WAYS.includes(parts.get("by")) ? parts.get("by") : "reward" };
  for (const [name, id] of Object.entries(FILTERS)) place[name] = offered(byId(id), parts.get(name) ?? "");
  place.tree = trees.find((tree) => `${tree.step}.${tree.problem + 1}` === parts.get("tree")) ?? trees[0];
  place.node = place.tree.all.find((node) => pathOf(node) === parts.get("node")) ?? place.tree.roots[0];
  return place;
}

// A box takes any text, a select only what it offers.
function offered(input, value) {
  const isOffered = !input.options || [...input.options].some((option) => option.value === value);
  return isOffered ? value : "";
}

function fill(select, any, options) {
  for (const [value, text] of [["", any], ...options]) {
    const option = make("option", "", text);
    option.value = value;
    select.append(option);
  }
}

function fillFilters() {
  const distinct = (values) => [...new Set(values)];
  const count = (name) => trees.filter((tree) => tree.outcomes.has(name)).length;
  fill(byId("step"), "all", distinct(trees.map((tree) => String(tree.step))).map((step) => [step, step]));
  fill(byId("task"), "all", distinct(trees.map((tree) => tree.task)).sort().map((task) => [task, visible(task)]));
  fill(byId("outcome"), "any", Object.keys(OUTCOMES).map((name) => [name, `${name} (${count(name)})`]));
  for (const name of WAYS) byId("by").append(make("option", "", name));
  for (const [name, id] of [...Object.entries(FILTERS), ["by", "by"]]) {
    byId(id).addEventListener("input", (event) => go({ [name]: event.target.value }));
  }
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
}

function next(names, name) {
  return names[(names.indexOf(name) + 1) % names.length];
}

function start() {
  const { name, settings, note } = data.run;
  byId("name").textContent = visible(name);
  const told = Object.entries(settings).map(([setting, value]) => `${setting} ${visible(value)}`);
  byId("settings").textContent = [...told, ...(note ? [note] : [])].join(" · ");
  fillFilters();
  drawHelp(byId("help-keys"));
  const help = () => byId("help").showModal();
  byId("help-button").addEventListener("click", help);
  listen(
    {
      arrow: (key) => {
        const node = treeView.neighbour(key);
        if (node !== null) go({ node });
      },
      tree: (by) => {
        const tree = list.step(by);
        if (tree) go({ tree, node: tree.roots[0] });
      },
      colour: () => go({ by: next(WAYS, state.by) }),
      task: () => go(state.task || !state.tree ? { task: "" } : { ...NO_FILTER, task: state.tree.task }),
      search: () => byId("query").focus(),
      help,
    },
    byId("list"),
  );
  window.addEventListener("hashchange", () => go(placeOf(location.hash)));
  go(placeOf(location.hash));
}

start();
