// In every document, before its own scripts: keeps in sessionStorage, which the next page of the tab can read, when the
// click was and what the browser's Event Timing API tells of it.
(() => {
  if (!location.protocol.startsWith("http")) return;
  const PAGE = "bench-page", CLICK = "bench-click", EVENTS = "bench-events";
  const page = Number(sessionStorage.getItem(PAGE) ?? 0) + 1;
  sessionStorage.setItem(PAGE, page);

  const keep = (entries) => {
    const kept = JSON.parse(sessionStorage.getItem(EVENTS) ?? "[]");
    for (const entry of entries) {
      kept.push({ page, kind: entry.entryType, name: entry.name, duration: entry.duration, interaction: entry.interactionId });
    }
    sessionStorage.setItem(EVENTS, JSON.stringify(kept));
  };
  const observer = new PerformanceObserver((list) => keep(list.getEntries()));
  observer.observe({ type: "event", durationThreshold: 16, buffered: true });
  observer.observe({ type: "first-input", buffered: true });
  addEventListener("pagehide", () => keep(observer.takeRecords()));

  // A heading that a script of the page puts there after the click is the confirmation, too.
  new MutationObserver(() => {
    if (sessionStorage.getItem(CLICK) === null) return;
    for (const heading of document.querySelectorAll("h1:not([elementtiming])")) heading.setAttribute("elementtiming", "confirmation");
  }).observe(document, { childList: true, subtree: true });

  // The system's time of the click, on a clock that both pages share.
  addEventListener("click", (event) => {
    sessionStorage.setItem(CLICK, performance.timeOrigin + event.timeStamp);
  }, { capture: true });

  // Resolves as soon as the confirmation is on the screen: the first paint of the page that has it, or, for a form that a
  // script sends, the paint of the element that it put there.
  const painted = new Promise((resolve) => {
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) {
        if (entry.entryType === "element" ? entry.identifier === "confirmation" : page === 2 && entry.name === "first-contentful-paint") {
          resolve(performance.timeOrigin + entry.startTime);
        }
      }
    }).observe({ entryTypes: ["paint", "element"] });
  });

  window.benchSeen = async () => {
    const at = await painted;
    // Two more frames: the observer's turn comes after the paint.
    for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
    await new Promise((resolve) => setTimeout(resolve, 100));
    keep(observer.takeRecords());
    const request = performance.getEntriesByType("resource").findLast((entry) => ["fetch", "xmlhttprequest"].includes(entry.initiatorType))
      ?? performance.getEntriesByType("navigation")[0];
    const click = Number(sessionStorage.getItem(CLICK));
    return {
      painted: at - click,
      answered: performance.timeOrigin + request.responseEnd - click,
      server: request.responseStart - request.requestStart,
      events: JSON.parse(sessionStorage.getItem(EVENTS) ?? "[]"),
    };
  };

  // Has a script send the form, whatever the page itself would do: "fetch", or "blocking" by a synchronous XMLHttpRequest.
  window.benchSendBy = (how) => {
    const form = document.querySelector("form");
    const confirm = () => {
      const heading = document.createElement("h1");
      heading.setAttribute("elementtiming", "confirmation");
      heading.textContent = "Look into your inbox";
      form.replaceWith(heading);
    };
    addEventListener("submit", async (event) => {
      event.preventDefault();
      event.stopImmediatePropagation();
      const body = new URLSearchParams(new FormData(form));
      form.querySelector("button").disabled = true;
      if (how === "fetch") {
        const answer = await fetch(form.action, { method: "POST", body });
        await answer.text();
        if (answer.ok) confirm();
      } else {
        const request = new XMLHttpRequest();
        request.open("POST", form.action, false);
        request.send(body);
        if (request.status === 200) confirm();
      }
    }, { capture: true });
  };
})();
