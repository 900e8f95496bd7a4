// Asks in a dialog what the server would otherwise ask on a page of its own.

export function confirmForms() {
  const dialog = document.getElementById("confirm");
  if (!dialog) return;
  let waiting = null;

  document.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (event.target.method === "dialog" || !button || !button.dataset.confirm) return;
    event.preventDefault();
    const chosen = event.target.querySelectorAll("tbody input[name=target]:checked").length;
    const jobs = chosen === 1 ? "1 job" : `${chosen} jobs`;
    if (button.dataset.confirm.includes("%n") && !chosen) return;
    document.getElementById("confirm-text").textContent = button.dataset.confirm.replace("%n", () => jobs);
    document.getElementById("confirm-yes").textContent = button.dataset.yes || button.textContent;
    waiting = { form: event.target, button };
    dialog.returnValue = "no";
    dialog.showModal();
  });

  dialog.addEventListener("close", () => {
    const { form, button } = waiting;
    waiting = null;
    if (dialog.returnValue !== "yes") {
      button.focus();
      return;
    }
    for (const [name, value] of [["confirm", "yes"], [button.name, button.value]]) {
      const field = document.createElement("input");
      Object.assign(field, { type: "hidden", name, value });
      form.append(field);
    }
    form.submit();
  });
}
