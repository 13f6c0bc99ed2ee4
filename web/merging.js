// Merging of neighbours, which all kinds of byte pair encoding have in common.

/**
 * Returns the parts of a text whose characters were merged, always the neighbours of the lowest rank; of equal ranks
 * the leftmost counts.
 *
 * @param {string} text
 * @param {(left: string, right: string) => number|undefined} rank undefined for neighbours that are never merged
 */
export function merge(text, rank) {
  // A merged part stands where it begins, "" where its parts were; neighbours are linked lists.
  const parts = Array.from(text);
  const count = parts.length;
  const after = parts.map((_, at) => at + 1);
  const before = parts.map((_, at) => at - 1);
  const candidates = new Heap();
  const consider = (left, right) => {
    if (left < 0 || right >= count) return;
    const found = rank(parts[left], parts[right]);
    if (found !== undefined) candidates.push({ rank: found, left, merged: parts[left] + parts[right] });
  };
  for (let left = 0; left + 1 < count; left++) consider(left, left + 1);
  while (candidates.size > 0) {
    const { left, merged } = candidates.pop();
    const right = after[left];
    if (parts[left] === "" || right === count || parts[left] + parts[right] !== merged)
      continue; // one of the two has been merged with another since
    parts[left] = merged;
    parts[right] = "";
    after[left] = after[right];
    if (after[left] < count) before[after[left]] = left;
    consider(before[left], left);
    consider(left, after[left]);
  }
  return parts.filter(part => part !== "");
}

/** Candidates, the lowest rank first, then the leftmost. */
class Heap {
  #items = [];

  get size() {
    return this.#items.length;
  }

  push(item) {
    const items = this.#items;
    let at = items.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(item, items[parent])) break;
      items[at] = items[parent];
      at = parent;
    }
    items[at] = item;
  }

  pop() {
    const items = this.#items;
    const first = items[0];
    const last = items.pop();
    if (items.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && isBefore(items[child + 1], items[child])) child++;
      if (!isBefore(items[child], last)) break;
      items[at] = items[child];
      at = child;
    }
    items[at] = last;
    return first;
  }
}

function isBefore(a, b) {
  return a.rank < b.rank || (a.rank === b.rank && a.left < b.left);
}
