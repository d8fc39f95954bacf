// Runs once when the page opens. What the server needs no part in stands here.
() => {
  const box = () => document.querySelector("#question textarea");
  const shown = (selector) => [...document.querySelectorAll(selector)].filter((element) => element.getClientRects().length);
  let stoppedAt = -Infinity;

  window.nanochat = {
    // Hand a text to the reader as a file.
    save(name, text) {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
      link.download = name;
      link.click();
      URL.revokeObjectURL(link.href);
    },
    // Let the next question be typed at once. On a touch screen this would open the keyboard over the answer.
    focus() {
      if (matchMedia("(pointer: fine)").matches) box().focus();
    },
    // Called before each submission: what begins with a slash may be a command.
    typed() {
      stoppedAt = -Infinity;
      const text = box().value;
      const kind = text.startsWith("/") ? "command" : "message";
      document.dispatchEvent(new CustomEvent(`nanochat:${kind}`, { detail: text }));
    },
    // Gradio tells a failed answer and a stopped one by the same event; only here is it known which it was.
    stopped() {
      stoppedAt = performance.now();
    },
    wasStopped: () => performance.now() - stoppedAt < 3000,
  };

  // Keys: each works where it has no other meaning, and none is a bare letter, which screen readers use themselves.
  const keys = {
    stop(event) {
      const button = shown("#question .stop-button")[0];
      if (event.key !== "Escape" || event.shiftKey || !button || isElsewhere(event.target)) return false;
      button.click();
      return true;
    },
    focus(event) {
      if (event.key !== "Escape" || !event.shiftKey) return false;
      box().focus();
      return true;
    },
    fresh(event) {
      const button = shown("#chat button.primary")[0];
      if (event.code !== "KeyO" || !event.shiftKey || !(event.ctrlKey || event.metaKey) || !button) return false;
      button.click();
      window.nanochat.focus();
      return true;
    },
    edit(event) {
      const button = shown("#conversation .user-row + .message-buttons-right button[title=Edit]").pop();
      if (event.key !== "ArrowUp" || event.target !== box() || box().value || !button) return false;
      button.click();
      requestAnimationFrame(() => document.querySelector("#conversation .user-row textarea")?.focus());
      return true;
    },
  };
  const isElsewhere = (target) => target !== box() && target.matches("input, textarea, select, [contenteditable=true]");
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || event.altKey) return;
    if (Object.values(keys).some((key) => key(event))) event.preventDefault();
  });

  // Inside's slider asks about the token that is shown, whatever was clicked last; see `ask` in inspector.js.
  for (const moved of ["input", "click"]) {
    document.addEventListener(
      moved,
      (event) => {
        if (event.target.closest("#inside-temperature")) document.nanochatAsked = null;
      },
      true,
    );
  }

  // Gradio opens every panel of an answer for editing too; only the model's words are the reader's to change.
  document.addEventListener(
    "click",
    (event) => {
      if (!event.target.closest("#conversation button[title=Edit]")) return;
      for (const message of document.querySelectorAll("#conversation .bot.message > .message")) {
        message.dataset.panel = message.querySelector(".thought-group") !== null;
      }
    },
    true,
  );
}
