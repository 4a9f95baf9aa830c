"use strict";

// The script of the report. Text from documents, topics and labels enters the page as text nodes only, never as HTML.

const data = JSON.parse(document.getElementById("data").textContent);
const { topics, rows, texts } = data;
const byId = (id) => document.getElementById(id);
const format = (number) => number.toLocaleString("en");
const percent = (share) => `${(100 * share).toFixed(1)}%`;
const count = (n, noun) => `${format(n)} ${noun}${n === 1 ? "" : "s"}`;
const N_LISTED = 50; // documents of a selection or of search results
const N_COLORS = 6;
const LEAST_LABELED = 0.005; // share of the map of a topic whose name is on it

// -- elements -----------------------------------------------------------------------------------------------------

/** Create an element with attributes and children; strings become text nodes. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function makeSvg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const makeText = (text) => make("bdi", {}, text);

function makeTopicLink(k) {
  return make("a", { href: `#topic-${topics[k].id}`, class: "topic" }, `${topics[k].id} `, makeText(topics[k].name));
}

function makeBar(part) {
  const filled = make("i");
  filled.style.width = `${(100 * part).toFixed(1)}%`;
  return make("span", { class: "bar", "aria-hidden": "true" }, filled);
}

/** Create the list entry of a document: its topics except for the shown one, its beginning, and its text on demand. */
function makeDocument(i, { pattern = null, shown = -1 } = {}) {
  const [k, share, other, otherShare] = data.shares[i];
  const head = make("span", { class: "quiet" }, `document ${rows[i]}: `);
  if (k < 0) head.append("no topic");
  else head.append(`${share}% `, k === shown ? "this topic" : makeTopicLink(k));
  if (k >= 0 && otherShare >= 10) head.append(`, ${otherShare}% `, makeTopicLink(other));
  const text = texts[i].trim() || "(empty)";
  const item = make("li", {}, head);
  const beginning = text.replace(/\s+/g, " ").slice(0, 180);
  const start = make("span", { dir: "auto" }, ...markMatches(text.length > 180 ? `${beginning}…` : beginning, pattern));
  if (text.length <= 180) item.append(make("div", {}, start));
  else item.append(make("details", {}, make("summary", {}, start), make("p", { dir: "auto" }, ...markMatches(text, pattern))));
  return item;
}

const makeDocuments = (list, options) =>
  make("ul", { class: "documents" }, ...list.map((i) => makeDocument(i, options)));

/** Return text nodes, and mark elements for the matches of a pattern. */
function markMatches(text, pattern) {
  if (!pattern) return [text];
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(pattern)) {
    parts.push(text.slice(end, match.index), make("mark", {}, match[0]));
    end = match.index + match[0].length;
  }
  return [...parts, text.slice(end)];
}

// -- table of topics ----------------------------------------------------------------------------------------------

const body = byId("topic-table").tBodies[0];
const topicRows = [...body.rows];

function makeDetail(k) {
  const topic = topics[k];
  const left = make("div");
  const right = make("div");
  const largest = Math.max(...topic.weights, 0) || 1;
  left.append(make("h3", {}, "Words"));
  if (!topic.words.length) left.append(make("p", {}, "The topic has no words."));
  left.append(
    make("ul", { class: "weights" }, ...topic.words.map((word, w) => make("li", {}, makeText(word), makeBar(topic.weights[w] / largest)))),
  );
  if (data.trends && topic.size) left.append(make("h3", {}, "Share over time"), makeTrend(k, 320, 110, true));
  if (topic.similar.length) {
    const links = topic.similar.map(([j, value]) => make("li", {}, makeTopicLink(j), ` ${value.toFixed(2)}`));
    left.append(make("h3", {}, "Similar topics"), make("ul", {}, ...links));
  }
  if (data.labels) {
    const total = data.labels.counts[k].reduce((a, b) => a + b, 0);
    const order = [...data.labels.names.keys()].sort((a, b) => data.labels.counts[k][b] - data.labels.counts[k][a]);
    const found = order.slice(0, 4).filter((j) => data.labels.counts[k][j]);
    const items = found.map((j) => make("li", {}, makeText(data.labels.names[j]), ` ${percent(data.labels.counts[k][j] / total)}`));
    if (items.length) left.append(make("h3", {}, "Known labels"), make("ul", {}, ...items));
  }
  const groups = [
    ["representative", "Representative documents", "closest to the mean of the topic"],
    ["typical", "Typical documents", "of median fit"],
    ["ambiguous", "Ambiguous documents", "with a large share of a second topic"],
  ];
  for (const [name, title, meaning] of groups) {
    if (!topic[name].length) continue;
    right.append(make("h3", {}, title, make("span", { class: "quiet" }, ` ${meaning}`)), makeDocuments(topic[name], { shown: k }));
  }
  if (!right.children.length) right.append(make("p", {}, "The topic has no documents."));
  const cell = make("td", { colspan: topicRows[k].cells.length }, make("div", { class: "columns" }, left, right));
  return make("tr", { class: "detail", id: `detail-${topic.id}` }, cell);
}

function setOpen(k, isOpen) {
  const row = topicRows[k];
  const button = row.querySelector(".open");
  if (isOpen === row.classList.contains("is-open")) return;
  row.classList.toggle("is-open", isOpen);
  button.setAttribute("aria-expanded", isOpen);
  if (isOpen) {
    row.after(makeDetail(k));
    button.setAttribute("aria-controls", `detail-${topics[k].id}`);
  } else {
    row.nextElementSibling.remove();
    button.removeAttribute("aria-controls");
  }
}

/** Return a line chart of the share of a topic, with its interval of 95 % as a band. */
function makeTrend(k, width, height, hasLabels) {
  const { starts, shares, lower, upper } = data.trends;
  const values = shares[k];
  const present = [...values.keys()].filter((b) => values[b] !== null);
  const highest = present.reduce((best, b) => (values[b] > values[best] ? b : best), present[0]);
  const top = Math.max(...present.map((b) => (hasLabels ? upper[k][b] : values[b]))) || 1;
  const margin = hasLabels ? 16 : 3;
  const x = (b) => 3 + ((width - 6) * (starts.length > 1 ? b : 0.5)) / Math.max(starts.length - 1, 1);
  const y = (value) => height - margin - ((height - 2 * margin) * value) / top;
  const label = `Share over time: ${percent(values[present[0]])} in ${starts[present[0]]}, ` +
    `${percent(values[present.at(-1)])} in ${starts[present.at(-1)]}, at most ${percent(values[highest])} in ${starts[highest]}.`;
  const svg = makeSvg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label });
  const runs = []; // consecutive periods with documents
  for (const b of present) {
    if (runs.length && runs.at(-1).at(-1) === b - 1) runs.at(-1).push(b);
    else runs.push([b]);
  }
  svg.append(makeSvg("line", { class: "axis", x1: 0, x2: width, y1: y(0), y2: y(0) }));
  for (const run of runs) {
    const points = (series, order = run) => order.map((b) => `${x(b).toFixed(1)},${y(series[b]).toFixed(1)}`).join(" ");
    if (hasLabels) svg.append(makeSvg("polygon", { class: "band", points: `${points(upper[k])} ${points(lower[k], [...run].reverse())}` }));
    if (run.length > 1) svg.append(makeSvg("polyline", { class: "line", points: points(values) }));
    else svg.append(makeSvg("circle", { cx: x(run[0]), cy: y(values[run[0]]), r: 2 }));
  }
  if (hasLabels) {
    svg.append(makeSvg("text", { x: 0, y: 11 }, percent(top)), makeSvg("text", { x: 0, y: height - 2 }, starts[0]));
    svg.append(makeSvg("text", { x: width, y: height - 2, "text-anchor": "end" }, starts.at(-1)));
  }
  return svg;
}

function sortTopics(header) {
  const key = header.dataset.key;
  const before = header.getAttribute("aria-sort");
  const isDescending = before ? before === "ascending" : key !== "id" && key !== "name";
  for (const other of header.parentNode.cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", isDescending ? "descending" : "ascending");
  const compare = (a, b) => {
    const [left, right] = [topics[a][key], topics[b][key]];
    if (left === null || right === null) return (left === null) - (right === null); // unknown values are last
    const order = typeof left === "string" ? left.localeCompare(right) : left - right;
    return isDescending ? -order : order;
  };
  for (const k of [...topics.keys()].sort((a, b) => compare(a, b) || a - b)) {
    const detail = topicRows[k].classList.contains("is-open") ? topicRows[k].nextElementSibling : null;
    body.append(topicRows[k]);
    if (detail) body.append(detail);
  }
}

function filterTopics() {
  const patterns = makePatterns(byId("filter").value);
  let nShown = 0;
  topics.forEach((topic, k) => {
    const isShown = patterns.every((pattern) => matchesTopic(topic, pattern));
    nShown += isShown;
    topicRows[k].hidden = !isShown;
    if (topicRows[k].classList.contains("is-open")) topicRows[k].nextElementSibling.hidden = !isShown;
  });
  byId("filter-count").textContent = patterns.length ? `${nShown} of ${topics.length} topics` : "";
}

/** Open the topic that the address names, such as #topic-3, and go to it. */
function goToTopic(hash) {
  const k = topics.findIndex((topic) => `#topic-${topic.id}` === hash);
  if (k < 0) return;
  if (topicRows[k].hidden) {
    byId("filter").value = "";
    filterTopics();
  }
  setOpen(k, true);
  const button = topicRows[k].querySelector(".open");
  button.focus({ preventScroll: true });
  topicRows[k].scrollIntoView();
}

topicRows.forEach((row, k) => {
  row.addEventListener("click", (event) => {
    if (!event.target.closest("a") && !String(getSelection())) setOpen(k, !row.classList.contains("is-open"));
  });
  if (data.trends && topics[k].size) row.querySelector("td.trend").append(makeTrend(k, 110, 26, false));
});
for (const button of byId("topic-table").tHead.querySelectorAll("button")) {
  button.addEventListener("click", () => sortTopics(button.parentNode));
}
byId("filter").addEventListener("input", filterTopics);
document.addEventListener("click", (event) => {
  const link = event.target.closest("a.topic");
  if (!link) return;
  event.preventDefault();
  history.replaceState(null, "", link.getAttribute("href"));
  goToTopic(link.getAttribute("href"));
});
addEventListener("hashchange", () => goToTopic(location.hash));

// -- search -------------------------------------------------------------------------------------------------------

const WITHOUT_SPACES = /[\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{scx=Thai}\p{scx=Lao}\p{scx=Khmr}\p{scx=Mymr}]/u;

/** Return a pattern for each word of a query: it matches at the beginning of a word, or anywhere without spaces. */
function makePatterns(query) {
  return query.split(/\s+/).filter(Boolean).slice(0, 8).map((word) => {
    const escaped = word.replace(/[.*+?^${}()|[\]\\/-]/g, (character) => `\\u{${character.codePointAt(0).toString(16)}}`);
    return new RegExp(WITHOUT_SPACES.test(word) ? escaped : `(?<![\\p{L}\\p{N}])${escaped}`, "giu");
  });
}

const matchesTopic = (topic, pattern) => [topic.name, ...topic.words].some((text) => text.search(pattern) >= 0);

function showResults() {
  const query = byId("query").value;
  const patterns = makePatterns(query);
  const results = byId("results");
  results.replaceChildren();
  if (!patterns.length) return;
  const foundTopics = [...topics.keys()].filter((k) => patterns.every((pattern) => matchesTopic(topics[k], pattern)));
  const found = [];
  texts.forEach((text, i) => {
    if (!patterns.every((pattern) => text.search(pattern) >= 0)) return;
    found.push([i, patterns.reduce((n, pattern) => n + text.match(pattern).length, 0)]);
  });
  found.sort((a, b) => b[1] - a[1] || a[0] - b[0]);
  const all = new RegExp(patterns.map((pattern) => pattern.source).join("|"), "giu");
  results.append(make("h3", {}, count(foundTopics.length, "topic")));
  results.append(make("ul", {}, ...foundTopics.slice(0, N_LISTED).map((k) => make("li", {}, makeTopicLink(k), ` ${percent(topics[k].share)}`))));
  const more = found.length > N_LISTED ? `, the first ${N_LISTED} are shown` : "";
  results.append(make("h3", {}, count(found.length, "document") + more), makeDocuments(found.slice(0, N_LISTED).map(([i]) => i), { pattern: all }));
}

let timer;
byId("query").addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(showResults, 150);
});

// -- map ----------------------------------------------------------------------------------------------------------

const mapped = data.map.x.map((x, i) => i).filter((i) => data.map.x[i] !== null);

/** Return the median position of the documents of each topic on the map and their number, null without documents. */
function findCenters() {
  const members = topics.map(() => []);
  for (const i of mapped) members[data.shares[i][0]]?.push(i);
  const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];
  const [x, y] = [data.map.x, data.map.y];
  return members.map((list) => (list.length ? [median(list.map((i) => x[i])), median(list.map((i) => y[i])), list.length] : null));
}

/** Choose a color for each topic, so that topics of the same color are far from each other. */
function chooseColors(centers) {
  const used = Array.from({ length: N_COLORS }, () => []);
  return centers.map((center, k) => {
    const distances = used.map((list) => Math.min(...list.map(([x, y]) => (center ? Math.hypot(x - center[0], y - center[1]) : 0))));
    const color = center ? distances.indexOf(Math.max(...distances)) : k % N_COLORS;
    if (center) used[color].push(center);
    return color;
  });
}

const centers = findCenters();
const colors = chooseColors(centers);
topicRows.forEach((row, k) => row.querySelector(".dot").style.setProperty("--color", `var(--c${colors[k]})`));

function startMap(canvas) {
  const context = canvas.getContext("2d");
  const tip = byId("tip");
  const highlight = byId("highlight");
  let [scaleX, scaleY, hovered, selected, line] = [1, 1, -1, new Set(), null];
  const margin = 14;
  const x = (i) => margin + data.map.x[i] * scaleX;
  const y = (i) => margin + data.map.y[i] * scaleY;

  function draw() {
    const { width, height } = canvas.getBoundingClientRect();
    if (!width) return;
    const ratio = devicePixelRatio || 1;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    context.scale(ratio, ratio);
    [scaleX, scaleY] = [(width - 2 * margin) / 1000, (height - 2 * margin) / 1000];
    const style = getComputedStyle(document.documentElement);
    const get = (name) => style.getPropertyValue(name).trim();
    const palette = [...Array(N_COLORS).keys()].map((c) => get(`--c${c}`));
    const only = highlight.value === "" ? null : Number(highlight.value);
    const radius = Math.max(1.6, Math.min(5, 90 / Math.sqrt(mapped.length)));
    for (const isFront of [false, true]) {
      for (const i of mapped) {
        const k = data.shares[i][0];
        const isBright = selected.size ? selected.has(i) : only === null || k === only;
        if (isBright !== isFront) continue;
        context.globalAlpha = isBright ? 0.8 : 0.12;
        context.fillStyle = k < 0 ? get("--none") : palette[colors[k]];
        context.beginPath();
        context.arc(x(i), y(i), radius, 0, 7);
        context.fill();
      }
    }
    context.globalAlpha = 1;
    drawLabels(width, only, get);
    if (hovered >= 0) {
      context.strokeStyle = get("--text");
      context.lineWidth = 2;
      context.beginPath();
      context.arc(x(hovered), y(hovered), radius + 3, 0, 7);
      context.stroke();
    }
    if (line) {
      context.strokeStyle = get("--accent");
      context.lineWidth = 2;
      context.beginPath();
      line.forEach(([a, b]) => context.lineTo(a, b));
      context.stroke();
    }
  }

  /** Write the names of topics that are not tiny, the largest first, where they do not cover each other. */
  function drawLabels(width, only, get) {
    context.font = "600 12px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.lineWidth = 4;
    context.lineJoin = "round";
    const placed = [];
    const order = [...topics.keys()].filter((k) => centers[k] && (only === null ? centers[k][2] > LEAST_LABELED * mapped.length : only === k));
    for (const k of order.sort((a, b) => centers[b][2] - centers[a][2])) {
      const name = `${topics[k].id} ${topics[k].name}`;
      const label = [...name].length > 24 ? `${[...name].slice(0, 23).join("")}…` : name;
      const half = context.measureText(label).width / 2;
      const center = Math.max(half + 4, Math.min(width - half - 4, margin + centers[k][0] * scaleX));
      const middle = margin + centers[k][1] * scaleY;
      if (placed.some(([a, b, c]) => Math.abs(b - middle) < 16 && Math.abs(a - center) < half + c + 6)) continue;
      placed.push([center, middle, half]);
      context.strokeStyle = get("--halo");
      context.fillStyle = get("--text");
      context.textAlign = "center";
      context.strokeText(label, center, middle);
      context.fillText(label, center, middle);
    }
  }

  function findNearest(a, b, limit) {
    let [best, least] = [-1, limit * limit];
    for (const i of mapped) {
      const distance = (x(i) - a) ** 2 + (y(i) - b) ** 2;
      if (distance < least) [best, least] = [i, distance];
    }
    return best;
  }

  function setHovered(i) {
    if (i === hovered) return;
    hovered = i;
    tip.replaceChildren();
    if (i >= 0) {
      const k = data.shares[i][0];
      const text = texts[i].replace(/\s+/g, " ").trim();
      const topic = k < 0 ? "no topic" : `topic ${topics[k].id} `;
      tip.append(make("strong", {}, topic, k < 0 ? "" : makeText(topics[k].name)), make("br"));
      tip.append(make("span", { dir: "auto" }, text.length > 140 ? `${text.slice(0, 139)}…` : text || "(empty)"));
      const isRight = x(i) > canvas.clientWidth / 2;
      const isLow = y(i) > canvas.clientHeight / 2;
      tip.style.left = isRight ? "" : `${x(i) + 12}px`;
      tip.style.right = isRight ? `${canvas.clientWidth - x(i) + 12}px` : "";
      tip.style.top = isLow ? "" : `${y(i) + 12}px`;
      tip.style.bottom = isLow ? `${canvas.clientHeight - y(i) + 12}px` : "";
    }
    draw();
  }

  function select(list) {
    selected = new Set(list);
    const counts = new Map();
    for (const i of list) counts.set(data.shares[i][0], (counts.get(data.shares[i][0]) || 0) + 1);
    const parts = [...counts].sort((a, b) => b[1] - a[1]).slice(0, 5).map(([k, n]) => `${n} ${k < 0 ? "without topic" : `in topic ${topics[k].id}`}`);
    const more = list.length > N_LISTED ? ` The first ${N_LISTED} are shown.` : "";
    const title = `Selected ${count(list.length, "document")}: ${parts.join(", ")}.${more}`;
    byId("selection").replaceChildren(...(list.length ? [make("h3", {}, title), makeDocuments(list.slice(0, N_LISTED))] : []));
    draw();
  }

  /** Whether a point is in the polygon that was drawn: a ray from it crosses the border an odd number of times. */
  function isInside(a, b, polygon) {
    let inside = false;
    polygon.forEach(([x1, y1], j) => {
      const [x2, y2] = polygon[(j + 1) % polygon.length];
      if (y1 > b !== y2 > b && a < x1 + ((x2 - x1) * (b - y1)) / (y2 - y1)) inside = !inside;
    });
    return inside;
  }

  function locate(event) {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button || (event.pointerType === "touch" && !canvas.classList.contains("is-drawing"))) return;
    line = [locate(event)];
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (line) {
      line.push(locate(event));
      draw();
    } else setHovered(findNearest(...locate(event), 12));
  });
  canvas.addEventListener("pointerup", () => {
    const polygon = line || [];
    line = null;
    if (polygon.length > 3 && Math.max(...polygon.map(([a, b]) => Math.hypot(a - polygon[0][0], b - polygon[0][1]))) > 6) {
      select(mapped.filter((i) => isInside(x(i), y(i), polygon)));
      canvas.dataset.drawn = "true"; // the click that follows selects nothing
    }
  });
  canvas.addEventListener("pointercancel", () => { line = null; draw(); });
  canvas.addEventListener("pointerleave", () => setHovered(-1));
  canvas.addEventListener("blur", () => setHovered(-1));
  canvas.addEventListener("click", (event) => {
    if (canvas.dataset.drawn) return void delete canvas.dataset.drawn;
    const i = findNearest(...locate(event), event.pointerType === "touch" ? 24 : 12);
    setHovered(i);
    select(i < 0 ? [] : [i]);
  });
  canvas.addEventListener("keydown", (event) => {
    const direction = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === "Enter" && hovered >= 0) select([hovered]);
    else if (event.key === "Escape") select([]);
    if (!direction) return;
    event.preventDefault();
    if (hovered < 0) return setHovered(findNearest(canvas.clientWidth / 2, canvas.clientHeight / 2, Infinity));
    let [best, least] = [hovered, Infinity];
    for (const i of mapped) {
      const [a, b] = [x(i) - x(hovered), y(i) - y(hovered)];
      const along = a * direction[0] + b * direction[1];
      const aside = Math.abs(a * direction[1]) + Math.abs(b * direction[0]);
      if (along > 0 && along + 2 * aside < least) [best, least] = [i, along + 2 * aside];
    }
    setHovered(best);
  });
  topics.forEach((topic, k) => {
    if (centers[k]) highlight.append(make("option", { value: k }, `${topic.id} ${topic.name}`));
  });
  highlight.addEventListener("change", () => select([]));
  byId("clear").addEventListener("click", () => { highlight.value = ""; select([]); });
  byId("draw").addEventListener("click", (event) => {
    const isDrawing = canvas.classList.toggle("is-drawing");
    event.target.setAttribute("aria-pressed", isDrawing);
  });
  new ResizeObserver(draw).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
}

if (mapped.length) startMap(byId("canvas"));

// -- downloads ----------------------------------------------------------------------------------------------------

/** Return a cell of a CSV file. A cell that a spreadsheet would run as a formula gets an apostrophe. */
function formatCell(value) {
  let text = value === null || value === undefined ? "" : String(value);
  if (typeof value === "string" && /^(?:\s*[=+\-@＝＋－＠]|[\t\r])/u.test(text) && !/^[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/.test(text)) {
    text = `'${text}`;
  }
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

const tables = {
  topics: () => [
    ["id", "name", "size", "share", "coherence", "mixed", "words"],
    ...topics.map((t) => [t.id, t.name, t.size, t.share, t.coherence, t.mixed, t.words.join(", ")]),
  ],
  documents: () => {
    const place = new Map(rows.map((row, i) => [row, i]));
    const beginning = (row) => (place.has(row) ? texts[place.get(row)].slice(0, 200) : "");
    return [
      ["document", "topic", "name", "share", "beginning"],
      ...data.assigned.map((k, row) =>
        k < 0 ? [row, -1, "", "", beginning(row)] : [row, topics[k].id, topics[k].name, data.assignedShares[row] / 100, beginning(row)],
      ),
    ];
  },
  trends: () => {
    const { starts, documents, shares, lower, upper } = data.trends;
    const lines = starts.flatMap((start, b) =>
      topics.map((t, k) => [start, documents[b], t.id, t.name, shares[k][b], lower[k][b], upper[k][b]]),
    );
    return [["start", "documents", "topic", "name", "share", "lower", "upper"], ...lines];
  },
  labels: () => [
    ["topic", "name", ...data.labels.names],
    ...topics.map((t, k) => [t.id, t.name, ...data.labels.counts[k]]),
  ],
};

for (const button of document.querySelectorAll("[data-table]")) {
  button.addEventListener("click", () => {
    const lines = tables[button.dataset.table]().map((row) => row.map(formatCell).join(","));
    // The mark at the beginning tells spreadsheets that the file is UTF-8.
    const blob = new Blob(["\ufeff", lines.join("\r\n"), "\r\n"], { type: "text/csv;charset=utf-8" });
    const link = make("a", { href: URL.createObjectURL(blob), download: `${button.dataset.table}.csv` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });
}

goToTopic(location.hash);
document.documentElement.dataset.ready = "true";
