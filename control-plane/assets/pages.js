// Makes the pages nicer: times in the reader's zone, buttons that copy, no key left in a page that was left, forms that are sent once,
// questions in a dialog.
// Everything else works without it.
"use strict";

// The pages are in English, so their times are, too; the zone is the reader's.
const LANGUAGE = "en-GB";
const exact = new Intl.DateTimeFormat(LANGUAGE, { dateStyle: "full", timeStyle: "long" });
const day = new Intl.DateTimeFormat(LANGUAGE, { dateStyle: "medium" });
const clock = new Intl.DateTimeFormat(LANGUAGE, { timeStyle: "short" });
// Whole days are days in UTC, wherever the reader is.
const date = new Intl.DateTimeFormat(LANGUAGE, { day: "numeric", month: "short", timeZone: "UTC" });
const second = new Intl.DateTimeFormat(LANGUAGE, { dateStyle: "medium", timeStyle: "medium" });
const short = new Intl.DateTimeFormat(LANGUAGE, { dateStyle: "medium", timeStyle: "short" });
const deadline = new Intl.DateTimeFormat(LANGUAGE, { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
// Never "tomorrow": that is a day of the calendar, and this counts hours.
const relative = new Intl.RelativeTimeFormat(LANGUAGE, { numeric: "always" });
const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
/** Up to so many seconds, hours say more than days. */
const HOURS_UP_TO = 48 * 3600;

function ago(moment) {
  const seconds = Math.round((moment - Date.now()) / 1000);
  const fits = ([unit, size]) => Math.abs(seconds) >= size && (unit !== "day" || Math.abs(seconds) >= HOURS_UP_TO);
  const [unit, size] = UNITS.find(fits) ?? ["second", 1];
  return relative.format(Math.trunc(seconds / size), unit);
}

/** A use is known to the minute, and some seconds late. */
function used(moment) {
  const minutes = (Date.now() - moment) / 60_000;
  if (minutes < 2) return "now";
  return minutes < 48 * 60 ? ago(moment) : day.format(moment);
}

const FORMS = {
  ago,
  used,
  clock: clock.format,
  date: date.format,
  second: second.format,
  day: day.format,
  deadline: (moment) => `${short.format(moment)} (${ago(moment)})`,
  ends: (moment) => `${ago(moment)} · ${deadline.format(moment)}`,
};

function showTimes(root = document) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    if (Number.isNaN(moment.getTime())) continue;
    const text = (FORMS[time.dataset.form] ?? short.format)(moment);
    if (time.textContent !== text) time.textContent = text;
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

// A link that only the browser can make whole.
for (const link of document.querySelectorAll("[data-own-address]")) link.textContent = location.origin + link.textContent;

/** A button that copies what another element says. The one of a new key tells more. */
function offerCopy(button) {
  const source = document.getElementById(button.dataset.copy);
  const told = document.querySelector("[data-copied]");
  const words = button.textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(source.textContent);
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = words), 2000);
      if (told && source.id === "key") {
        told.textContent = "Copied: the key is in your clipboard. Store it in your secret manager, then clear your clipboard.";
        delete document.body.dataset.unsaved;
      }
    } catch {
      selectAll(source);
      if (told) told.textContent = "The browser does not allow copying here. It is selected: press Ctrl+C or ⌘C.";
    }
  });
}

// A second click while the first is under way is no second form. Who comes back to the page may send it again, and so may who has
// waited for longer than any answer takes: the first may have been stopped.
const PATIENCE_MS = 6000;

function sendOnce(form) {
  const button = form.querySelector("button:not([type=button])");
  const words = button?.textContent;
  const rest = () => {
    delete form.dataset.sent;
    button?.removeAttribute("aria-disabled");
    form.removeAttribute("aria-busy");
    if (button && form.dataset.pending) button.textContent = words;
  };
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) return event.preventDefault();
    form.dataset.sent = "true";
    delete document.body.dataset.unsaved;
    form.setAttribute("aria-busy", "true");
    button?.setAttribute("aria-disabled", "true");
    if (button && form.dataset.pending) button.textContent = form.dataset.pending;
    setTimeout(rest, PATIENCE_MS);
  });
  addEventListener("pageshow", rest);
}

/** Everything that a part of a page needs. */
function enhance(root) {
  showTimes(root);
  root.querySelectorAll("button[data-copy]").forEach(offerCopy);
  root.querySelectorAll('form[method="post"]').forEach(sendOnce);
}

enhance(document);
setInterval(showTimes, 30_000);

// Where the pages are meant to come by TLS. Browsers treat their own machine as if it did.
const withoutTls = document.querySelector("[data-without-tls]");
if (withoutTls) withoutTls.hidden = isSecureContext;

// A page that the browser keeps for the back button must not keep the key; and nobody is to leave it by accident.
if (document.querySelector("[data-secret]")) {
  document.body.dataset.unsaved = "true";
  addEventListener("pagehide", () => {
    document.getElementById("key").textContent = "no longer shown";
    document.querySelector("[data-copied]").textContent = "";
  });
  addEventListener("copy", () => delete document.body.dataset.unsaved);
  addEventListener("beforeunload", (event) => {
    if (document.body.dataset.unsaved) event.preventDefault();
  });
}

// Who has tried too often sees for how long to wait.
const problem = document.getElementById("problem");
const wait = problem?.textContent.match(/Wait (\d+) seconds/);
if (wait) {
  const words = problem.textContent;
  const button = document.querySelector("form button");
  const until = Date.now() + 1000 * Number(wait[1]);
  const tick = () => {
    const left = Math.ceil((until - Date.now()) / 1000);
    button.disabled = left > 0;
    problem.textContent = left > 0 ? words.replace(wait[1], left) : "You can try again now.";
    if (left > 0) setTimeout(tick, 1000);
  };
  tick();
}

// The summary of what is wrong gets the focus, so that it is heard; each of its links leads to a field.
document.querySelector("[data-mistakes]")?.focus();

// Menus close by Escape and by a click beside them.
const openMenus = () => document.querySelectorAll("details.menu[open], details.switch[open], details.fold[open]");
addEventListener("click", (event) => {
  for (const menu of openMenus()) if (!menu.contains(event.target)) menu.open = false;
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    for (const menu of openMenus()) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  }
  const typing = event.target.closest("input, select, textarea, [contenteditable]");
  const search = document.querySelector("[data-search]");
  if (event.key === "/" && search && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    search.select();
    search.focus();
  }
});

// A menu with many workspaces has a field that finds one.
const filter = document.querySelector("[data-filter]");
if (filter) {
  filter.hidden = false;
  filter.querySelector("input").addEventListener("input", ({ target }) => {
    const wanted = target.value.trim().toLowerCase();
    for (const item of document.querySelectorAll(".popup li")) item.hidden = !item.textContent.toLowerCase().includes(wanted);
  });
}

// One box that selects every key on the page.
const all = document.querySelector("[data-all]");
if (all) {
  const boxes = [...document.querySelectorAll(".keys tbody .pick input")];
  all.hidden = boxes.length === 0;
  all.addEventListener("change", () => boxes.forEach((box) => (box.checked = all.checked)));
  addEventListener("change", () => (all.checked = boxes.every((box) => box.checked)));
}

/** Shows a page's question over this page; where that does not work, goes there. */
async function ask(link) {
  const go = () => (location.href = link.href);
  const answer = await fetch(link.href, { headers: { accept: "text/html" } }).catch(() => null);
  if (!answer?.ok || answer.redirected) return go();
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const question = page.querySelector(".narrow");
  if (!question) return go();
  const dialog = document.createElement("dialog");
  dialog.className = "dialog";
  dialog.append(document.adoptNode(question));
  const title = dialog.querySelector("h1");
  title.id = "dialog-title";
  dialog.setAttribute("aria-labelledby", title.id);
  dialog.addEventListener("close", () => {
    dialog.remove();
    link.closest("details")?.querySelector("summary").focus();
  });
  dialog.addEventListener("click", (event) => {
    if (!event.target.closest("[data-close]")) return;
    event.preventDefault();
    dialog.close();
  });
  document.body.append(dialog);
  enhance(dialog);
  for (const menu of openMenus()) menu.open = false;
  dialog.showModal();
}

if (typeof HTMLDialogElement === "function") {
  addEventListener("click", (event) => {
    const link = event.target.closest("a[data-dialog]");
    if (!link || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    ask(link);
  });
}
