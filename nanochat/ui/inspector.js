// Runs in each drawing of the inspector that has buttons. A group of buttons is one stop for the Tab key; arrow keys
// move within it. What a button stands for is in its data attributes, which are all that the server is told.
const buttons = () => [...element.querySelectorAll("[role=toolbar] button")];
const keyOf = (button) => JSON.stringify(button.dataset);
const answerOf = (button) => button.closest("[data-answer]")?.dataset.answer;
let focused = null;

const stopAt = (target) => {
  for (const button of target.closest("[role=toolbar]").querySelectorAll("button")) {
    button.tabIndex = button === target ? 0 : -1;
  }
};

// The pressed token is the reader's alone: kept here, since a drawing on its way knows nothing of the latest click.
const press = () => {
  const pressed = document.nanochatPressed;
  for (const button of document.querySelectorAll("[data-answer] button")) {
    const is = pressed && pressed.answer === answerOf(button) && pressed.place === button.dataset.place;
    button.setAttribute("aria-pressed", is ? "true" : "false");
    button.classList.toggle("looking", Boolean(is && pressed.looking));
    if (is) stopAt(button);
  }
};

// The server asks for this when it is about to look, which may be after the next click: the latest one counts.
const ask = (carried) => {
  document.nanochatAsked = carried;
  trigger("click", carried);
};

element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.closest("[role=toolbar]")) stopAt(button);
  if (answerOf(button)) {
    const early = Boolean(element.closest("#inside-tokens") && !button.closest("[data-ended]"));
    document.nanochatPressed = { answer: answerOf(button), place: button.dataset.place, looking: true, early };
    press();
  }
  ask({ ...button.dataset });
});

// A token that was clicked while its answer was written is asked for again at its end: only then can the answer go on
// with another one in its place.
const completed = () => {
  const pressed = document.nanochatPressed;
  const ended = element.querySelector("[data-ended]");
  if (!pressed?.early || ended?.dataset.answer !== pressed.answer) return;
  Object.assign(pressed, { early: false, looking: true });
  ask({ place: pressed.place });
};

element.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  const all = buttons();
  const place = all.indexOf(event.target);
  const target = event.key === "Home" ? 0 : event.key === "End" ? all.length - 1 : step ? place + step : -1;
  if (place < 0 || target < 0 || target >= all.length) return;
  event.preventDefault();
  stopAt(all[target]);
  all[target].focus();
});

element.addEventListener("focusin", (event) => {
  focused = event.target.closest("[role=toolbar] button") ? keyOf(event.target) : null;
});
element.addEventListener("focusout", (event) => {
  if (event.relatedTarget) focused = null;
});

// A new drawing replaces the buttons: whoever stood on one stands on its successor.
watch("value", () => {
  if (element.closest("#inside-choices") && document.nanochatPressed) document.nanochatPressed.looking = false;
  completed();
  press();
  const successor = focused && buttons().find((button) => keyOf(button) === focused);
  if (!successor) return;
  stopAt(successor);
  successor.focus({ preventScroll: true });
});
