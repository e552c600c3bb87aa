// Parts of a page that look again by themselves for some minutes, and buttons that copy what stands beside them.

// Not for ever: a page that asks keeps its session alive.
const LIVE_FOR_MS = 600_000;

function lookAgain(part, began) {
  const seconds = Number(part.dataset.live);
  if (!seconds || Date.now() - began > LIVE_FOR_MS) return;
  setTimeout(async () => {
    try {
      const answer = document.hidden || (await fetch(location.href, { redirect: "error" }));
      if (answer.ok) show(part, new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(part.id));
    } catch {
      // The control plane is away, or the session is over.
    }
    lookAgain(part, began);
  }, seconds * 1000);
}

/** Puts the new content in; what the reader has opened stays open, and what they are on stays where it is. */
function show(part, fresh) {
  if (!fresh) {
    // What it waited for has come: the part says so, and is gone with the next load.
    part.dataset.live = "";
    const told = part.querySelector("template");
    if (told) part.querySelector("[role=status]").replaceChildren(told.content);
    return;
  }
  part.dataset.live = fresh.dataset.live;
  if (part.contains(document.activeElement)) return;
  const open = [...part.querySelectorAll("details")].map((details) => details.open);
  part.replaceChildren(...fresh.childNodes);
  [...part.querySelectorAll("details")].forEach((details, at) => (details.open = open[at] ?? details.open));
  showTimes();
}

for (const part of document.querySelectorAll("[data-live]")) lookAgain(part, Date.now());

for (const button of document.querySelectorAll("[data-copy-text]")) {
  const source = document.getElementById(button.dataset.copyText);
  const label = button.textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(source.textContent);
      button.textContent = "Copied";
    } catch {
      selectAll(source);
      button.textContent = "Press Ctrl+C or ⌘C";
    }
    setTimeout(() => (button.textContent = label), 4000);
  });
}
