// Runs once when the page opens. What the server needs no part in stands here.
() => {
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
      if (matchMedia("(pointer: fine)").matches) document.querySelector("#question textarea").focus();
    },
  };
}
