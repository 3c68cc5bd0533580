// Takes the token out of the address bar once the page is open, so that neither a glance, a screenshot nor the history
// gives the link away. The forms on the page keep it.
// On the answer to a form, it makes going back or loading again show the first page: otherwise the browser asks whether
// to send the form once more, or shows a page of its own that looks like an error.
"use strict";

history.replaceState(null, "", document.currentScript.dataset.address);
