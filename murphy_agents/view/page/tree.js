// One tree, drawn by turn: as many nodes in the page as can be seen, whatever their number.

function makeTree(box, choose) {
  const sizer = box.querySelector(".sizer");
  const turns = box.querySelector(".turns");
  let tree = null;
  let drawn = null;
  let chosen = -1;
  let by = "reward";

  function draw() {
    if (!tree) return;
    const margin = box.clientHeight / 2;
    const top = box.scrollTop - margin;
    const bottom = box.scrollTop + box.clientHeight + margin;
    const isNear = ({ y, height = CELL.height }) => y + height >= top && y <= bottom;
    const places = drawn.places.filter((place) => isNear(place) || place.node === chosen);
    sizer.replaceChildren(...drawn.links.filter(isNear).map(drawLink), ...places.map(drawNode));
  }

  function lay() {
    if (!tree) return;
    drawn = layOut(tree, box.clientWidth);
    turns.style.width = `${drawn.width}px`;
    turns.replaceChildren(...drawTurns(tree));
    sizer.style.width = `${drawn.width}px`;
    sizer.style.height = `${drawn.height}px`;
    draw();
  }

  function drawNode({ node, x, y }) {
    const cell = make("div", "node");
    cell.id = `node-${node}`;
    cell.dataset.node = node;
    place(cell, x, y, CELL.width, CELL.height);
    cell.append(...looksOf(node, by).map(drawPart));
    cell.classList.toggle("pruned", has(node, "pruned"));
    cell.classList.toggle("solved", has(node, "solved"));
    const parent = nodes.parent[node];
    const siblings = parent < 0 ? tree.roots : childrenOf[parent];
    mark(cell, {
      role: "treeitem", "aria-selected": node === chosen, "aria-level": turnOf[node],
      "aria-posinset": siblings.indexOf(node) + 1, "aria-setsize": siblings.length,
      "aria-label": labelOf(node),
    });
    if (childrenOf[node].length) cell.setAttribute("aria-expanded", "true");
    return cell;
  }

  function clear() {
    box.removeAttribute("aria-activedescendant");
    for (const part of [turns, sizer]) {
      part.replaceChildren();
      part.removeAttribute("style");
    }
  }

  function show(next, node, figure) {
    const isNew = next !== tree;
    tree = next;
    chosen = node;
    by = figure;
    if (!tree) return clear();
    box.setAttribute("aria-activedescendant", `node-${node}`);
    if (isNew) lay();
    const spot = drawn.places.find((each) => each.node === node);
    reveal(box, spot.y - CELL.margin, CELL.height + 3 * CELL.margin);
    reveal(box, spot.x - CELL.margin, CELL.width + 2 * CELL.margin, "scrollLeft", "clientWidth");
    draw();
  }

  box.addEventListener("scroll", draw);
  box.addEventListener("click", (event) => {
    const cell = event.target.closest(".node");
    if (cell) choose(Number(cell.dataset.node));
  });
  new ResizeObserver(lay).observe(box);
  return { show, neighbour: (key) => (tree ? neighbour(drawn, chosen, key) : null) };
}

function drawPart({ colour, mark }) {
  const part = make("span", "part", mark);
  paint(part, colour);
  return part;
}

function drawTurns(tree) {
  return Array.from({ length: tree.turns }, (_, i) => {
    const head = make("span", "turn", `turn ${i + 1}`);
    head.style.left = `${columnOf(i + 1)}px`;
    return head;
  });
}

function drawLink({ x, y, width, height }) {
  const link = make("div", "link");
  place(link, x, y, Math.max(width, 1), Math.max(height, 1));
  link.setAttribute("aria-hidden", "true");
  return link;
}

function place(element, x, y, width, height) {
  Object.assign(element.style, { left: `${x}px`, top: `${y}px`, width: `${width}px`, height: `${height}px` });
}

function labelOf(node) {
  const said = [`attempt ${pathOf(node)}`, `reward ${shown(nodes.reward[node])}`, `credit ${shown(nodes.credit[node])}`];
  said.push(`advantage ${shown(nodes.advantage[node], true)}`);
  for (const flag of ["solved", "pruned", "truncated"]) if (has(node, flag)) said.push(flag);
  return said.join(", ");
}
