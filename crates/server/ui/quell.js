// What the pages do in the browser: dialogs, the drawer, keys, selection, menus, toasts. Everything works on plain links
// and forms without it. It listens on the document only, so swapped content needs no second start; it evaluates no text
// and sets no markup from data.

const root = document.documentElement;
const one = (selector, from = document) => from.querySelector(selector);
const all = (selector, from = document) => [...from.querySelectorAll(selector)];
const remember = (name, word) => {
  document.cookie = `q_${name}=${word};path=/;max-age=31536000;samesite=lax`;
};
const recalled = (name) => (document.cookie.match(`(?:^|; )q_${name}=([a-z]+)`) || [])[1];
const csrf = () => one('meta[name="csrf-token"]')?.content ?? "";
const icon = (name) => {
  const sprite = one('meta[name="icons"]').content;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "q-icon");
  svg.setAttribute("aria-hidden", "true");
  svg.append(document.createElementNS("http://www.w3.org/2000/svg", "use"));
  svg.firstChild.setAttribute("href", `${sprite}#${name}`);
  return svg;
};

// Toasts: good news goes after six seconds unless the pointer or the focus rests on it; bad news stays.
const settle = (toast) => {
  one("button", toast)?.addEventListener("click", () => toast.remove());
  if (toast.classList.contains("fail")) return;
  let timer;
  const start = () => { timer = setTimeout(() => toast.remove(), toast.querySelector("a") ? 12000 : 6000); };
  const stop = () => clearTimeout(timer);
  toast.addEventListener("mouseenter", stop);
  toast.addEventListener("mouseleave", start);
  toast.addEventListener("focusin", stop);
  toast.addEventListener("focusout", start);
  start();
};
const say = (text, tone = "ok") => {
  const toast = document.createElement("div");
  toast.className = `q-toast ${tone}`;
  const words = document.createElement("span");
  words.textContent = text;
  const close = document.createElement("button");
  close.type = "button";
  close.setAttribute("aria-label", "Dismiss");
  close.append(icon("x"));
  toast.append(icon(tone === "fail" ? "alert-triangle" : "check"), words, close);
  one("#q-toasts").append(toast);
  settle(toast);
};

// Requests made by htmx.
document.addEventListener("htmx:configRequest", (event) => {
  event.detail.headers["X-CSRF-Token"] = csrf();
});
const failed = (event) => {
  const xhr = event.detail.xhr;
  if (xhr?.status === 401) { location.assign(`/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`); return; }
  const id = xhr?.getResponseHeader("X-Request-Id");
  const what = xhr?.status ? `The server answered ${xhr.status}` : "The server could not be reached";
  say(id ? `${what} (request ${id})` : what, "fail");
};
document.addEventListener("htmx:responseError", failed);
document.addEventListener("htmx:sendError", failed);
document.addEventListener("htmx:afterSwap", (event) => {
  // Server-sent swaps carry no target, only the element.
  const place = event.detail.target ?? event.detail.elt;
  if (place?.id === "q-drawer-body") open(one("#q-drawer"));
  else if (place?.id === "q-dialog-body") open(one("#q-dialog"));
  else if (place?.id === "q-list") choose();
});

// Live pages say honestly whether they are live.
const live = (state, words) => all("[data-live]").forEach((mark) => {
  mark.dataset.live = state;
  mark.textContent = words;
});
document.addEventListener("htmx:sseOpen", () => live("on", "live"));
document.addEventListener("htmx:sseError", () => live("off", "reconnecting"));
document.addEventListener("htmx:sseClose", (event) => {
  live("", "ended");
  // What can be done to a record that is over is not what could be done while it ran.
  if (event.detail.type !== "message") return;
  for (const part of [".q-top .acts", ".q-nav"]) htmx.ajax("GET", location.href, { target: part, select: part, swap: "outerHTML" });
});

// Dialogs and the drawer.
let opener = null;
const open = (dialog) => {
  if (!dialog || dialog.open) return;
  opener = document.activeElement;
  dialog.showModal();
  const first = one("[autofocus], .body input, .body select, .body textarea, .foot .btn", dialog);
  first?.focus();
};
document.addEventListener("close", (event) => {
  if (event.target.id === "q-drawer") one("#q-drawer-body").replaceChildren();
  if (event.target.id === "q-dialog") one("#q-dialog-body").replaceChildren();
  if (opener?.isConnected) opener.focus();
  opener = null;
}, true);

// Forms that change much ask first; Cancel has the focus.
const confirmed = new WeakSet();
document.addEventListener("submit", (event) => {
  const form = event.target;
  const asker = event.submitter?.dataset.confirm ? event.submitter : form;
  if (!asker.dataset?.confirm || confirmed.has(form)) return;
  event.preventDefault();
  const dialog = one("#q-confirm");
  one("h2", dialog).textContent = asker.dataset.confirm;
  one("p", dialog).textContent = asker.dataset.confirmText ?? "";
  const go = one("[data-yes]", dialog);
  go.textContent = asker.dataset.confirmVerb ?? "Continue";
  go.onclick = () => {
    dialog.close();
    confirmed.add(form);
    form.requestSubmit(event.submitter);
    confirmed.delete(form);
  };
  open(dialog);
  one("[data-no]", dialog).focus();
});

// Menus: native popovers, placed below their button and kept inside the window.
document.addEventListener("toggle", (event) => {
  const menu = event.target;
  if (!menu.matches?.(".q-menu") || event.newState !== "open") return;
  const button = one(`[popovertarget="${menu.id}"]`);
  const at = button.getBoundingClientRect();
  const size = menu.getBoundingClientRect();
  const below = at.bottom + 4 + size.height <= innerHeight;
  menu.style.left = `${Math.max(8, Math.min(menu.dataset.align === "start" ? at.left : at.right - size.width, innerWidth - size.width - 8))}px`;
  menu.style.top = `${below ? at.bottom + 4 : Math.max(8, at.top - size.height - 4)}px`;
  one("a, button:not([aria-disabled])", menu)?.focus();
}, true);

// Rows: cursor, selection, bulk bar.
const rows = () => all("#q-list tbody tr[data-row]");
let cursor = -1;
let last = -1;
const move = (to) => {
  const list = rows();
  if (!list.length) return;
  cursor = Math.max(0, Math.min(to, list.length - 1));
  list.forEach((row, at) => row.classList.toggle("cur", at === cursor));
  list[cursor].scrollIntoView({ block: "nearest" });
  (one("a.q-name", list[cursor]) ?? one("a", list[cursor]))?.focus({ preventScroll: true });
};
const boxes = () => all('#q-list tbody input[name="row"]');
const choose = () => {
  const list = boxes();
  const chosen = list.filter((box) => box.checked);
  list.forEach((box) => box.closest("tr").classList.toggle("sel", box.checked));
  const head = one("#q-list [data-all]");
  if (head) {
    head.checked = chosen.length > 0 && chosen.length === list.length;
    head.indeterminate = chosen.length > 0 && chosen.length < list.length;
  }
  const bar = one("#q-bulk");
  if (!bar) return;
  bar.hidden = chosen.length === 0;
  const whole = one('input[name="all"]', bar);
  if (chosen.length < list.length && whole) whole.value = "";
  one("[data-count]", bar).textContent = whole?.value ? bar.dataset.total : chosen.length;
  const more = one("[data-whole]", bar);
  if (more) more.hidden = !(head?.checked && !whole.value && Number(bar.dataset.total) > list.length);
};
const pick = (box, range) => {
  const list = boxes();
  const at = list.indexOf(box);
  if (range && last >= 0) {
    const [from, to] = at < last ? [at, last] : [last, at];
    list.slice(from, to + 1).forEach((other) => { other.checked = box.checked; });
  }
  last = at;
  choose();
};

document.addEventListener("click", (event) => {
  const hit = event.target.closest?.("[data-do], [data-dialog], [data-close], [data-copy], tr[data-row], input");
  if (!hit) return;
  if (hit.matches('input[name="row"]')) return pick(hit, event.shiftKey);
  if (hit.matches("input[data-all]")) { boxes().forEach((box) => { box.checked = hit.checked; }); return choose(); }
  if (hit.dataset.dialog) return open(document.getElementById(hit.dataset.dialog));
  if ("close" in hit.dataset) return hit.closest("dialog").close();
  if (hit.dataset.copy) {
    const text = document.getElementById(hit.dataset.copy).textContent;
    navigator.clipboard?.writeText(text).then(() => say("Copied"), () => say("The browser did not allow copying", "fail"));
    return;
  }
  if (hit.dataset.do) return deeds[hit.dataset.do]?.(hit);
  if (hit.matches("tr[data-row]") && !event.target.closest("a, button, input, label, [popover]") && !String(getSelection())) {
    cursor = rows().indexOf(hit);
    (one("a.q-name", hit) ?? one("a", hit))?.click();
  }
});
document.addEventListener("click", (event) => {
  // A click beside the palette or the drawer closes it; a dialog may hold something typed and stays.
  if (event.target.matches?.("dialog.q-palette, dialog.q-drawer")) {
    const box = event.target.getBoundingClientRect();
    if (event.clientX < box.left || event.clientX > box.right || event.clientY < box.top || event.clientY > box.bottom) event.target.close();
  }
});

const deeds = {
  theme(button) {
    const theme = button.dataset.word;
    remember("theme", theme === "system" ? "" : theme);
    if (theme === "system") delete root.dataset.theme; else root.dataset.theme = theme;
    root.dataset.bsTheme = theme === "dark" || (theme === "system" && matchMedia("(prefers-color-scheme: dark)").matches) ? "dark" : "light";
    button.closest("[popover]")?.hidePopover();
  },
  density(button) {
    const density = button.dataset.density;
    remember("density", density === "normal" ? "" : density);
    if (density === "normal") delete root.dataset.density; else root.dataset.density = density;
    button.closest("[popover]")?.hidePopover();
  },
  keys() {
    const off = recalled("keys") === "off";
    remember("keys", off ? "" : "off");
    say(off ? "Single-letter keys are on" : "Single-letter keys are off");
  },
  rail() {
    const rail = root.dataset.side !== "rail";
    remember("side", rail ? "rail" : "");
    if (rail) root.dataset.side = "rail"; else delete root.dataset.side;
  },
  side() { one(".q-side").classList.toggle("open"); },
  whole(button) { one('#q-bulk input[name="all"]').value = "1"; button.hidden = true; choose(); },
  clear() { boxes().forEach((box) => { box.checked = false; }); one('#q-bulk input[name="all"]').value = ""; choose(); },
  palette() { palette(); },
  print() { window.print(); },
  step(button) { move(cursor + Number(button.dataset.by)); one("a.q-name", rows()[cursor])?.click(); },
};

// The palette: places to go, and the lists to search in.
const palette = () => {
  const dialog = one("#q-palette");
  const input = one("input", dialog);
  input.value = "";
  fill("");
  open(dialog);
  input.focus();
};
const fill = (text) => {
  const list = one("#q-palette ul");
  const wanted = text.trim().toLowerCase();
  const places = all(".q-nav a").map((link) => ({ words: one("span", link).textContent, href: link.getAttribute("href") }))
    .filter((place) => place.words.toLowerCase().includes(wanted));
  if (wanted) {
    for (const [words, href] of [["vulnerabilities", "/vulnerabilities"], ["vulnerable items", "/items"], ["assets", "/assets"], ["jobs", "/jobs"]]) {
      places.push({ words: `Search ${words} for “${text.trim()}”`, href: `${href}?q=${encodeURIComponent(text.trim())}` });
    }
  }
  list.replaceChildren(...places.map((place, at) => {
    const item = document.createElement("li");
    const link = document.createElement("a");
    link.href = place.href;
    link.append(icon(place.words.startsWith("Search ") ? "search" : "arrow-right"), place.words);
    if (at === 0) item.className = "cur";
    item.append(link);
    return item;
  }));
};
document.addEventListener("input", (event) => { if (event.target.matches("#q-palette input")) fill(event.target.value); });

// Keys. Single letters can be switched off (WCAG 2.1.4) and never fire while somebody types.
const goto = { d: "/", v: "/vulnerabilities", i: "/items", a: "/assets", e: "/eliminations", j: "/jobs", s: "/scans" };
let prefix = false;
document.addEventListener("keydown", (event) => {
  const command = event.metaKey || event.ctrlKey;
  const key = event.key;
  if (command && key === "k") { event.preventDefault(); return palette(); }
  if (command && key === "b") { event.preventDefault(); return deeds.rail(); }
  if (command && key === "Enter") { const form = one("form[data-submit-key]"); if (form) { event.preventDefault(); form.requestSubmit(); } return; }
  if (event.target.closest?.("#q-palette")) {
    const items = all("#q-palette li");
    const at = items.findIndex((item) => item.className === "cur");
    if (key === "ArrowDown" || key === "ArrowUp") {
      event.preventDefault();
      const next = Math.max(0, Math.min(items.length - 1, at + (key === "ArrowDown" ? 1 : -1)));
      items.forEach((item, index) => { item.className = index === next ? "cur" : ""; });
      items[next]?.scrollIntoView({ block: "nearest" });
    } else if (key === "Enter" && event.target.matches("input")) {
      event.preventDefault();
      one("#q-palette .cur a")?.click();
    } else if (key === "Escape") {
      // A search field would take the first press for itself, to empty the text.
      event.preventDefault();
      one("#q-palette").close();
    }
    return;
  }
  const menu = event.target.closest?.(".q-menu");
  if (menu && (key === "ArrowDown" || key === "ArrowUp")) {
    const items = all("a, button", menu);
    event.preventDefault();
    items[(items.indexOf(event.target) + (key === "ArrowDown" ? 1 : items.length - 1)) % items.length]?.focus();
    return;
  }
  if (command || event.altKey || event.target.matches?.("input:not([type=checkbox], [type=radio]), textarea, select") || recalled("keys") === "off") return;
  if (prefix) { prefix = false; if (goto[key]) return location.assign(goto[key]); }
  const drawer = one("#q-drawer")?.open;
  if (one("dialog[open]") && !drawer) return;
  const row = rows()[cursor];
  switch (key) {
    case "j": move(cursor + 1); if (drawer) one("a.q-name", rows()[cursor])?.click(); break;
    case "k": move(cursor - 1); if (drawer) one("a.q-name", rows()[cursor])?.click(); break;
    case "x": case "X": { const box = row && one('input[name="row"]', row); if (box) { box.checked = !box.checked; pick(box, event.shiftKey); } break; }
    case "o": if (row) location.assign((one("a.q-name", row) ?? one("a", row)).href); break;
    case "/": one(".q-query input")?.focus(); event.preventDefault(); break;
    case "Escape": if (boxes().some((box) => box.checked)) deeds.clear(); break;
    case "[": one('a[rel="prev"]')?.click(); break;
    case "]": one('a[rel="next"]')?.click(); break;
    case "c": case "m": case "r": one(`[data-key="${key}"]`, drawer ? one("#q-drawer") : document)?.click(); break;
    case "g": prefix = true; setTimeout(() => { prefix = false; }, 1200); break;
    case "?": open(one("#q-keys")); break;
    default:
  }
});

all(".q-toast").forEach(settle);
choose();
one(".q-errors")?.focus();
