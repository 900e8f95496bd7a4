// Makes an element like another one, and keeps what is there: focus, selection, boxes
// that were ticked, and what was typed.

// The browser or the reader sets these.
const OURS = new Set(["open", "hidden", "value", "checked"]);

export function update(old, wanted) {
  if (old.isEqualNode(wanted)) return;
  attributes(old, wanted);
  // A row under the pointer stays where it is.
  const still = old.matches("tbody") && old.matches(":hover, :focus-within");
  const rows = keyed(old);
  if (rows.size) {
    byKey(old, wanted, rows, still);
  } else {
    inOrder(old, wanted);
  }
}

function attributes(old, wanted) {
  for (const { name } of [...old.attributes]) {
    if (!wanted.hasAttribute(name) && !OURS.has(name)) old.removeAttribute(name);
  }
  for (const { name, value } of wanted.attributes) {
    if (old.getAttribute(name) !== value && !OURS.has(name)) old.setAttribute(name, value);
  }
}

function keyed(parent) {
  const found = new Map();
  for (const child of parent.children) {
    if (child.dataset && child.dataset.key !== undefined) found.set(child.dataset.key, child);
  }
  return found;
}

function byKey(old, wanted, rows, still) {
  const left = new Map(rows);
  let before = null;
  for (const child of [...wanted.children]) {
    let row = left.get(child.dataset.key);
    if (row) {
      left.delete(child.dataset.key);
      update(row, child);
    } else {
      row = document.importNode(child, true);
      old.append(row);
    }
    if (!still) {
      const place = before ? before.nextElementSibling : old.firstElementChild;
      if (place !== row) old.insertBefore(row, place);
    }
    before = row;
  }
  for (const row of left.values()) row.remove();
}

function inOrder(old, wanted) {
  const there = [...old.childNodes];
  const coming = [...wanted.childNodes];
  coming.forEach((child, place) => {
    const now = there[place];
    if (!now) {
      old.append(document.importNode(child, true));
    } else if (now.nodeType !== child.nodeType || now.nodeName !== child.nodeName) {
      now.replaceWith(document.importNode(child, true));
    } else if (now.nodeType === Node.ELEMENT_NODE) {
      update(now, child);
    } else if (now.nodeValue !== child.nodeValue) {
      now.nodeValue = child.nodeValue;
    }
  });
  there.slice(coming.length).forEach((child) => child.remove());
}
