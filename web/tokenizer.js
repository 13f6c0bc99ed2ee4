// Text to tokens and back, with the vocabulary of the model.

import { BytePairEncoder } from "./byte_pairs.js";
import { SentencePieceEncoder } from "./sentencepiece.js";
import { addedIds, readVocabulary } from "./vocabulary.js";

export class Tokenizer {
  #special;
  #userDefined;
  #encoder;

  /** @param {Map} metadata of a GGUF file; see `readVocabulary` for the facts */
  constructor(metadata, facts) {
    this.vocabulary = readVocabulary(metadata, facts);
    this.#special = new AddedTokens(this.vocabulary.special);
    this.#userDefined = new AddedTokens(this.vocabulary.userDefined);
    this.#encoder = makeEncoder(this.vocabulary);
  }

  /** Tokens that end a generation. */
  get stopIds() {
    return this.vocabulary.stopIds;
  }

  /** Returns the ids of a text, without a BOS; with `special`, names such as <|eot_id|> become those tokens. */
  encode(text, { special = false } = {}) {
    const wellFormed = text.toWellFormed();
    return this.encodeParts(special ? this.splitSpecial(wellFormed) : [wellFormed]);
  }

  /** Returns the ids of a text to continue, in which names of special tokens are meant, with a BOS if the model wants one. */
  encodePrompt(text) {
    return this.withBos(this.encode(text, { special: true }));
  }

  /** Returns the ids of a text of which the special tokens are known: parts are their ids, and what is between. */
  encodeParts(parts) {
    const ids = [];
    let continues = false;
    for (const part of parts)
      for (const piece of typeof part === "number" ? [part] : this.#userDefined.split(part)) {
        if (typeof piece === "number") ids.push(piece);
        else for (const id of this.#encoder.encode(piece, continues)) ids.push(id);
        continues = typeof piece !== "number";
      }
    return ids;
  }

  /** Cuts a text at the names of special tokens: returns the ids of these, and the text between them. */
  splitSpecial(text) {
    return this.#special.split(text);
  }

  /** Returns ids that begin with a BOS, if the model expects one; one that is there already is enough. */
  withBos(ids) {
    const { addBos, bosId } = this.vocabulary;
    return addBos && ids[0] !== bosId ? [bosId, ...ids] : ids;
  }

  /** Returns the bytes of one token, which may be an incomplete character. */
  bytes(id) {
    return this.vocabulary.bytes[id];
  }

  /** Returns one token for display: on one line, what is no character as \x.., line feeds as \n. */
  show(id) {
    const bytes = this.bytes(id);
    let text;
    try {
      text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      return Array.from(bytes, byte => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
    }
    text = text.replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, c => c === "\n" ? "\\n" : c === "\t" ? "\\t" : `\\x${c.codePointAt(0).toString(16).padStart(2, "0")}`);
    return text.trim() === "" ? `"${text}"` : text;
  }

  isSpecial(id) {
    return this.#special.has(id) || this.vocabulary.unused.has(id);
  }
}

/** Decodes token by token, holding back the bytes of a character until it is complete. */
export class StreamDecoder {
  #tokenizer;
  #utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

  constructor(tokenizer) {
    this.#tokenizer = tokenizer;
  }

  feed(id) {
    return this.#utf8.decode(this.#tokenizer.bytes(id), { stream: true });
  }

  /** Returns what is left at the end of a text: U+FFFD if its last character is incomplete. */
  flush() {
    return this.#utf8.decode();
  }
}

/** Names of tokens, of which the leftmost in a text counts, and of several there the longest. */
class AddedTokens {
  #ids;
  #pattern;

  /** @param {Map<string, number>} ids */
  constructor(ids) {
    const names = [...ids.keys()].filter(name => name !== "").sort((a, b) => b.length - a.length);
    this.#ids = ids;
    this.#pattern = names.length ? new RegExp(names.map(escapePattern).join("|"), "g") : null;
  }

  has(id) {
    return [...this.#ids.values()].includes(id);
  }

  /** Returns the ids of the tokens in a text, and what is between them. */
  split(text) {
    const parts = [];
    let start = 0;
    for (const { 0: name, index } of this.#pattern ? text.matchAll(this.#pattern) : []) {
      if (start < index) parts.push(text.slice(start, index));
      parts.push(this.#ids.get(name));
      start = index + name.length;
    }
    if (start < text.length) parts.push(text.slice(start));
    return parts;
  }
}

function makeEncoder(vocabulary) {
  if (vocabulary.kind === "byte pairs") {
    const added = addedIds(vocabulary);
    const ids = new Map();
    vocabulary.names.forEach((name, id) => { if (!added.has(id)) ids.set(name, id); });
    return new BytePairEncoder(ids, vocabulary.merges, vocabulary.pre);
  }
  const added = new Set([...addedIds(vocabulary), ...vocabulary.byteIds.values()]);
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const ids = new Map();
  vocabulary.bytes.forEach((bytes, id) => {
    const text = decoder.decode(bytes);
    if (!added.has(id) && !ids.has(text)) ids.set(text, id);
  });
  return new SentencePieceEncoder(ids, vocabulary);
}

/** Returns a regular expression that matches a text. */
export function escapePattern(text) {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
}
