// Both pages. The service's address stands in the forms' `action`, and in the Content-Security-Policy of each page.
"use strict";

const outcome = document.getElementById("status");

// Says something to everybody: it is shown, read out by screen readers, and gets the focus where the form is gone.
function say(sentence, { focus = false } = {}) {
  outcome.textContent = sentence;
  if (focus) outcome.focus();
}

// Sends JSON and returns the answer's status, body and Retry-After. Never throws: no answer at all has status 0.
async function send(method, url, fields) {
  const request = { method, headers: { Accept: "application/json" }, credentials: "omit", referrerPolicy: "no-referrer" };
  if (fields) {
    request.headers["Content-Type"] = "application/json";
    request.body = JSON.stringify(fields);
  }
  try {
    const answer = await fetch(url, request);
    const body = await answer.json().catch(() => ({}));
    return { status: answer.status, body, retryAfter: Number(answer.headers.get("Retry-After")) };
  } catch {
    return { status: 0, body: {}, retryAfter: 0 };
  }
}

// What to say where neither the person nor the link is at fault.
function sentenceFor({ status: code, body, retryAfter }) {
  if (code === 0) return "The service cannot be reached. Look at your connection and try again.";
  const when = retryAfter ? ` Try again in ${retryAfter} seconds.` : "";
  return `${body.detail ?? "Something went wrong."}${when}`;
}

// Marks a field as wrong, says why, and puts the cursor there; no sentences: it is fine again.
function showErrors(field, sentences) {
  const place = document.getElementById(`${field.id}-error`);
  place.replaceChildren(
    ...sentences.map((sentence) => Object.assign(document.createElement("p"), { textContent: sentence })),
  );
  if (sentences.length) {
    field.setAttribute("aria-invalid", "true");
    field.focus();
  } else {
    field.removeAttribute("aria-invalid");
  }
}

// Runs `work` for a submit, once at a time. aria-disabled, not disabled: the button keeps the focus.
function onSubmit(form, work) {
  const button = form.querySelector("button[type=submit]");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    say("");
    try {
      await work();
    } finally {
      button.removeAttribute("aria-disabled");
    }
  });
}

// --- index.html: ask for a link. ---

function askPage(form) {
  const email = document.getElementById("email");
  onSubmit(form, async () => {
    showErrors(email, []);
    const answer = await send("POST", form.action, { email: email.value, locale: navigator.language });
    if (answer.status === 200) {
      form.hidden = true;
      // Exactly so: whether there is an account is told to nobody, this page included.
      say("If there is an account for that address, an email with a link is on its way.", { focus: true });
    } else if (answer.status === 400) {
      showErrors(email, [answer.body.detail]);
    } else {
      say(sentenceFor(answer), { focus: true });
    }
  });
}

// --- reset.html: choose a new password. ---

function takeToken() {
  const token = decodeURIComponent(location.hash.slice(1)) || new URLSearchParams(location.search).get("token") || "";
  // Out of the address bar, so that neither a glance, a screenshot nor the history gives it away.
  history.replaceState(null, "", location.pathname);
  return token;
}

async function resetPage(form) {
  const link = form.action + encodeURIComponent(takeToken());
  const password = document.getElementById("password");

  const linkIsDead = () => {
    form.hidden = true;
    say("This link no longer works. It may have been used already, or be too old.", { focus: true });
    document.getElementById("again").hidden = false;
  };

  document.getElementById("show").addEventListener("change", (event) => {
    password.type = event.target.checked ? "text" : "password";
  });

  onSubmit(form, async () => {
    showErrors(password, []);
    const answer = await send("POST", link, { password: password.value });
    if (answer.status === 200) {
      form.hidden = true;
      password.value = "";
      say("Your password was changed. Sign in with the new one.", { focus: true });
    } else if (answer.status === 410) {
      linkIsDead();
    } else if (answer.status === 422) {
      showErrors(password, answer.body.reasons.map((reason) => reason.detail));
    } else {
      say(sentenceFor(answer), { focus: true });
    }
  });

  // Look first: nobody should think up a password for a link that is dead. Looking uses nothing up.
  const looked = await send("GET", link);
  if (looked.status === 200) {
    document.getElementById("min-length").textContent = looked.body.password.min_length;
    form.hidden = false;
  } else if (looked.status === 410 || looked.status === 404) {
    linkIsDead();
  } else {
    say(sentenceFor(looked), { focus: true });
  }
}

const ask = document.getElementById("ask");
const reset = document.getElementById("reset");
if (ask) askPage(ask);
if (reset) resetPage(reset);
