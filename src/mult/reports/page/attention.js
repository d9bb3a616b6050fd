const SIDE = 896; // of the overlay's pixels: a multiple of the usual image sizes and of the stages' tokens
const pictured = albums.flatMap((album) =>
  [...new Set(album.attention.map((of) => of.sample))].map((sample) => ({ album, sample })),
);
const CHOICES = ["image", "variant", "owner", "stage", "head"];
const chosen = Object.fromEntries(CHOICES.map((name) => [name, byId(`a-${name}`)]));
const point = { row: 0.4, column: 0.4 }; // as shares of the image, so that another stage keeps it
const maps = new Map();

/** The bytes of a map's array, decoded once. */
function quantised(album, map) {
  const name = `${album.domain}/${map.array}`;
  if (!maps.has(name)) maps.set(name, bytes(name));
  return maps.get(name);
}

/** Where each token of the grid is: its window and its place in it. */
function placesOf(map) {
  const places = [];
  map.cells.forEach((window, m) => window.forEach((token, n) => token >= 0 && (places[token] = [m, n])));
  return places;
}

/** Weights of one query in one head over its window's N tokens, adding up to one: q is 255 times their root. */
function weightsOfHead(q, map, owner, window, head, query) {
  const N = map.cells[window].length;
  const start = (((owner * map.cells.length + window) * map.heads + head) * N + query) * N;
  const weights = Array.from(q.subarray(start, start + N), (code) => (code / 255) ** 2);
  const total = weights.reduce((sum, w) => sum + w, 0);
  return weights.map((w) => w / total);
}

/** The chosen head's weights, or the mean over the heads. */
function weightsOf(q, map, owner, window, head, query) {
  const heads = head === "mean" ? [...Array(map.heads).keys()] : [Number(head)];
  const each = heads.map((h) => weightsOfHead(q, map, owner, window, h, query));
  return each[0].map((_, key) => each.reduce((sum, weights) => sum + weights[key], 0) / heads.length);
}

function current() {
  const { album, sample } = pictured[Number(chosen.image.value)];
  const of = album.attention.filter((map) => map.sample === sample);
  const map = of.find((m) => m.variant === chosen.variant.value && m.stage === Number(chosen.stage.value));
  return { album, sample, of, map };
}

/** One colour scale a stage, over the heads of all its variants and owners. */
function limitOf(album, sample, stage) {
  const ratios = [];
  for (const map of album.attention.filter((of) => of.sample === sample && of.stage === stage)) {
    const real = map.cells.map((window) => window.filter((token) => token >= 0).length);
    const block = map.heads * map.cells[0].length ** 2;
    quantised(album, map).forEach((q, k) => {
      if (q > 0) ratios.push((q / 255) ** 2 * real[Math.floor(k / block) % real.length]);
    });
  }
  return limitFor(ratios);
}
const limits = new Map();

function queryOf(map) {
  const row = Math.min(map.height - 1, Math.floor(point.row * map.height));
  const column = Math.min(map.width - 1, Math.floor(point.column * map.width));
  return { row, column, token: row * map.width + column };
}

function look() {
  const { album, sample, map } = current();
  const key = `${album.domain}/${sample}/${map.stage}`;
  if (!limits.has(key)) limits.set(key, limitOf(album, sample, map.stage));
  const query = queryOf(map);
  const places = placesOf(map);
  const [window, n] = places[query.token];
  const owner = Number(chosen.owner.value);
  const weights = weightsOf(quantised(album, map), map, owner, window, chosen.head.value, n);
  const tokens = map.cells[window].filter((token) => token >= 0).length;
  return { map, places, query, window, n, weights, tokens, limit: limits.get(key) };
}

function drawOverlay({ map, places, query, window, weights, tokens, limit }) {
  const canvas = byId("a-overlay");
  canvas.width = canvas.height = SIDE;
  const context = canvas.getContext("2d");
  const [high, wide] = [SIDE / map.height, SIDE / map.width];
  const box = (token) => [(token % map.width) * wide, Math.floor(token / map.width) * high, wide, high];
  context.globalAlpha = 0.85;
  map.cells[window].forEach((token, key) => {
    if (token < 0) return;
    context.fillStyle = colourOf(weights[key] * tokens, limit);
    context.fillRect(...box(token));
  });
  context.globalAlpha = 1;
  drawBorders(context, map, places, wide, high);
  for (const [style, width] of [["#fff", 10], ["#000", 4]]) {
    context.strokeStyle = style;
    context.lineWidth = width;
    const [x, y] = box(query.token);
    context.strokeRect(x + 5, y + 5, wide - 10, high - 10);
  }
}

/** Thin lines between tokens of different windows. */
function drawBorders(context, map, places, wide, high) {
  const windowAt = (row, column) => places[row * map.width + column][0];
  const line = (...[x, y, toX, toY]) => {
    context.moveTo(x, y);
    context.lineTo(toX, toY);
  };
  context.beginPath();
  for (let row = 0; row < map.height; row++) {
    for (let column = 0; column < map.width; column++) {
      const [x, y] = [column * wide, row * high];
      if (column > 0 && windowAt(row, column) !== windowAt(row, column - 1)) line(x, y, x, y + high);
      if (row > 0 && windowAt(row, column) !== windowAt(row - 1, column)) line(x, y, x + wide, y);
    }
  }
  for (const [style, width] of [["rgb(0 0 0 / 0.55)", 5], ["rgb(255 255 255 / 0.9)", 2]]) {
    context.strokeStyle = style;
    context.lineWidth = width;
    context.stroke();
  }
}

/** Shannon entropy in percent of that of an even spread. */
function entropyPercent(weights, tokens) {
  if (tokens === 1) return 100;
  return (-100 * weights.reduce((sum, w) => sum + (w > 0 ? w * Math.log(w) : 0), 0)) / Math.log(tokens);
}

function say({ map, query, window, n, weights, tokens }) {
  const name = (token) => `row ${Math.floor(token / map.width) + 1}, column ${(token % map.width) + 1}`;
  const said = (w) => `${w.toPrecision(3)} (${(w * tokens).toFixed(2)} ×)`;
  const most = weights.indexOf(Math.max(...weights));
  const lines = [
    ["Point", `${name(query.token)} of ${map.height} × ${map.width} tokens, in a window of ${tokens}`],
    ["Entropy", `${entropyPercent(weights, tokens).toFixed(2)} % of an even spread`],
    ["Greatest weight", `${said(weights[most])} on ${name(map.cells[window][most])}`],
    ["On itself", said(weights[n])],
    ["Even", (1 / tokens).toPrecision(3)],
  ];
  const items = lines.flatMap(([term, text]) => [make("dt", {}, term), make("dd", {}, text)]);
  byId("a-said").replaceChildren(make("dl", {}, ...items));
}

function showMap() {
  const seen = look();
  drawOverlay(seen);
  say(seen);
  showLegend(byId("a-ramp"), byId("a-ticks"), seen.limit);
}

/** Offer what there is for what is chosen already, from the image down to the head. */
function offerMaps() {
  const { album, sample, of } = current();
  drawPicture(byId("a-picture"), album, sample, "", "input");
  offer(chosen.variant, [...new Set(of.map((map) => map.variant))].map((name) => [name, name]));
  const stages = of.filter((map) => map.variant === chosen.variant.value);
  offer(chosen.stage, stages.map((map) => [String(map.stage), `${map.stage} (${map.height} × ${map.width} tokens)`]));
  const { map } = current();
  offer(chosen.owner, map.owners.map((owner, place) => [String(place), owner === "all" ? "all tasks" : owner]));
  chosen.owner.disabled = map.owners.length === 1;
  const heads = Array.from({ length: map.heads }, (_, head) => [String(head), `${head + 1} of ${map.heads}`]);
  offer(chosen.head, [["mean", "mean of heads"], ...heads]);
  showMap();
}

function moveTo(row, column) {
  point.row = Math.min(0.999, Math.max(0, row));
  point.column = Math.min(0.999, Math.max(0, column));
  showMap();
}

function prefer(select, value) {
  if ([...select.options].some((option) => option.value === value)) select.value = value;
}

const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
byId("a-viewer").addEventListener("keydown", (event) => {
  const step = STEPS[event.key];
  if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  const { map } = current();
  const { row, column } = queryOf(map);
  moveTo((row + step[0] + 0.5) / map.height, (column + step[1] + 0.5) / map.width);
});
byId("a-viewer").addEventListener("click", (event) => {
  const box = byId("a-overlay").getBoundingClientRect();
  moveTo((event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width);
});
for (const select of Object.values(chosen)) select.addEventListener("change", offerMaps);

offer(
  chosen.image,
  pictured.map(({ album, sample }, at) => [String(at), `${album.domain}, image ${album.samples[sample].image}`]),
);
// Decoded when it is first looked at, not while the page loads.
const awaited = new IntersectionObserver((entries) => {
  if (!entries.some((entry) => entry.isIntersecting)) return;
  awaited.disconnect();
  offerMaps();
  prefer(chosen.variant, "shared");
  prefer(chosen.stage, "3");
  offerMaps();
});
awaited.observe(byId("a-viewer"));
