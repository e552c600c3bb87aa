// Makes the pages nicer: times in the reader's zone, a button that copies a key, and no key left in a page that was left.
// Everything else works without it.
"use strict";

const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const short = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

function ago(moment) {
  const seconds = Math.round((moment - Date.now()) / 1000);
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? ["second", 1];
  return relative.format(Math.trunc(seconds / size), unit);
}

function showTimes() {
  for (const time of document.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    if (Number.isNaN(moment.getTime())) continue;
    const form = { ago, day: day.format }[time.dataset.form] ?? short.format;
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

// A page that the browser keeps for the back button must not keep the key.
if (document.querySelector("[data-secret]")) {
  addEventListener("pagehide", () => {
    document.getElementById("key").textContent = "no longer shown";
    document.querySelector("[data-copied]").textContent = "";
  });
}
