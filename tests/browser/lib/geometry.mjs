// What is wrong with how a page is laid out at its present width, in words; nothing when all is well. Runs in the page.

/** Texts that lie over each other, stand in the column of their label, stick out of their cell or of the window, are cut off without a sign or broken inside a word; parts that touch; a page that scrolls sideways. */
export function flaws(leastName) {
  const found = [];
  const html = document.documentElement;
  if (html.scrollWidth > html.clientWidth) found.push(`the page is ${html.scrollWidth - html.clientWidth} px wider than the window`);
  const styles = new Map();
  const style = (element) => styles.get(element) ?? styles.set(element, getComputedStyle(element)).get(element);
  const above = (element, holds) => {
    for (let at = element; at && at !== html; at = at.parentElement) if (holds(at)) return at;
    return null;
  };
  const unseen = (element) => !element.checkVisibility() || above(element, (at) => style(at).clipPath !== "none" || at.matches(".skip"));
  const say = (element) => `${element.tagName.toLowerCase()}.${element.className} “${element.textContent.trim().slice(0, 40)}”`;

  // Each line of each text, as far as it shows.
  const texts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, element = node.parentElement;
    if (!node.data.trim() || element.closest("select, option, script") || unseen(element)) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const clip = above(element, (at) => style(at).overflowX !== "visible")?.getBoundingClientRect();
    for (const { left, right, top, bottom } of range.getClientRects()) {
      const line = { element, left, right, top, bottom };
      if (clip) {
        [line.left, line.right] = [Math.max(left, clip.left), Math.min(right, clip.right)];
        [line.top, line.bottom] = [Math.max(top, clip.top), Math.min(bottom, clip.bottom)];
      }
      if (line.right - line.left > 0.5 && line.bottom - line.top > 0.5) texts.push(line);
    }
  }
  for (const { element, left, right } of texts) {
    if (left < -1 || right > html.clientWidth + 1) found.push(`outside the window: ${say(element)}`);
    const cell = element.closest("td, th, .card, .tile, .button, .badge, .tag, .note, .side")?.getBoundingClientRect();
    if (cell && (left < cell.left - 1 || right > cell.right + 1)) found.push(`sticks out: ${say(element)}`);
  }
  // In a card a line has its label, and beside it what it says: all of it.
  for (const cell of document.querySelectorAll("td[data-label]")) {
    if (style(cell).display !== "grid") continue;
    const columns = style(cell).gridTemplateColumns.split(" ");
    if (columns.length < 2) continue;
    const beside = cell.getBoundingClientRect().left + parseFloat(columns[0]);
    for (const { element, left } of texts) {
      if (cell.contains(element) && left < beside) found.push(`under its label: ${say(cell)}`);
    }
  }
  // A short word in a cell or on a button has room for its letters beside each other.
  for (const element of document.querySelectorAll("td, thead th, .button, .badge, .tag, label, .side a")) {
    if (unseen(element)) continue;
    const words = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
    while (words.nextNode()) {
      for (const { 0: word, index } of words.currentNode.data.matchAll(/\p{L}{2,12}/gu)) {
        if (/\S/.test(words.currentNode.data[index - 1] ?? " ") || /[^\s.,]/.test(words.currentNode.data[index + word.length] ?? " ")) continue;
        const range = document.createRange();
        range.setStart(words.currentNode, index);
        range.setEnd(words.currentNode, index + word.length);
        const lines = new Set([...range.getClientRects()].map(({ top }) => Math.round(top)));
        if (lines.size > 1) found.push(`broken inside: “${word}” of ${say(element)}`);
      }
    }
  }
  texts.sort((a, b) => a.top - b.top);
  texts.forEach((one, at) => {
    for (let next = at + 1; next < texts.length && texts[next].top < one.bottom - 3; next++) {
      const other = texts[next];
      const across = Math.min(one.right, other.right) - Math.max(one.left, other.left);
      // Lines of a text may touch; letters of different texts may not.
      if (one.element !== other.element && across > 1 && Math.min(one.bottom, other.bottom) - other.top > 3) {
        found.push(`${say(one.element)} lies over ${say(other.element)}`);
      }
    }
  });

  for (const element of document.body.querySelectorAll("*")) {
    // What is typed moves in its field.
    if (!/hidden|clip/.test(style(element).overflowX) || unseen(element) || element.matches("input")) continue;
    if (element.scrollWidth <= element.clientWidth + 1) continue;
    const told = style(element).textOverflow === "ellipsis" && element.closest("[title]");
    if (!told) found.push(`cut off without a sign: ${say(element)}`);
  }
  // A choice that is wider than its field loses its end; in a window of less than 20 letters' heights only the open list has room.
  const isNarrow = html.clientWidth < 20 * parseFloat(style(html).fontSize);
  const pen = document.createElement("canvas").getContext("2d");
  for (const select of document.querySelectorAll("select")) {
    if (isNarrow || unseen(select)) continue;
    const { font, paddingLeft, paddingRight } = style(select);
    pen.font = font;
    const room = select.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight);
    for (const option of select.options) {
      if (pen.measureText(option.text).width > room) found.push(`cut off in its field: ${option.text}`);
    }
  }

  // What has an edge of its own keeps away from what follows it.
  const framed = ".note, .list, .card, .tiles, .summary, .filter";
  for (const part of document.querySelectorAll(framed)) {
    const next = part.nextElementSibling;
    if (!next?.matches(framed) || unseen(part) || unseen(next)) continue;
    const gap = next.getBoundingClientRect().top - part.getBoundingClientRect().bottom;
    if (gap < 6) found.push(`${Math.round(gap)} px between ${say(part)} and ${say(next)}`);
  }
  for (const table of document.querySelectorAll("table")) {
    for (const cell of table.querySelectorAll("tbody th")) {
      // A time is no name: it is never longer than its cell.
      if (cell.querySelector(":scope > time")) continue;
      // In a card that is a line of words it is as wide as it is.
      if (style(cell).display === "inline") continue;
      const width = cell.getBoundingClientRect().width;
      if (width < Math.min(leastName, html.clientWidth / 4)) found.push(`${Math.round(width)} px for ${say(cell)}`);
    }
    for (const part of table.querySelectorAll(".button, .badge, .tag, code")) {
      if (unseen(part)) continue;
      const cell = part.closest("td, th").getBoundingClientRect(), own = part.getBoundingClientRect();
      if (own.right > cell.right + 1 || own.left < cell.left - 1) found.push(`leaves its cell: ${say(part)}`);
    }
  }
  return [...new Set(found)].slice(0, 8);
}
