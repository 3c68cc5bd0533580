// Makes the mailbox update by itself, and shows times as this machine's clock has them. The page works without it.

const PAUSE_MS = 200; // between two loads of the list, so that a flood of mails does not keep the browser busy

const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const long = new Intl.DateTimeFormat(undefined, { dateStyle: "long", timeStyle: "medium" });

function showLocalTimes(part) {
  const today = new Date().toDateString();
  for (const element of part.querySelectorAll("time")) {
    const at = new Date(element.dateTime);
    const short = at.toDateString() === today ? clock.format(at) : day.format(at);
    element.textContent = "long" in element.dataset ? long.format(at) : short;
    element.title = element.dateTime;
  }
}

const mails = document.getElementById("mails");
const main = document.getElementById("mail");

async function loadList() {
  const response = await fetch(location.href, { cache: "no-store" });
  if (response.status === 404 && !main.querySelector(".hint")) {
    location.assign("/"); // the mail that is open was deleted
    return;
  }
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const fresh = page.getElementById("mails");
  // Without a mail chosen, there is only a hint, and it depends on whether there are mails.
  if (location.pathname === "/") main.replaceChildren(...page.getElementById("mail").childNodes);
  showLocalTimes(fresh);
  const focused = mails.contains(document.activeElement) ? document.activeElement.id : "";
  const scrolled = mails.querySelector("#list").scrollTop;
  mails.querySelector("#list").replaceWith(fresh.querySelector("#list"));
  mails.querySelector("#list").scrollTop = scrolled;
  const form = fresh.querySelector("form");
  if (form && !mails.querySelector("form")) mails.querySelector(".bar").append(form);
  if (!form) mails.querySelector("form")?.remove();
  // The element stays, its text changes: that is what screen readers announce.
  mails.querySelector("#count").textContent = fresh.querySelector("#count").textContent;
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  mails.dataset.version = fresh.dataset.version;
}

let latest = mails.dataset.version;
let loading = false;

async function catchUp() {
  if (loading) return;
  loading = true;
  try {
    while (latest !== mails.dataset.version) {
      const wanted = latest;
      await loadList();
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      if (wanted === latest) break; // the list may be newer than the event: its own event is on the way
    }
  } catch {
    // The server is away. The event source connects again by itself, and says the version then.
  } finally {
    loading = false;
  }
}

let source = null;

function listen() {
  if (source || document.hidden) return;
  source = new EventSource("/events");
  source.onmessage = (event) => {
    latest = event.data;
    catchUp();
  };
}

// A browser opens six connections to one server: tabs out of sight must not hold them all.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    source?.close();
    source = null;
  } else {
    listen();
  }
});

mails.addEventListener("submit", (event) => {
  if (!confirm("Delete all caught mails?")) event.preventDefault();
});

mails.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const links = [...mails.querySelectorAll("#list a")];
  const here = links.indexOf(document.activeElement);
  if (!step || here < 0) return;
  event.preventDefault();
  links[here + step]?.focus();
});

showLocalTimes(document);
mails.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
listen();
