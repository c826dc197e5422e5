// The map page: permits near the map's centre on every pan, and questions as they are answered.
// It uses nothing but the public API, and asks no other host for anything.

const EARTH_M_PER_DEGREE = 111_320;
const RADIUS_MAX_M = 10_000;
const LIMIT = 1000;
const WAIT_AFTER_PAN_MS = 120;
const HUES = ["#2563eb", "#b45309", "#15803d", "#9333ea", "#be123c", "#0e7490", "#a16207", "#4d7c0f"];
const START = { lat: 30.2672, lng: -97.7431, metresPerPixel: 1 };

const canvas = document.getElementById("map");
const filters = document.getElementById("filters");
const view = { ...START };
let permits = [];
let chosen = null;
let waiting = null;
let loading = null;

const element = (name, text, className) => {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  if (className) made.className = className;
  return made;
};

const link = (text, href) => {
  const made = element("a", text);
  made.href = href;
  return made;
};

// Metres from the centre to canvas pixels; over a few kilometres the plane is good enough for a picture.
const toPixel = ([lng, lat]) => {
  const east = (lng - view.lng) * EARTH_M_PER_DEGREE * Math.cos((view.lat * Math.PI) / 180);
  const north = (lat - view.lat) * EARTH_M_PER_DEGREE;
  return [canvas.clientWidth / 2 + east / view.metresPerPixel, canvas.clientHeight / 2 - north / view.metresPerPixel];
};

const moveBy = (right, down) => {
  view.lng -= (right * view.metresPerPixel) / (EARTH_M_PER_DEGREE * Math.cos((view.lat * Math.PI) / 180));
  view.lat = Math.max(-85, Math.min(85, view.lat + (down * view.metresPerPixel) / EARTH_M_PER_DEGREE));
};

const hue = (permit) => {
  const first = permit.properties.categories[0];
  if (!first) return "#6b7280";
  let sum = 0;
  for (const letter of first) sum = (sum * 31 + letter.charCodeAt(0)) % 997;
  return HUES[sum % HUES.length];
};

function draw() {
  const scale = window.devicePixelRatio || 1;
  canvas.width = canvas.clientWidth * scale;
  canvas.height = canvas.clientHeight * scale;
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  const ink = getComputedStyle(document.body).color;
  for (const permit of [...permits].reverse()) {
    const [x, y] = toPixel(permit.geometry.coordinates);
    pen.beginPath();
    pen.arc(x, y, permit.id === chosen ? 8 : 4.5, 0, 2 * Math.PI);
    pen.fillStyle = hue(permit);
    pen.globalAlpha = permit.id === chosen ? 1 : 0.65;
    pen.fill();
  }
  pen.globalAlpha = 0.6;
  pen.strokeStyle = ink;
  const [x, y] = [canvas.clientWidth / 2, canvas.clientHeight / 2];
  pen.beginPath();
  pen.moveTo(x - 8, y);
  pen.lineTo(x + 8, y);
  pen.moveTo(x, y - 8);
  pen.lineTo(x, y + 8);
  pen.stroke();
  drawScale(pen, ink);
}

function drawScale(pen, ink) {
  const wanted = 100 * view.metresPerPixel;
  const power = 10 ** Math.floor(Math.log10(wanted));
  const metres = [5, 2, 1].map((step) => step * power).find((step) => step <= wanted);
  const width = metres / view.metresPerPixel;
  const bottom = canvas.clientHeight - 14;
  pen.globalAlpha = 1;
  pen.strokeStyle = pen.fillStyle = ink;
  pen.strokeRect(14, bottom, width, 0.5);
  pen.fillText(metres >= 1000 ? `${metres / 1000} km` : `${metres} m`, 14, bottom - 6);
}

function parameters() {
  const reach = Math.hypot(canvas.clientWidth, canvas.clientHeight) / 2;
  const asked = new URLSearchParams({
    lat: view.lat.toFixed(6),
    lng: view.lng.toFixed(6),
    radius_m: Math.max(1, Math.min(RADIUS_MAX_M, Math.round(reach * view.metresPerPixel))),
    limit: LIMIT,
  });
  for (const [name, value] of new FormData(filters)) if (value) asked.append(name, value);
  return asked;
}

async function load() {
  loading?.abort();
  loading = new AbortController();
  try {
    const reply = await fetch(`/permits/near?${parameters()}`, { signal: loading.signal });
    const document_ = await reply.json();
    if (!reply.ok) throw new Error(document_.detail || document_.title);
    permits = document_.features;
    showStanding(document_);
    showList();
    draw();
  } catch (error) {
    if (error.name !== "AbortError") showProblem(error.message);
  }
}

function loadSoon() {
  clearTimeout(waiting);
  waiting = setTimeout(load, WAIT_AFTER_PAN_MS);
}

function showStanding(collection) {
  const standing = document.getElementById("standing");
  const cities = Object.entries(collection.as_of.cities);
  standing.replaceChildren();
  if (!cities.length) standing.textContent = "no register is loaded yet";
  for (const [name, stand] of cities) {
    standing.append(`${name}, data through ${stand.data_through ?? "unknown"} `);
    if (stand.synthetic) standing.append(element("span", "(synthetic: invented to try the service)", "synthetic"));
  }
  const more = collection.links.some((one) => one.rel === "next") ? " nearest, more further out" : " here";
  document.getElementById("legend").textContent = `${collection.numberReturned} permits${more}`;
}

function showList() {
  const items = permits.slice(0, 50).map((permit) => {
    const said = permit.properties;
    const item = element("li", "", permit.id === chosen ? "chosen" : "");
    const path = `/permits/${encodeURIComponent(said.city)}/${encodeURIComponent(said.source_id)}`;
    item.append(link(said.permit_number ?? said.source_id, path));
    item.append(` ${said.distance_m} m, ${said.original_address1 ?? "no address"}`, element("br"));
    item.append(element("small", [said.categories.join(", "), said.issued_date, said.status_current].filter(Boolean).join(" · ")));
    if (said.description) item.append(element("br"), element("small", said.description.slice(0, 160)));
    return item;
  });
  document.getElementById("list").replaceChildren(...items);
}

function showProblem(message) {
  document.getElementById("answer").replaceChildren(element("p", message, "problem"));
}

async function ask(event) {
  event.preventDefault();
  const answer = document.getElementById("answer");
  answer.replaceChildren(element("p", "…"));
  const body = { question: new FormData(event.target).get("question"), lat: view.lat, lng: view.lng };
  const headers = { "Content-Type": "application/json", Accept: "text/event-stream" };
  const reply = await fetch("/ask", { method: "POST", headers, body: JSON.stringify(body) });
  if (!reply.ok) return showProblem((await reply.json()).detail ?? "the service does not answer");
  answer.replaceChildren();
  for await (const { name, data } of readEvents(reply.body)) showEvent(answer, name, data);
}

async function* readEvents(stream) {
  const decoder = new TextDecoder();
  let text = "";
  for (const reader = stream.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (text + decoder.decode(value, { stream: true })).split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]));
      if (fields.event) yield { name: fields.event, data: JSON.parse(fields.data) };
    }
  }
}

function showEvent(answer, name, data) {
  if (name === "plan" && data.reading) answer.append(element("p", `Read as: ${data.reading}`, "reading"));
  if (name === "answer") {
    for (const sentence of data.sentences) answer.append(element("p", sentence.text));
    for (const candidate of data.did_you_mean) answer.append(element("p", `Did you mean ${candidate}?`));
  }
  if (name === "facts" && data.facts.length) {
    const source = element("p", "", "source");
    source.append("Rows: ", link("the permits counted", data.facts[0].rows));
    answer.append(source);
  }
  if (name === "text") answer.append(element("p", data.text, "told"));
  if (name === "done") {
    const by = data.model ? `told by ${data.model}${data.hosted ? " (hosted)" : ""}` : "no model was needed";
    answer.append(element("small", `Answer in ${data.ms.answer} ms; ${by}.`));
  }
  if (name === "error") showProblem(data.title);
}

function chooseAt(x, y) {
  let nearest = null;
  let best = 12;
  for (const permit of permits) {
    const [px, py] = toPixel(permit.geometry.coordinates);
    const away = Math.hypot(px - x, py - y);
    if (away < best) [best, nearest] = [away, permit];
  }
  chosen = nearest?.id ?? null;
  if (nearest) permits = [nearest, ...permits.filter((permit) => permit !== nearest)];
  showList();
  draw();
}

function listen() {
  let from = null;
  canvas.addEventListener("pointerdown", (event) => {
    from = { x: event.offsetX, y: event.offsetY, moved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!from) return;
    from.moved ||= Math.hypot(event.offsetX - from.x, event.offsetY - from.y) > 3;
    if (!from.moved) return;
    moveBy(event.offsetX - from.x, event.offsetY - from.y);
    from = { x: event.offsetX, y: event.offsetY, moved: true };
    draw();
    loadSoon();
  });
  canvas.addEventListener("pointerup", (event) => {
    if (from && !from.moved) chooseAt(event.offsetX, event.offsetY);
    from = null;
  });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoomBy(event.deltaY > 0 ? 1.25 : 0.8);
  });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] }[event.key];
    if (step) moveBy(...step);
    else if (event.key === "+") zoomBy(0.8);
    else if (event.key === "-") zoomBy(1.25);
    else return;
    draw();
    loadSoon();
  });
  filters.addEventListener("change", load);
  document.getElementById("ask").addEventListener("submit", (event) => ask(event).catch((error) => showProblem(error.message)));
  new ResizeObserver(() => { draw(); loadSoon(); }).observe(canvas);
}

function zoomBy(factor) {
  view.metresPerPixel = Math.max(0.05, Math.min(40, view.metresPerPixel * factor));
  draw();
  loadSoon();
}

async function offerCategories() {
  const description = await (await fetch("/openapi.json")).json();
  const select = filters.elements.category;
  for (const name of description.components.schemas.Category.enum) select.append(new Option(name.replaceAll("_", " "), name));
}

listen();
load();
offerCategories().catch(() => {});
