// Keys on the judging page: 1-5 choose in the current question and go on to the next; Enter submits.
// Everything works without this file.
"use strict";
(() => {
  const form = document.getElementById("judgment");
  if (!form) return;
  const groups = Array.from(form.querySelectorAll("fieldset")).filter(
    (group) => group.querySelector(":scope > .options input[type=radio]")
  );
  const radios = (group) => Array.from(group.querySelectorAll(":scope > .options input[type=radio]"));
  const answered = (group) => radios(group).some((radio) => radio.checked);
  const current = () =>
    groups.find((group) => group.contains(document.activeElement)) ||
    groups.find((group) => !answered(group)) || groups[0];
  const focus = (group) => (radios(group).find((radio) => radio.checked) || radios(group)[0]).focus();
  const problems = document.querySelector(".problems");
  if (problems) problems.focus();
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const target = event.target;
    if (target.matches("textarea, select, input[type=text]")) return;
    if (/^[1-9]$/.test(event.key)) {
      const group = current();
      const radio = radios(group)[Number(event.key) - 1];
      if (!radio) return;
      event.preventDefault();
      radio.checked = true;
      radio.dispatchEvent(new Event("change", { bubbles: true }));
      const reasons = group.querySelector(".why");
      if (reasons && getComputedStyle(reasons).display !== "none") {
        reasons.querySelector("input").focus();
        return;
      }
      const next = groups.slice(groups.indexOf(group) + 1).find((other) => !answered(other));
      if (next) focus(next);
      else form.querySelector("button.primary").focus();
    } else if (event.key === "Enter" && !target.matches("button, a, summary")) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  form.addEventListener("submit", () => {
    const button = form.querySelector("button.primary");
    setTimeout(() => { button.disabled = true; }, 0);
    setTimeout(() => { button.disabled = false; }, 8000);
  });
})();
