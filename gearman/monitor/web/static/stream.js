// A stream of server-sent events that rests while nobody can see the page.

export function stream(address, kind, take, tell = () => {}) {
  let source = null;

  function begin() {
    if (source || document.hidden) return;
    source = new EventSource(address);
    source.addEventListener(kind, (event) => take(JSON.parse(event.data)));
    source.addEventListener("open", () => tell("open"));
    source.addEventListener("error", () => {
      tell("lost");
      // A browser gives up after an answer that is no stream.
      if (source && source.readyState === EventSource.CLOSED) {
        source = null;
        setTimeout(begin, 3000);
      }
    });
  }

  function end() {
    if (source) source.close();
    source = null;
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? end() : begin()));
  window.addEventListener("pagehide", end);
  window.addEventListener("pageshow", begin);
  begin();
  return { begin, end };
}
