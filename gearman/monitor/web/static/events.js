// Shows what happens on servers, newest first.
import { stream } from "./stream.js";

// Rows that are kept, and milliseconds between two changes of the table.
const MOST = 300;
const PAUSE = 250;

export function followEvents() {
  for (const list of document.querySelectorAll("[data-events]")) follow(list);
}

function follow(list) {
  const table = list.querySelector("table");
  const told = list.querySelector(".told");
  const button = list.querySelector(".pause");
  const wanted = list.dataset.handle;
  let waiting = [];
  let count = 0;
  let paused = false;
  let status = "";
  const problems = new Map();

  function say(text) {
    status = text;
    const all = [text, ...[...problems].map(([server, reason]) => `${server}: ${reason}.`)];
    const now = all.filter(Boolean).join(" ");
    if (told.textContent !== now) told.textContent = now;
  }

  function take(event) {
    if (event.event === "watching") {
      problems.delete(event.server);
      say(count ? status : "Nothing has happened since this page was opened.");
    } else if (event.event === "unwatched") {
      problems.set(event.server, event.reason);
      say(status);
    } else if (event.event === "left_out" || !wanted || text(event.handle) === wanted) {
      waiting.push(event);
      if (waiting.length > MOST) waiting.shift();
    }
  }

  function show() {
    if (paused || !waiting.length) return;
    const body = table.tBodies[0];
    count += waiting.length;
    body.prepend(...waiting.reverse().map(row));
    waiting = [];
    while (body.rows.length > MOST) body.deleteRow(-1);
    table.hidden = false;
    say("");
  }

  button.hidden = false;
  button.addEventListener("click", () => {
    paused = !paused;
    button.setAttribute("aria-pressed", String(paused));
    button.textContent = paused ? "Go on" : "Pause";
  });
  setInterval(show, PAUSE);
  say("Listening for what happens.");
  stream(list.dataset.events, "event", take, (state) => {
    if (state === "lost") say("The monitor does not answer; it is asked again.");
    else if (count) say("");
  });
}

function row(event) {
  const cells = [
    ["Time", new Date(event.time * 1000).toLocaleTimeString("en-GB")],
    ["Event", (event.event || "").replaceAll("_", " ")],
    ["Function", link(event.function, (name) => `/function?function=${name}`)],
    ["Job or worker", event.handle ? link(event.handle, (name) => `/job?server=${encodeURIComponent(event.server)}&handle=${name}`) : who(event.worker)],
    ["Server", event.server],
    ["More", more(event)],
  ];
  const found = document.createElement("tr");
  for (const [label, value] of cells) {
    const cell = found.insertCell();
    cell.dataset.label = label;
    if (value) cell.append(value);
  }
  return found;
}

function link(value, address) {
  if (value === undefined) return "";
  const found = document.createElement("a");
  found.className = "name";
  found.href = address(escaped(value));
  found.textContent = text(value);
  return found;
}

// A value is a text, or {"base64": "..."} of bytes that are no UTF-8.
function text(value) {
  if (value === undefined || value === null) return "";
  if (typeof value === "string") return value.replace(/[\x00-\x1f\x7f-\x9f]/g, hex);
  return [...atob(value.base64)].map((each) => (/[ -~]/.test(each) ? each : hex(each))).join("");
}

function hex(letter) {
  return `\\x${letter.charCodeAt(0).toString(16).padStart(2, "0")}`;
}

function escaped(value) {
  if (typeof value === "string") return encodeURIComponent(value);
  return [...atob(value.base64)].map((each) => `%${each.charCodeAt(0).toString(16).padStart(2, "0")}`).join("");
}

function who(worker) {
  if (!worker) return "";
  const id = text(worker.id);
  return id && id !== "-" ? `${id} (${worker.address})` : worker.address;
}

function more(event) {
  const parts = [];
  if (event.count !== undefined) parts.push(`${event.count} events were left out`);
  if (event.waited !== undefined) parts.push(`waited ${seconds(event.waited)}`);
  if (event.ran !== undefined) parts.push(`ran ${seconds(event.ran)}`);
  if (event.reason) parts.push(text(event.reason));
  if (event.handle && event.worker) parts.push(`at ${who(event.worker)}`);
  return parts.join(", ");
}

function seconds(value) {
  return value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(1)} s`;
}
