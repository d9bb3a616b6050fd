const collator = new Intl.Collator("en", { numeric: true });

/** Compare two cells by number, and by text where one has none; empty ones stay last in either direction. */
function compareCells(a, b, sign) {
  const [x, y] = [a, b].map((cell) => (cell.dataset.sort === undefined ? NaN : Number(cell.dataset.sort)));
  if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;
  return sign * (Number.isNaN(x) ? collator.compare(a.textContent, b.textContent) : x - y);
}

for (const table of document.querySelectorAll("table.data")) {
  const body = table.tBodies[0];
  const order = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const next = { none: "ascending", ascending: "descending", descending: "none" }[head.getAttribute("aria-sort")];
      for (const other of heads) other.setAttribute("aria-sort", other === head ? next : "none");
      const sign = next === "ascending" ? 1 : -1;
      const by = (a, b) => compareCells(a.cells[column], b.cells[column], sign);
      body.append(...(next === "none" ? order : [...order].sort(by)));
    });
  });
}

const runs = data("data-runs");
const HOME = "http://127.0.0.1:5000";
byId("mlflow").value = stored.get("mult-mlflow") ?? HOME;
byId("mlflow").addEventListener("change", () => stored.set("mult-mlflow", byId("mlflow").value.trim()));

/** Where MLflow is; only web addresses lead anywhere. */
function base() {
  const typed = byId("mlflow").value.trim().replace(/\/+$/, "");
  return /^https?:\/\//.test(typed) ? typed : HOME;
}

function runItem(place) {
  const [name, id] = runs[place];
  if (!id) return make("li", {}, `${name} (no MLflow run is known)`);
  if (id.startsWith("local-")) return make("li", {}, `${name} (in MLflow: tags.\`mult.local_id\` = '${id}')`);
  const href = `${base()}/#/runs/${encodeURIComponent(id)}`;
  return make("li", {}, make("a", { href, target: "_blank", rel: "noopener", textContent: name }));
}

function openRuns(button) {
  const [popover, cell] = [byId("runs"), button.closest("td, th")];
  const places = button.dataset.runs.split(" ");
  const head = button.closest("table").tHead.rows[0].cells[cell.cellIndex].textContent.trim();
  const count = places.length === 1 ? "1 run" : `${places.length} runs`;
  byId("runs-title").textContent = `${button.textContent}: ${count}, ${head}`;
  popover.querySelector("ul").replaceChildren(...places.map(runItem));
  popover.showPopover();
  const [at, own] = [button.getBoundingClientRect(), popover.getBoundingClientRect()];
  const left = Math.max(8, Math.min(at.left, document.documentElement.clientWidth - own.width - 8));
  const below = at.bottom + own.height + 8 < innerHeight || at.top < own.height + 8;
  popover.style.left = `${left + scrollX}px`;
  popover.style.top = `${(below ? at.bottom + 4 : at.top - own.height - 4) + scrollY}px`;
  (popover.querySelector("a") ?? popover).focus({ preventScroll: true });
}

document.addEventListener("click", (event) => {
  const button = event.target.closest?.(".origin");
  if (button) openRuns(button);
});
