// Live conversation: the answer appears as the server sends it; Enter sends, Shift+Enter breaks a
// line. Everything works without this file, only without the words appearing one after another.
"use strict";
(() => {
  const arriving = document.getElementById("arriving");
  if (arriving) {
    const words = document.getElementById("arriving-words");
    const source = new EventSource(arriving.dataset.from);
    let text = "";
    const leave = () => {
      source.close();
      arriving.setAttribute("aria-busy", "false");
      const then = arriving.dataset.then;
      // the same address with a fragment would not be loaded again
      if (location.pathname + location.search === then) location.reload();
      else location.replace(then + "#talk");
    };
    source.onmessage = (event) => {
      text += JSON.parse(event.data).text;
      words.textContent = text;
      words.scrollIntoView({ block: "nearest" });
    };
    source.addEventListener("done", () => setTimeout(leave, 400));
    source.addEventListener("silent", leave);
  }
  const form = document.getElementById("saying");
  if (!form) return;
  form.querySelector("textarea").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
  form.addEventListener("submit", () => {
    const button = form.querySelector("button.primary");
    setTimeout(() => { button.disabled = true; }, 0);
    setTimeout(() => { button.disabled = false; }, 8000);
  });
})();
