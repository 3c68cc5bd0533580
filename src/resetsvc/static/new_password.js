// What the new-password page can do better with JavaScript: show the password, count it while it is typed, and
// submit it only once. Without JavaScript the page works just as well.
"use strict";

const form = document.getElementById("new-password");
const field = document.getElementById("password");
const announcement = document.getElementById("announcement");

let announceLater = 0;

function announce(sentence) {
  clearTimeout(announceLater);
  if (announcement.textContent !== sentence) announcement.textContent = sentence;
}

function announceAfterAPause(sentence) {
  clearTimeout(announceLater);
  announceLater = setTimeout(announce, 1500, sentence);
}

// --- Show and hide. ---

const reveal = document.getElementById("reveal");

function setVisible(visible) {
  const { selectionStart, selectionEnd } = field;
  field.type = visible ? "text" : "password";
  // Some browsers put the caret at the start when the type changes.
  if (document.activeElement === field) field.setSelectionRange(selectionStart, selectionEnd);
  reveal.textContent = visible ? reveal.dataset.hide : reveal.dataset.show;
  reveal.setAttribute("aria-label", visible ? reveal.dataset.hideLabel : reveal.dataset.showLabel);
}

reveal.addEventListener("click", () => {
  const visible = field.type === "password";
  setVisible(visible);
  announce(visible ? form.dataset.visible : form.dataset.hidden);
});

setVisible(false);
reveal.hidden = false;

// --- The length, as the server counts it: Unicode characters after NFC, not UTF-16 units. ---

const meter = document.getElementById("length");
const bar = document.getElementById("length-bar");
const text = document.getElementById("length-text");
const min = Number(form.dataset.min);
const max = Number(form.dataset.max);

let lastVerdict = "";

function showLength() {
  const count = [...field.value.normalize("NFC")].length;
  const verdict = count === 0 ? "" : count < min ? "tooShort" : count > max ? "tooLong" : "longEnough";
  const sentence = verdict && form.dataset[verdict].replace("{count}", String(count));

  meter.hidden = count === 0;
  meter.dataset.verdict = verdict;
  bar.style.transform = `scaleX(${Math.min(1, count / min)})`;
  text.textContent = sentence;

  // A screen reader is told when the verdict turns, and otherwise only once the typing pauses.
  const turned = lastVerdict !== "" && verdict !== lastVerdict;
  lastVerdict = verdict;
  if (turned) announce(sentence);
  else announceAfterAPause(sentence);
}

field.addEventListener("input", showLength);
if (field.value) showLength(); // Some browsers fill in what was typed before a reload.

// --- Submit once. aria-disabled, not disabled: the button keeps the focus, and is still found. ---

const submit = document.getElementById("submit");
const submitText = submit.textContent;

form.addEventListener("submit", (event) => {
  if (submit.getAttribute("aria-disabled") === "true") {
    event.preventDefault();
    return;
  }
  setVisible(false); // So that no browser keeps the password among the things typed into text fields.
  submit.setAttribute("aria-disabled", "true");
  submit.textContent = form.dataset.busy;
  announce(form.dataset.busy);
});

// Back to this page from the next one, as it was left: the button works again.
window.addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  submit.removeAttribute("aria-disabled");
  submit.textContent = submitText;
  announce("");
});
