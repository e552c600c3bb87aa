// Makes the pages nicer: times in the reader's zone, a button that copies a key, no key left in a page that was left, and forms
// that are sent once.
// Everything else works without it.
"use strict";

const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
// Whole days are days in UTC, wherever the reader is.
const date = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", timeZone: "UTC" });
const short = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

function ago(moment) {
  const seconds = Math.round((moment - Date.now()) / 1000);
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? ["second", 1];
  return relative.format(Math.trunc(seconds / size), unit);
}

/** A use is known to the minute, and some seconds late. */
function used(moment) {
  const minutes = (Date.now() - moment) / 60_000;
  if (minutes < 2) return "now";
  return minutes < 48 * 60 ? ago(moment) : day.format(moment);
}

function showTimes() {
  for (const time of document.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    if (Number.isNaN(moment.getTime())) continue;
    const form = { ago, used, clock: clock.format, date: date.format, day: day.format }[time.dataset.form] ?? short.format;
    time.textContent = form(moment);
    time.title = `${exact.format(moment)} (${time.dateTime})`;
  }
}

function selectAll(element) {
  const range = document.createRange();
  range.selectNodeContents(element);
  const selection = getSelection();
  selection.removeAllRanges();
  selection.addRange(range);
}

function offerCopy(button) {
  const source = document.getElementById(button.dataset.copy);
  const told = document.querySelector("[data-copied]");
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(source.textContent);
      button.textContent = "Copied";
      told.textContent = "The key is in your clipboard. Put it where your server reads it from.";
    } catch {
      selectAll(source);
      told.textContent = "The browser does not allow copying here. The key is selected: press Ctrl+C or ⌘C.";
    }
  });
}

showTimes();
document.querySelectorAll("button[data-copy]").forEach(offerCopy);

// Where the pages are meant to come by TLS. Browsers treat their own machine as if it did.
const withoutTls = document.querySelector("[data-without-tls]");
if (withoutTls) withoutTls.hidden = isSecureContext;

// A page that the browser keeps for the back button must not keep the key.
if (document.querySelector("[data-secret]")) {
  addEventListener("pagehide", () => {
    document.getElementById("key").textContent = "no longer shown";
    document.querySelector("[data-copied]").textContent = "";
  });
}

// A second click while the first is under way is no second form. Who comes back to the page may send it again, and so may who has
// waited for longer than any answer takes: the first may have been stopped.
const PATIENCE_MS = 6000;
for (const form of document.querySelectorAll('form[method="post"]')) {
  const button = form.querySelector("button");
  const rest = () => {
    delete form.dataset.sent;
    button?.removeAttribute("aria-disabled");
  };
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) return event.preventDefault();
    form.dataset.sent = "true";
    button?.setAttribute("aria-disabled", "true");
    setTimeout(rest, PATIENCE_MS);
  });
  addEventListener("pageshow", rest);
}
