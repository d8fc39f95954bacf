// Runs in each drawing of the inspector that has buttons. A group of buttons is one stop for the Tab key; arrow keys
// move within it. What a button stands for is in its data attributes, which are all that the server is told.
const buttons = () => [...element.querySelectorAll("button[tabindex]")];
const keyOf = (button) => JSON.stringify(button.dataset);
let focused = null;

element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) trigger("click", { ...button.dataset });
});

element.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  const all = buttons();
  const place = all.indexOf(event.target);
  const target = event.key === "Home" ? 0 : event.key === "End" ? all.length - 1 : step ? place + step : -1;
  if (place < 0 || target < 0 || target >= all.length) return;
  event.preventDefault();
  all[place].tabIndex = -1;
  all[target].tabIndex = 0;
  all[target].focus();
});

element.addEventListener("focusin", (event) => {
  focused = event.target.matches("button[tabindex]") ? keyOf(event.target) : null;
});
element.addEventListener("focusout", (event) => {
  if (event.relatedTarget) focused = null;
});

// A new drawing replaces the buttons: whoever stood on one stands on its successor.
watch("value", () => {
  const successor = focused && buttons().find((button) => keyOf(button) === focused);
  if (!successor) return;
  for (const button of buttons()) button.tabIndex = button === successor ? 0 : -1;
  successor.focus({ preventScroll: true });
});
