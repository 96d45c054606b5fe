// One key, one button: what a key does is what its button does, so that nothing works by key alone.
"use strict";
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const field = document.getElementById("why");
  if (event.target === field) {
    // Enter would press the first button of the form, which decides; here it only leaves the field
    if (event.key === "Escape" || (event.key === "Enter" && !event.isComposing)) {
      event.preventDefault();
      field.blur();
    }
    return;
  }
  const key = event.key === "ArrowRight" ? "Right" : event.key.toLowerCase();
  if (key === "w" && field) {
    event.preventDefault();
    field.focus();
    return;
  }
  const button = document.querySelector(`[data-key="${CSS.escape(key)}"]`);
  if (button && !button.disabled) {
    event.preventDefault();
    button.click();
  }
});
