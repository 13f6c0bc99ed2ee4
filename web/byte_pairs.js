// Encoding with a byte-level BPE vocabulary.

import { spell } from "./byte_alphabet.js";
import { merge } from "./merging.js";

const MOST_KEPT = 1 << 16;
const LONGEST_KEPT = 64;

/** Cuts text into pieces, and merges in each the neighbours that stand first in the list of merges. */
export class BytePairEncoder {
  #ids;
  #rank;
  #patterns;
  #ignoresMerges;
  #known = new Map();
  #utf8 = new TextEncoder();

  /**
   * @param {Map<string, number>} ids normal tokens as files spell them
   * @param {string[]|undefined} merges pairs "a b" by rank; without them, tokens are merged in the order of their ids
   * @param {{patterns: string[], ignoreMerges: boolean}} pre how text is cut into pieces, and whether a piece that is
   *   a token is taken as it is
   */
  constructor(ids, merges, pre) {
    this.#ids = ids;
    if (merges) {
      const ranks = new Map();
      merges.forEach((pair, rank) => { if (!ranks.has(pair)) ranks.set(pair, rank); });
      this.#rank = (left, right) => ranks.get(`${left} ${right}`);
    } else {
      this.#rank = (left, right) => ids.get(left + right);
    }
    this.#patterns = pre.patterns.map(pattern => new RegExp(pattern, "gu"));
    this.#ignoresMerges = pre.ignoreMerges || !merges;
  }

  encode(text) {
    let pieces = [text];
    for (const pattern of this.#patterns) pieces = pieces.flatMap(piece => cut(pattern, piece));
    return pieces.flatMap(piece => this.#pieceIds(piece));
  }

  #pieceIds(piece) {
    let ids = this.#known.get(piece);
    if (ids) return ids;
    const name = spell(this.#utf8.encode(piece));
    ids = this.#ignoresMerges && this.#ids.has(name) ? [this.#ids.get(name)] : this.#merged(name);
    if (this.#known.size < MOST_KEPT && piece.length < LONGEST_KEPT) this.#known.set(piece, ids);
    return ids;
  }

  /** What was merged to no token falls apart, and what then is none is left out. */
  #merged(name) {
    return merge(name, this.#rank)
      .flatMap(part => this.#ids.has(part) ? [part] : Array.from(part))
      .filter(part => this.#ids.has(part))
      .map(part => this.#ids.get(part));
  }
}

/** Returns the matches of a pattern in a piece, and what is between them. */
function cut(pattern, piece) {
  const pieces = [];
  let start = 0;
  for (const { 0: match, index } of piece.matchAll(pattern)) {
    if (match === "") continue;
    if (start < index) pieces.push(piece.slice(start, index));
    pieces.push(match);
    start = index + match.length;
  }
  if (start < piece.length) pieces.push(piece.slice(start));
  return pieces;
}
