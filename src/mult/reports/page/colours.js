// Blue for less than an even share, orange for more, which the common forms of colour blindness tell apart.
const RAMP = [
  [24, 74, 144],
  [120, 166, 214],
  [246, 245, 241],
  [240, 163, 82],
  [166, 70, 4],
];
const LIMITS = [1.1, 1.25, 1.5, 2, 4, 8, 16];

/** The colour of a ratio on a logarithmic scale from 1/limit to limit. */
function colourOf(ratio, limit) {
  const share = (Math.log(Math.max(ratio, 1e-9)) / Math.log(limit) + 1) / 2;
  const at = Math.min(1, Math.max(0, share)) * (RAMP.length - 1);
  const low = Math.min(Math.floor(at), RAMP.length - 2);
  const mix = RAMP[low].map((channel, k) => Math.round(channel + (at - low) * (RAMP[low + 1][k] - channel)));
  return `rgb(${mix.join(" ")})`;
}

/** The least limit that one in twenty of the ratios passes at most. */
function limitFor(ratios) {
  const sorted = Float32Array.from(ratios).sort();
  const high = sorted[Math.floor(0.95 * (sorted.length - 1))];
  return LIMITS.find((limit) => limit >= high) ?? LIMITS.at(-1);
}

function showLegend(ramp, ticks, limit) {
  const steps = Array.from({ length: 17 }, (_, k) => colourOf(limit ** (k / 8 - 1), limit));
  ramp.style.background = `linear-gradient(to right, ${steps.join(", ")})`;
  const numbers = [-1, -0.5, 0, 0.5, 1].map((power) => limit ** power);
  const text = (number, k) => `${k === 0 ? "≤ " : k === 4 ? "≥ " : ""}${Number(number.toPrecision(3))} ×`;
  ticks.replaceChildren(...numbers.map((number, k) => make("li", { textContent: text(number, k) })));
}
