const root = document.documentElement;
const $ = (selector, parent = document) => parent.querySelector(selector);
const all = selector => [...document.querySelectorAll(selector)];

// Theme: system, light or dark. The parameter `theme` overrides the stored one.
const themes = ["system", "light", "dark"];
const themeButton = $("#theme");
let theme = new URLSearchParams(location.search).get("theme");
try { theme ??= localStorage.getItem("theme"); } catch { /* Storage is disabled. */ }
const setTheme = name => {
  theme = themes.includes(name) ? name : "system";
  if (theme === "system") delete root.dataset.theme; else root.dataset.theme = theme;
  themeButton.textContent = "Theme: " + theme;
};
setTheme(theme);
themeButton.addEventListener("click", () => {
  setTheme(themes[(themes.indexOf(theme) + 1) % themes.length]);
  try { localStorage.setItem("theme", theme); } catch { /* Storage is disabled. */ }
});
all(".tools, .filter").forEach(element => { element.hidden = false; });

// Shows the rows whose name and labels contain every word, in the selected state. `Filter::matches` has the same rule.
const form = $("#filter");
const filter = () => {
  if (!form) return;
  const words = form.q.value.toLowerCase().split(/\s+/).filter(Boolean), state = form.state.value;
  const rows = all(".jobs tbody tr");
  for (const row of rows) {
    const text = $("th", row).textContent.toLowerCase();
    const isShown = (!state || row.dataset.state === state) && words.every(word => text.includes(word));
    row.hidden = !isShown;
  }
  all(".jobs").forEach(table => { table.hidden = !$("tbody tr:not([hidden])", table); });
  const shown = rows.filter(row => !row.hidden).length;
  $("#seen").textContent = shown === rows.length ? "" : `${shown} of ${rows.length} jobs shown`;
};
form?.addEventListener("input", filter);
form?.addEventListener("submit", event => event.preventDefault());
form?.q.addEventListener("keydown", event => {
  if (event.key === "Escape") { form.q.value = ""; filter(); }
});

// Describes the runs of a strip or a timeline: by pointer, or by focus and the arrow keys.
const tip = $("#tip");
const STRIP_MARKS = 20, STRIP_STEP = 8;
const dateFormat = zone => new Intl.DateTimeFormat("en-GB", {
  weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZone: zone,
});
let dates;
try { dates = dateFormat(root.dataset.zone); } catch { dates = dateFormat("UTC"); }
// Each line has the minutes since the previous run, the duration, and the outcome unless it is a success.
const describe = drawing => {
  let minute = 0, step = 0;
  return drawing.dataset.runs.split("\n").map(line => {
    const [, difference, duration, outcome] = /^(-?\d*) (\S*) ?(.*)$/.exec(line);
    step = difference ? Number(difference) : step;
    minute += step;
    return [dates.format(minute * 60000), duration, outcome || "success"].filter(Boolean).join(", ");
  });
};
let described, position;
const hideTip = () => { tip.hidden = true; described = null; };
const showTip = (drawing, index) => {
  const lines = describe(drawing), bars = drawing.querySelectorAll("rect"), box = drawing.getBoundingClientRect();
  described = drawing;
  position = Math.max(0, Math.min(lines.length - 1, index));
  tip.textContent = lines[position];
  tip.hidden = false;
  const x = bars[position]
    ? bars[position].getBoundingClientRect().left
    : box.left + (STRIP_MARKS - lines.length + position) * STRIP_STEP;
  tip.style.left = Math.max(12, Math.min(x, innerWidth - tip.offsetWidth - 12)) + "px";
  tip.style.top = (box.top > tip.offsetHeight + 12 ? box.top - tip.offsetHeight - 8 : box.bottom + 8) + "px";
};
const bindDrawings = () => all("[data-runs]").forEach(drawing => {
  const count = drawing.dataset.runs.split("\n").length, bars = [...drawing.querySelectorAll("rect")];
  drawing.setAttribute("tabindex", "0");
  drawing.onpointermove = event => {
    const index = bars.length
      ? bars.findLastIndex(bar => bar.getBoundingClientRect().left <= event.clientX)
      : Math.floor((event.clientX - drawing.getBoundingClientRect().left) / STRIP_STEP) - STRIP_MARKS + count;
    if (index < 0) hideTip(); else showTip(drawing, index);
  };
  drawing.onpointerleave = drawing.onblur = hideTip;
  drawing.onfocus = () => showTip(drawing, count - 1);
  drawing.onkeydown = event => {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (step && described) { showTip(drawing, position + step); event.preventDefault(); }
    if (event.key === "Escape") hideTip();
  };
});
bindDrawings();
// A drawing that receives the focus can scroll into view.
addEventListener("scroll", () => {
  if (described && described === document.activeElement) showTip(described, position); else hideTip();
}, { passive: true });

// Shows the age of an old page.
const refreshSeconds = Number(root.dataset.refresh);
const showAge = () => {
  const minutes = Math.floor((Date.now() - Date.parse($("#made").dateTime)) / 60000), old = $("#old");
  old.hidden = minutes < (refreshSeconds ? 2 : 15);
  const text = minutes < 120 ? minutes + " minutes"
    : minutes < 2880 ? Math.floor(minutes / 60) + " hours" : Math.floor(minutes / 1440) + " days";
  if (!old.hidden) $("b", old).textContent = text;
};
showAge();
setInterval(showAge, 30000);

// A served page replaces its parts. The filter, the focus and open details remain.
let isRefreshing = refreshSeconds > 0;
const refresh = async () => {
  if (!isRefreshing || document.hidden) return;
  try {
    const response = await fetch(location.pathname, { cache: "no-store" });
    if (!response.ok) throw new Error(response.statusText);
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const focused = document.activeElement?.id;
    const open = new Map(all("details[id]").map(details => [details.id, details.open]));
    for (const part of all("[data-part]")) {
      const fresh = page.getElementById(part.id);
      if (!fresh) continue;
      part.hidden = fresh.hidden;
      if (fresh.innerHTML !== part.innerHTML) part.innerHTML = fresh.innerHTML;
    }
    document.title = page.title;
    all("details[id]").forEach(details => { details.open = open.get(details.id) ?? details.open; });
    bindDrawings();
    filter();
    hideTip();
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  } catch { /* The age of the page shows that the refresh fails. */ }
  showAge();
};
if (refreshSeconds > 0) {
  const pause = $("#pause");
  pause.hidden = false;
  pause.addEventListener("click", () => {
    isRefreshing = !isRefreshing;
    pause.textContent = isRefreshing ? "Pause" : "Resume";
  });
  setInterval(refresh, refreshSeconds * 1000);
  document.addEventListener("visibilitychange", refresh);
  // The server has filtered the rows.
  if (location.search) refresh();
}
filter();
