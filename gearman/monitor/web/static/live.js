// Reads the page again when servers were read, and puts what has changed into place.
import { stream } from "./stream.js";
import { update } from "./update.js";

// Milliseconds between two readings of the page, at least.
const SHORTEST = 2000;
// So often as the time that one takes, on a slow machine.
const SHARE = 5;

export function keepCurrent() {
  if (!document.querySelector("[data-live]")) return;
  const connection = document.getElementById("connection");
  let last = performance.now();
  let took = 0;
  let timer = null;

  function plan() {
    if (timer !== null || document.hidden) return;
    const rest = Math.max(SHORTEST, took * SHARE) - (performance.now() - last);
    timer = setTimeout(async () => {
      await again();
      timer = null;
    }, Math.max(rest, 0));
  }

  async function again() {
    // Somebody answers a question.
    if (document.querySelector("dialog[open]")) return;
    const began = performance.now();
    try {
      const answer = await fetch(location.href.split("#")[0], { cache: "no-store" });
      if (answer.redirected && new URL(answer.url).pathname === "/login") {
        location.reload();
        return;
      }
      if (answer.ok || answer.status === 404) put(await answer.text());
      connection.hidden = true;
    } catch {
      connection.hidden = false;
    }
    last = performance.now();
    took = last - began;
  }

  stream("/api/live", "reading", plan, (state) => {
    connection.hidden = state === "open";
  });
}

function put(text) {
  const page = new DOMParser().parseFromString(text, "text/html");
  const parts = [...page.querySelectorAll("[data-live]")];
  // There is more than before, as when a function comes into being.
  if (parts.some((part) => !document.getElementById(part.id)) && !isBusy()) {
    location.reload();
    return;
  }
  for (const part of document.querySelectorAll("[data-live]")) {
    const other = part.id && page.getElementById(part.id);
    if (other) update(part, other);
  }
  document.dispatchEvent(new CustomEvent("updated"));
}

// Whether somebody types.
function isBusy() {
  return document.activeElement.matches("input, textarea, select");
}
