// Telling the special tokens that a template writes from the same names in the messages of visitors.
//
// Names in messages are shielded: one character is put inside, which is taken out after special tokens have been
// looked for. A name that a template looks for, as in content.split('</think>'), is left alone.

import { escapePattern } from "./tokenizer.js";

const SHIELD = "\u{10ffff}"; // a noncharacter, which Unicode reserves for internal use

const TEXT = String.raw`(?:'([^']*)'|"([^"]*)")`;
const METHODS = "r?split|r?partition|replace|startswith|endswith|r?find|r?index|count|[lr]?strip|removeprefix|removesuffix";
// Where a template looks for a text and does not write it: 'text' in content, content == 'text', content.split('text').
const LOOKING = new RegExp(String.raw`${TEXT}\s*(?:(?:not\s+)?in\b|[=!]=)|(?:[=!]=|\bin\s|\[|\.(?:${METHODS})\()\s*${TEXT}`, "g");

/** Returns those of some names that a template does not look for. */
export function namesToShield(template, names) {
  const texts = Array.from(template.matchAll(LOOKING), match => match.slice(1).find(text => text !== undefined));
  return names.filter(name => !texts.some(text => text.includes(name.slice(0, 2))));
}

/**
 * Returns a text with some names shielded. So is the beginning of a name at its end, blanks there not counted: a
 * template could complete it by what it appends.
 */
export function shielded(text, names) {
  const starts = new Set();
  for (const name of names)
    for (const { index } of text.matchAll(new RegExp(`(?=${escapePattern(name)})`, "g"))) starts.add(index);
  const end = text.trimEnd().length;
  const longest = Math.max(0, ...names.map(name => name.length));
  for (let at = Math.max(0, end - longest); at < end; at++)
    if (names.some(name => name.startsWith(text.slice(at, end)))) starts.add(at);
  const cuts = [...starts].sort((a, b) => a - b).map(start => start + 1);
  return [0, ...cuts].map((cut, n) => text.slice(cut, cuts[n] ?? text.length)).join(SHIELD);
}

/** Returns a text as it was before it was shielded. */
export function withoutShields(text) {
  return text.replaceAll(SHIELD, "");
}
