// What a tokenizer is made of, from the "tokenizer.ggml.*" keys of a GGUF file.

import { spelledBytes } from "./byte_alphabet.js";
import { PageError } from "./errors.js";

const PREFIX = "tokenizer.ggml.";
const NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER_DEFINED = 4, BYTE = 6;
const BEGIN_OF_TEXT = "<|begin_of_text|>";
const STOP_KEYS = ["eos", "eot", "eom", "fim_pad", "fim_rep", "fim_sep"];
const SPACE = /\u2581/g;
const BYTE_NAME = /^<0x([0-9A-Fa-f]{2})>$/;

/**
 * Reads a vocabulary.
 *
 * @param {Map} metadata
 * @param {{preTokenizers: Object, stopNames: string[]}} facts what the host knows about vocabularies
 */
export function readVocabulary(metadata, facts) {
  const get = key => metadata.get(PREFIX + key);
  const model = get("model");
  if (model !== "gpt2" && model !== "llama")
    throw new PageError(`tokenizer.ggml.model is ${model ?? "missing"}; supported: 'gpt2' (byte-level BPE), 'llama' (SentencePiece).`);
  const stored = get("tokens");
  if (!Array.isArray(stored) || stored.length === 0) throw new PageError("The file has no vocabulary.");
  const names = stored.map((name, id) => name || `[EMPTY_${id}]`);
  const sorted = sortTokens(names, get("token_type") ?? names.map(() => NORMAL), facts.stopNames);
  const id = (key, fallback) => {
    const value = get(`${key}_token_id`);
    return Number.isInteger(value) && value < names.length ? value : fallback < names.length ? fallback : undefined;
  };
  const stopIds = [...facts.stopNames.map(name => sorted.special.get(name)), ...STOP_KEYS.map(key => id(key))];
  return {
    ...sorted,
    names,
    stopIds: new Set(stopIds.filter(found => found !== undefined)),
    eotId: id("eot"),
    roles: { unk_token: id("unknown"), sep_token: id("seperator"), pad_token: id("padding"), cls_token: id("cls"), mask_token: id("mask") },
    ...(model === "gpt2" ? readBytePairs : readSentencePieces)({ names, sorted, get, id, facts }),
  };
}

/** Tells tokens apart by type; those whose names say that they end a text are special, whatever their type. */
function sortTokens(names, types, stopNames) {
  const special = new Map(), userDefined = new Map(), unused = new Set();
  names.forEach((name, id) => {
    if (types[id] === USER_DEFINED) userDefined.set(name, id);
    else if (types[id] === CONTROL || types[id] === UNKNOWN) special.set(name, id);
    else if (types[id] !== NORMAL && types[id] !== BYTE) unused.add(id);
  });
  for (const name of stopNames) {
    const id = names.indexOf(name);
    if (special.has(name) || id < 0) continue;
    userDefined.delete(name);
    special.set(name, id);
  }
  return { special, userDefined, unused };
}

function readBytePairs({ names, sorted, get, id, facts }) {
  const added = addedIds(sorted);
  const utf8 = new TextEncoder();
  const bosId = id("bos", sorted.special.get(BEGIN_OF_TEXT));
  const pre = findPreTokenizer(get("pre"), sorted.special, facts.preTokenizers);
  return {
    kind: "byte pairs",
    pre,
    merges: get("merges"),
    bytes: names.map((name, token) => (added.has(token) ? undefined : spelledBytes(name)) ?? utf8.encode(name)),
    bosId,
    eosId: id("eos"),
    addBos: bosId !== undefined && (get("add_bos_token") ?? pre.addBos),
  };
}

/** Chooses by the name of the pre-tokenizer; early files of Llama 3 have none, or "default". */
function findPreTokenizer(name, special, known) {
  if (!name || name === "default") return known[special.has(BEGIN_OF_TEXT) ? "llama-bpe" : "default"];
  if (!Object.hasOwn(known, name)) throw new PageError(`tokenizer.ggml.pre is '${name}'; supported: ${Object.keys(known).join(", ")}.`);
  return known[name];
}

function readSentencePieces({ names, sorted, get, id }) {
  const literal = new Set([...sorted.special.values(), ...sorted.unused]);
  const utf8 = new TextEncoder();
  const byteIds = new Map();
  const bytes = names.map((name, token) => {
    const byte = BYTE_NAME.exec(name)?.[1];
    if (byte !== undefined) byteIds.set(parseInt(byte, 16), token);
    if (byte !== undefined) return Uint8Array.of(parseInt(byte, 16));
    return utf8.encode(literal.has(token) ? name : name.replace(SPACE, " "));
  });
  const bosId = id("bos", 1);
  return {
    kind: "sentence pieces",
    scores: get("scores") ?? names.map(() => 0),
    byteIds,
    spacePrefix: get("add_space_prefix") ?? true,
    unknownId: id("unknown", 0),
    userDefined: new Map(Array.from(sorted.userDefined, ([name, token]) => [name.replace(SPACE, " "), token])),
    bytes,
    bosId,
    eosId: id("eos", 2),
    addBos: bosId !== undefined && (get("add_bos_token") ?? true),
  };
}

/** Returns the ids of the tokens that no merging makes. */
export function addedIds({ special, userDefined, unused }) {
  return new Set([...special.values(), ...userDefined.values(), ...unused]);
}
