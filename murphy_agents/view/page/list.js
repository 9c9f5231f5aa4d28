// The list of trees: as many rows in the page as can be seen, whatever their number.

const ROW = 46;
const SPARE = 6;
const BADGES = { "solved at turn 1": "solved", repaired: "repaired", "never solved": "never", "no verdict": "no verdict", "": "–" };

function makeList(box, choose) {
  const sizer = box.querySelector(".sizer");
  let rows = [];
  let chosen = -1;

  function draw() {
    const first = Math.max(0, Math.floor(box.scrollTop / ROW) - SPARE);
    const last = Math.min(rows.length, Math.ceil((box.scrollTop + box.clientHeight) / ROW) + SPARE);
    const at = Array.from({ length: Math.max(0, last - first) }, (_, i) => first + i);
    if (chosen >= 0 && (chosen < first || chosen >= last)) at.push(chosen);
    sizer.replaceChildren(...at.map(drawRow));
  }

  function drawRow(at) {
    const tree = rows[at];
    const row = make("div", "row");
    row.id = `tree-${tree.index}`;
    row.dataset.tree = tree.index;
    row.style.top = `${at * ROW}px`;
    const badge = badgeOf(tree);
    const rewards = bestOf(tree).map((value) => shown(value, false, 2)).join(" → ");
    const where = make("span", "where", visible(tree.task));
    const what = make("span", "what", `step ${tree.step} `);
    what.append(make("span", `badge ${badge.split(" ")[0]}`, BADGES[badge]), ` best ${rewards}`);
    row.append(where, what);
    mark(row, { role: "option", "aria-selected": at === chosen, "aria-posinset": at + 1, "aria-setsize": rows.length });
    return row;
  }

  function show(kept, tree) {
    rows = kept;
    sizer.style.height = `${rows.length * ROW}px`;
    chosen = rows.indexOf(tree);
    if (chosen >= 0) {
      reveal(box, chosen * ROW, ROW);
      box.setAttribute("aria-activedescendant", `tree-${tree.index}`);
    } else {
      box.removeAttribute("aria-activedescendant");
    }
    draw();
  }

  box.addEventListener("scroll", draw);
  box.addEventListener("click", (event) => {
    const row = event.target.closest(".row");
    if (row) choose(trees[Number(row.dataset.tree)]);
  });
  new ResizeObserver(draw).observe(box);
  // The tree that many rows further on, or the last one in that direction.
  const step = (by) => rows[Math.min(Math.max(chosen + by, 0), rows.length - 1)];
  return { show, step };
}

function reveal(box, start, size, scroll = "scrollTop", room = "clientHeight") {
  if (start < box[scroll]) box[scroll] = start;
  else if (start + size > box[scroll] + box[room]) box[scroll] = start + size - box[room];
}
