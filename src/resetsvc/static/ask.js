// Sends the form without leaving the page, and puts what comes back in the place of what was there: going from one page
// to another is most of what a person waits for. Without JavaScript, and where anything is not as it should be, the
// browser sends the form as ever.
"use strict";

{
  const address = document.currentScript.dataset.address;

  function watch() {
    for (const form of document.forms) form.addEventListener("submit", send);
  }

  async function send(event) {
    const form = event.currentTarget;
    event.preventDefault();
    if (form.ariaBusy === "true") return; // a second click
    form.ariaBusy = "true";
    let text;
    try {
      const answer = await fetch(form.action, {
        method: "POST",
        body: new URLSearchParams(new FormData(form)),
        headers: { Accept: "text/html" },
        redirect: "error",
      });
      text = await answer.text();
    } catch {
      form.submit();
      return;
    }
    show(text);
  }

  function show(text) {
    const page = new DOMParser().parseFromString(text, "text/html");
    const [before, after] = [document, page].map((one) => one.querySelector("main"));
    // Back leads to where the form was, as it would from a page of its own.
    history.pushState(null, "", address);
    document.title = page.title;
    if (before && after) before.replaceWith(after);
    else document.documentElement.replaceWith(page.documentElement); // a template of somebody's own
    scrollTo(0, 0);
    // A new page would be read out from its beginning.
    const start = document.querySelector("[autofocus]") ?? document.querySelector("h1");
    if (start?.tagName === "H1") start.tabIndex = -1;
    start?.focus({ preventScroll: true });
    watch();
  }

  addEventListener("popstate", () => location.reload());
  // From another page back to this one, as the browser has kept it: the form can be sent again.
  addEventListener("pageshow", () => {
    for (const form of document.forms) form.ariaBusy = null;
  });
  watch();
}
