// Takes the token out of the address bar once the page is open, so that neither a glance, a screenshot nor the history
// gives the link away. The forms on the page keep it.
"use strict";

history.replaceState(null, "", document.currentScript.dataset.address);
