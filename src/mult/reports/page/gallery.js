const albums = data("data-albums");
const words = data("data-words");
const gallery = { album: albums[0], sample: 0 };
const domainOf = byId("g-domain");
const taskOf = byId("g-task");
const sides = { left: byId("g-left"), right: byId("g-right") };

/** Draw a sample's picture into a canvas: the input, the label or a model's prediction of a task. */
async function drawPicture(canvas, album, sample, task, column) {
  const size = album.image_size;
  const input = column === "input";
  const wanted = `${album.domain}/${input ? "rgb" : `${task}/${sample}`}`;
  canvas.dataset.wanted = wanted;
  const image = await picture(wanted);
  if (canvas.dataset.wanted !== wanted) return;
  const row = input ? Math.floor(sample / album.across) : ["label", ...album.models].indexOf(column);
  canvas.width = canvas.height = size;
  const left = input ? sample % album.across : 0;
  canvas.getContext("2d").drawImage(image, left * size, row * size, size, size, 0, 0, size, size);
}

/** An image's error in its unit, three digits. */
function errorText(task, value) {
  if (value === null || value === undefined) return "no valid pixel";
  const [, unit, factor] = words.errors[task] ?? ["", "", 1];
  return `${Number((value * factor).toPrecision(3))}${unit === "°" ? "°" : unit && ` ${unit}`}`;
}

/** The numbers of a row that are the least, by model. */
function leastOf(album, sample, task) {
  const errors = album.models.map((model) => album.samples[sample].errors[model][task] ?? Infinity);
  const least = Math.min(...errors);
  return new Set(album.models.filter((_, place) => errors[place] === least && least < Infinity));
}

function showSplit() {
  const [album, sample, task] = [gallery.album, gallery.sample, taskOf.value];
  const of = album.samples[sample];
  const said = [`Image ${of.image} (${of.group})${of.role && `, the ${of.role} of these`}`];
  if (of.error !== null) said[0] += `: error ${of.error.toFixed(2)} times the average`;
  for (const [side, select] of Object.entries(sides)) {
    const canvas = byId(`g-${side}-picture`);
    drawPicture(canvas, album, sample, task, select.value);
    canvas.setAttribute("aria-label", `${select.value}, ${task}`);
    byId(`g-${side}-name`).textContent = select.value;
    const error = of.errors[select.value]?.[task];
    if (!album.models.includes(select.value)) continue;
    said.push(`${select.value}: ${errorText(task, error)} (${task}, ${words.errors[task]?.[0] ?? "error"})`);
  }
  byId("g-said").textContent = `${said.join(". ")}.`;
  slide();
}

function slide() {
  const at = Number(byId("g-slider").value);
  byId("g-compare").style.setProperty("--at", `${at}%`);
  byId("g-slider").setAttribute("aria-valuetext", `${at} % ${sides.left.value}, ${100 - at} % ${sides.right.value}`);
}

/** Keys move the range input; a pointer moves it from wherever it is put down, which a touch on a range may not. */
function drag(event) {
  const compare = byId("g-compare");
  if (event.type === "pointerdown") compare.setPointerCapture(event.pointerId);
  if (!compare.hasPointerCapture(event.pointerId)) return;
  const box = compare.getBoundingClientRect();
  byId("g-slider").value = Math.round((100 * (event.clientX - box.left)) / box.width);
  byId("g-slider").focus({ preventScroll: true });
  slide();
}

function gridCell(task, column) {
  const [album, sample] = [gallery.album, gallery.sample];
  const canvas = make("canvas", { className: "pixels" });
  drawPicture(canvas, album, sample, task, column);
  const error = album.models.includes(column) ? errorText(task, album.samples[sample].errors[column][task]) : "";
  const button = make("button", { type: "button" }, canvas);
  button.setAttribute("aria-label", `${task}, ${column}${error && `, error ${error}`}: put it on the slider`);
  button.addEventListener("click", () => {
    taskOf.value = task;
    (column === "label" ? sides.left : sides.right).value = column;
    showSplit();
  });
  const cell = make("td", {}, button);
  if (error) cell.append(make(leastOf(album, sample, task).has(column) ? "b" : "span", { textContent: error }));
  return cell;
}

function showGrid() {
  const { tasks, models } = gallery.album;
  const columns = ["label", ...models];
  const input = make("canvas", { className: "pixels" });
  input.setAttribute("role", "img");
  input.setAttribute("aria-label", "input");
  drawPicture(input, gallery.album, gallery.sample, "", "input");
  const head = make("tr", {}, make("th", { scope: "col" }, "input", input));
  for (const column of columns) {
    head.append(make("th", { scope: "col" }, column, make("small", { textContent: words.models[column] ?? "" })));
  }
  const rows = tasks.map((task) => {
    const about = make("small", {}, words.errors[task]?.[0] ?? "");
    const cells = columns.map((column) => gridCell(task, column));
    return make("tr", {}, make("th", { scope: "row" }, task, about), ...cells);
  });
  byId("g-all").replaceChildren(make("thead", {}, head), make("tbody", {}, ...rows));
}

function swatch(name, place) {
  const colour = make("i", {});
  colour.style.background = gallery.album.colours[place];
  return make("span", {}, colour, name);
}

function choose(sample) {
  gallery.sample = sample;
  const thumbs = byId("g-thumbs").querySelectorAll("button");
  thumbs.forEach((button, place) => button.setAttribute("aria-pressed", place === sample));
  showSplit();
  showGrid();
}

function thumb(sample, place) {
  const canvas = make("canvas");
  drawPicture(canvas, gallery.album, place, "", "input");
  const note = make("span", {}, sample.role || (sample.error?.toFixed(2) ?? ""));
  const button = make("button", { type: "button" }, canvas, note);
  button.setAttribute("aria-label", `Image ${sample.image}, ${sample.group}${sample.role && `, ${sample.role}`}`);
  button.addEventListener("click", () => choose(place));
  return make("li", {}, button);
}

function showDomain() {
  gallery.album = albums.find((album) => album.domain === domainOf.value);
  const { tasks, models, samples } = gallery.album;
  offer(taskOf, tasks.map((task) => [task, task]));
  for (const select of Object.values(sides)) offer(select, ["input", "label", ...models].map((name) => [name, name]));
  byId("g-thumbs").replaceChildren(...samples.map(thumb));
  byId("g-classes").replaceChildren("Classes of semseg: ", ...gallery.album.classes.map(swatch));
  choose(Math.max(0, samples.findIndex((sample) => sample.role === "median")));
}

offer(domainOf, albums.map(({ domain }) => [domain, domain]));
showDomain();
sides.left.value = "label";
sides.right.value = albums[0].models.at(-1);
domainOf.addEventListener("change", showDomain);
for (const select of [taskOf, sides.left, sides.right]) select.addEventListener("change", showSplit);
byId("g-slider").addEventListener("input", slide);
for (const type of ["pointerdown", "pointermove"]) byId("g-compare").addEventListener(type, drag);
showSplit();
