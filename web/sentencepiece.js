// Encoding with a SentencePiece vocabulary, as Llama 2 and TinyLlama have one.

import { merge } from "./merging.js";

/**
 * Merges the characters of a text: among all neighbours that make a token, always those of the highest score.
 * Characters that are no token become the tokens of their bytes.
 */
export class SentencePieceEncoder {
  #ids;
  #scores;
  #byteIds;
  #unknownId;
  #prefix;
  #utf8 = new TextEncoder();

  /**
   * @param {Map<string, number>} ids normal tokens by their text
   * @param {{scores: number[], byteIds: Map<number, number>, unknownId: number|undefined, spacePrefix: boolean}} algorithm
   */
  constructor(ids, { scores, byteIds, unknownId, spacePrefix }) {
    this.#ids = ids;
    this.#scores = scores;
    this.#byteIds = byteIds;
    this.#unknownId = unknownId;
    this.#prefix = spacePrefix ? " " : "";
  }

  /** Returns the ids of a text; `continues` tells that it goes on with another one, so that it gets no space in front. */
  encode(text, continues) {
    const rank = (left, right) => {
      const id = this.#ids.get(left + right);
      return id === undefined ? undefined : -this.#scores[id];
    };
    return merge((continues ? "" : this.#prefix) + text, rank).flatMap(piece => this.#pieceIds(piece));
  }

  #pieceIds(piece) {
    const id = this.#ids.get(piece);
    if (id !== undefined) return [id];
    return Array.from(this.#utf8.encode(piece), byte => this.#byteIds.get(byte) ?? this.#unknownId)
      .filter(byteId => byteId !== undefined);
  }
}
