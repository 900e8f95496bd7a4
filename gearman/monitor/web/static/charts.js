// Reads out the numbers of a chart under the pointer, or with the arrow keys.

export function readCharts() {
  const places = new WeakMap();

  function show(figure, place) {
    const data = JSON.parse(figure.dataset.chart);
    const count = Math.max(...data.lines.map((line) => line.values.length));
    if (!count) return;
    const chosen = Math.min(Math.max(place, 0), count - 1);
    places.set(figure, chosen);
    const svg = figure.querySelector("svg");
    const x = (chosen * svg.viewBox.baseVal.width) / Math.max(count - 1, 1);
    figure.querySelector(".cursor").setAttribute("d", `M${x.toFixed(1)} 0V${svg.viewBox.baseVal.height}`);
    const numbers = data.lines.map((line) => {
      const text = number(line.values[chosen], data.unit);
      return data.lines.length > 1 ? `${line.label} ${text}` : text;
    });
    const time = moment((data.start + chosen * data.step) * 1000, data.step * count);
    figure.querySelector(".readout").textContent = `${time}: ${numbers.join(", ")}`;
  }

  function hide(figure) {
    places.delete(figure);
    figure.querySelector(".cursor").setAttribute("d", "");
    figure.querySelector(".readout").textContent = "";
  }

  function count(figure) {
    return JSON.parse(figure.dataset.chart).lines[0].values.length;
  }

  document.addEventListener("pointermove", (event) => {
    const plot = event.target.closest && event.target.closest(".plot");
    for (const figure of document.querySelectorAll("figure.chart")) {
      if (plot && figure.contains(plot)) {
        const box = plot.getBoundingClientRect();
        const share = (event.clientX - box.left) / box.width;
        show(figure, Math.round(share * (count(figure) - 1)));
      } else if (places.has(figure) && !figure.contains(document.activeElement)) {
        hide(figure);
      }
    }
  });

  document.addEventListener("keydown", (event) => {
    const figure = event.target.closest && event.target.closest("figure.chart");
    const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
    if (!figure || !(event.key in steps)) return;
    event.preventDefault();
    const now = places.has(figure) ? places.get(figure) : count(figure);
    show(figure, Math.min(Math.max(now + steps[event.key], 0), count(figure) - 1));
  });

  document.addEventListener("focusout", (event) => {
    const figure = event.target.closest && event.target.closest("figure.chart");
    if (figure) hide(figure);
  });

  document.addEventListener("updated", () => {
    for (const figure of document.querySelectorAll("figure.chart")) {
      if (places.has(figure)) show(figure, places.get(figure));
    }
  });
}

function number(value, unit) {
  if (value === null || value === undefined) return "not read";
  if (unit !== "s") return value.toLocaleString("en", { maximumSignificantDigits: 3 }) + unit;
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  if (value < 60) return `${value.toFixed(1)} s`;
  return `${(value / 60).toFixed(1)} min`;
}

function moment(time, seconds) {
  const short = { hour: "2-digit", minute: "2-digit" };
  if (seconds <= 3600) short.second = "2-digit";
  if (seconds > 86400) Object.assign(short, { day: "numeric", month: "short" });
  return new Date(time).toLocaleString("en-GB", short);
}
