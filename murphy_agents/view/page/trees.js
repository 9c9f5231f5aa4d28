// The run's data as trees: who refines whom, what came of each, and which trees a filter keeps.

const data = JSON.parse(document.getElementById("data").textContent);
const { nodes, strings } = data;
const FLAGS = { pruned: 1, truncated: 2, overflow: 4, solved: 8, left_out: 16 };

const has = (node, flag) => (nodes.flags[node] & FLAGS[flag]) !== 0;
const textOf = (field, node) => (nodes[field][node] < 0 ? null : strings[nodes[field][node]]);
const isFailed = (node) => nodes.reward[node] !== null && !has(node, "solved");

const childrenOf = nodes.parent.map(() => []);
nodes.parent.forEach((parent, node) => {
  if (parent >= 0) childrenOf[parent].push(node);
});

const turnOf = [];
nodes.parent.forEach((parent, node) => {
  turnOf.push(parent < 0 ? 1 : turnOf[parent] + 1);
});

let taken = 0;
const trees = data.trees.map((tree, index) => {
  const first = taken;
  taken += tree.size;
  const all = Array.from({ length: tree.size }, (_, i) => first + i);
  const roots = all.filter((node) => nodes.parent[node] < 0);
  const turns = all.reduce((most, node) => Math.max(most, turnOf[node]), 1);
  return { index, step: tree.step, problem: tree.problem, task: strings[tree.task], all, roots, turns };
});

// Outcomes overlap: a tree can be solved by one first attempt and repaired after another.
const OUTCOMES = {
  "solved at turn 1": (tree) => tree.roots.some((node) => has(node, "solved")),
  repaired: (tree) => tree.all.some((node) => turnOf[node] > 1 && has(node, "solved")),
  "never solved": (tree) => tree.all.some(isFailed) && !tree.all.some((node) => has(node, "solved")),
  "with pruned": (tree) => tree.all.some((node) => has(node, "pruned")),
  "with advantages": (tree) => tree.all.some((node) => nodes.advantage[node] !== 0),
  "cut at the token limit": (tree) => tree.all.some((node) => has(node, "truncated")),
  "no verdict": (tree) => tree.all.some((node) => nodes.reward[node] === null),
};
for (const tree of trees) {
  tree.outcomes = new Set(Object.keys(OUTCOMES).filter((name) => OUTCOMES[name](tree)));
}

function badgeOf(tree) {
  const names = ["solved at turn 1", "repaired", "never solved", "no verdict"];
  return names.find((name) => tree.outcomes.has(name)) ?? "";
}

// The best reward of each turn, as far as there are verdicts.
function bestOf(tree) {
  const best = Array(tree.turns).fill(null);
  for (const node of tree.all) {
    const reward = nodes.reward[node];
    const turn = turnOf[node] - 1;
    if (reward !== null && (best[turn] === null || reward > best[turn])) best[turn] = reward;
  }
  return best;
}

// "2.1": the first repair of the second attempt.
function pathOf(node) {
  const place = String(nodes.place[node] + 1);
  return nodes.parent[node] < 0 ? place : `${pathOf(nodes.parent[node])}.${place}`;
}

function kept(filter) {
  const query = filter.q.trim().toLowerCase();
  return trees.filter(
    (tree) =>
      (filter.step === "" || tree.step === Number(filter.step)) &&
      (filter.task === "" || tree.task === filter.task) &&
      (filter.outcome === "" || tree.outcomes.has(filter.outcome)) &&
      (query === "" || tree.task.toLowerCase().includes(query)),
  );
}
