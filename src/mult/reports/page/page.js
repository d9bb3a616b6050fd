const byId = (id) => document.getElementById(id);
const data = (id) => JSON.parse(byId(id).textContent);

/** An element with properties and children. */
function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** Fill a select with [value, text] and keep what was chosen where it is still there. */
function offer(select, options) {
  const before = select.value;
  select.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
  if (options.some(([value]) => value === before)) select.value = before;
}

/** Bytes of a payload, decoded when they are first wanted. */
function bytes(name) {
  return Uint8Array.from(atob(byId(name).textContent), (letter) => letter.charCodeAt(0));
}

const pictures = new Map();

/** A payload as a decoded image; the last 64 are kept. */
function picture(name) {
  if (!pictures.has(name)) {
    const image = new Image();
    image.src = `data:image/webp;base64,${byId(name).textContent}`;
    pictures.set(name, image.decode().then(() => image));
    if (pictures.size > 64) pictures.delete(pictures.keys().next().value);
  }
  return pictures.get(name);
}

function showTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  byId("theme").setAttribute("aria-pressed", dark);
  return dark;
}
byId("theme").addEventListener("click", () => {
  const next = showTheme() ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  stored.set("mult-theme", next);
  showTheme();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showTheme);
showTheme();

for (const button of document.querySelectorAll(".enlarge")) {
  button.addEventListener("click", () => {
    const [small, large] = [button.querySelector("img"), byId("enlarged").querySelector("img")];
    large.src = small.src;
    large.alt = small.alt;
    large.style.setProperty("--ratio", small.naturalWidth / small.naturalHeight);
    byId("enlarged").showModal();
  });
}
byId("enlarged").addEventListener("click", (event) => {
  if (event.target === byId("enlarged")) byId("enlarged").close();
});

const links = new Map([...document.querySelectorAll(".contents a")].map((link) => [link.hash.slice(1), link]));
const seen = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      for (const link of links.values()) link.removeAttribute("aria-current");
      links.get(target.id)?.setAttribute("aria-current", "location");
    }
  },
  { rootMargin: "-10% 0px -80% 0px" },
);
for (const section of document.querySelectorAll("main > section")) seen.observe(section);
