// Line by line difference of two programs: [sign, line] pairs, sign one of " ", "-", "+".

const MOST_CELLS = 4_000_000;

function difference(before, after) {
  const old = before.split("\n");
  const now = after.split("\n");
  let head = 0;
  while (head < old.length && head < now.length && old[head] === now[head]) head += 1;
  let tail = 0;
  while (tail < Math.min(old.length, now.length) - head && old.at(-1 - tail) === now.at(-1 - tail)) tail += 1;
  const same = (lines) => lines.map((line) => [" ", line]);
  return [
    ...same(old.slice(0, head)),
    ...changed(old.slice(head, old.length - tail), now.slice(head, now.length - tail)),
    ...same(old.slice(old.length - tail)),
  ];
}

function changed(old, now) {
  if (old.length * now.length > MOST_CELLS) return signed(old, now);
  const longest = commonLengths(old, now);
  const told = [];
  let i = 0;
  let j = 0;
  while (i < old.length && j < now.length) {
    if (old[i] === now[j]) {
      told.push([" ", old[i]]);
      i += 1;
      j += 1;
    } else if (longest[i + 1][j] >= longest[i][j + 1]) {
      told.push(["-", old[i]]);
      i += 1;
    } else {
      told.push(["+", now[j]]);
      j += 1;
    }
  }
  return [...told, ...signed(old.slice(i), now.slice(j))];
}

const signed = (old, now) => [...old.map((line) => ["-", line]), ...now.map((line) => ["+", line])];

// longest[i][j]: lines that old from i on and now from j on have in common, in order.
function commonLengths(old, now) {
  const longest = Array.from({ length: old.length + 1 }, () => new Uint32Array(now.length + 1));
  for (let i = old.length - 1; i >= 0; i -= 1) {
    for (let j = now.length - 1; j >= 0; j -= 1) {
      longest[i][j] =
        old[i] === now[j] ? longest[i + 1][j + 1] + 1 : Math.max(longest[i + 1][j], longest[i][j + 1]);
    }
  }
  return longest;
}
