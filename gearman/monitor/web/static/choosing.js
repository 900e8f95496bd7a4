// Ticks all boxes of a table, and says how many are ticked.

export function chooseRows() {
  for (const form of document.querySelectorAll("form.bulk")) {
    const all = form.querySelector(".choose-all");
    if (!all) continue;
    all.hidden = false;
    const boxes = () => [...form.querySelectorAll("tbody input[name=target]")];

    function count() {
      const several = boxes();
      const chosen = several.filter((box) => box.checked).length;
      all.checked = chosen > 0 && chosen === several.length;
      all.indeterminate = chosen > 0 && chosen < several.length;
      form.querySelector(".chosen").textContent = chosen ? `${chosen} chosen` : "None chosen";
      for (const button of form.querySelectorAll("button[data-confirm]")) button.disabled = !chosen;
    }

    form.addEventListener("change", (event) => {
      if (event.target === all) boxes().forEach((box) => (box.checked = all.checked));
      count();
    });
    document.addEventListener("updated", count);
    count();
  }
}
