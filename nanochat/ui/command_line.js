// The line below the message box: told of commands by page.js, it asks the server to follow them. What it then says is
// read out by screen readers, since it is a live region from the beginning.
element.setAttribute("role", "status");
document.addEventListener("nanochat:command", (event) => trigger("submit", { text: event.detail }));
document.addEventListener("nanochat:message", () => {
  if (props.value) props.value = "";
});
