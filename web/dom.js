// Elements of the page.

/** Returns the element with an id. */
export function get(id) {
  return document.getElementById(id);
}

/** Returns a new element with some properties, such as `className`, and children, elements or texts. */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** Returns a size for people, in MB of 2^20 bytes. */
export function megabytes(bytes) {
  return `${Math.round(bytes / 2 ** 20).toLocaleString("en")} MB`;
}
