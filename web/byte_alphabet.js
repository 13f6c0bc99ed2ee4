// GPT-2's alphabet, in which files spell bytes: those that print stand for themselves, the others for U+0100 on.

const isPrintable = byte => (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;

const CHARACTERS = [];
let others = 0x100;
for (let byte = 0; byte < 256; byte++) CHARACTERS.push(String.fromCharCode(isPrintable(byte) ? byte : others++));
const BYTES = new Map(CHARACTERS.map((character, byte) => [character, byte]));

/** Returns bytes in the alphabet. */
export function spell(bytes) {
  return Array.from(bytes, byte => CHARACTERS[byte]).join("");
}

/** Returns the bytes that a name spells; undefined if it has other characters. */
export function spelledBytes(name) {
  const bytes = Array.from(name, character => BYTES.get(character));
  return bytes.includes(undefined) ? undefined : Uint8Array.from(bytes);
}
