// Where each node of a tree stands: a column for each turn, a parent on the first line of its
// repairs, and the repairs of the last turn in rows as wide as there is room for.

const CELL = { width: 54, height: 26, gap: 6, turnGap: 24, groupGap: 8, margin: 12 };
const columnOf = (turn) => CELL.margin + (turn - 1) * (CELL.width + CELL.turnGap);

// -> places [{node, x, y}] from top to bottom, links [{x, y, width, height}], width, height.
function layOut(tree, room) {
  const drawn = { places: [], links: [], width: 0, height: 0 };
  const below = placeGroup(drawn, tree, tree.roots, 1, CELL.margin, room);
  drawn.height = below + CELL.margin;
  drawn.width = drawn.places.reduce((most, { x }) => Math.max(most, x), 0) + CELL.width + CELL.margin;
  return drawn;
}

// The group of one prompt; returns the line below it.
function placeGroup(drawn, tree, group, turn, top, room) {
  return turn === tree.turns ? placeRows(drawn, group, turn, top, room) : placeLines(drawn, tree, group, turn, top, room);
}

function placeRows(drawn, group, turn, top, room) {
  const left = columnOf(turn);
  const step = CELL.width + CELL.gap;
  const perRow = Math.max(4, Math.floor((room - left - CELL.margin + CELL.gap) / step));
  group.forEach((node, i) => {
    const row = Math.floor(i / perRow);
    drawn.places.push({ node, x: left + (i % perRow) * step, y: top + row * (CELL.height + CELL.gap) });
  });
  return top + Math.ceil(group.length / perRow) * (CELL.height + CELL.gap);
}

function placeLines(drawn, tree, group, turn, top, room) {
  const x = columnOf(turn);
  let y = top;
  for (const node of group) {
    drawn.places.push({ node, x, y });
    const repairs = childrenOf[node];
    const next = y + CELL.height + CELL.gap;
    if (repairs.length) {
      drawn.links.push({ x: x + CELL.width, y: y + CELL.height / 2, width: CELL.turnGap, height: 0 });
      const below = placeGroup(drawn, tree, repairs, turn + 1, y, room);
      const left = columnOf(turn + 1) - CELL.gap;
      drawn.links.push({ x: left, y: y + CELL.height / 2, width: 0, height: below - y - CELL.height - CELL.gap });
      y = Math.max(next, below) + CELL.groupGap;
    } else {
      y = next;
    }
  }
  return y;
}

// The node that an arrow leads to; null at the edge.
function neighbour(drawn, node, key) {
  const here = drawn.places.find((place) => place.node === node);
  if (!here) return null;
  const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
  const ahead = drawn.places.filter(
    ({ x, y }) => (dx ? y === here.y && (x - here.x) * dx > 0 : (y - here.y) * dy > 0),
  );
  const far = ({ x, y }) => Math.abs(y - here.y) * 1e4 + Math.abs(x - here.x);
  const nearest = ahead.reduce((best, place) => (best && far(best) <= far(place) ? best : place), null);
  const parent = nodes.parent[node];
  return nearest?.node ?? (key === "ArrowLeft" && parent >= 0 ? parent : null);
}
