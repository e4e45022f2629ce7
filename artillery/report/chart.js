// A bar chart as SVG, in the colours of the page that shows it, light or dark.

const WIDTH = 720;
const LABELS = 190;
const ROW = 26;
const TOP = 40;

/** @typedef {{ label: string, value: number, text?: string, ours: boolean }} Bar */

/**
 * Bars on a logarithmic scale from `least` on, as the old figures and ours lie far apart.
 * @param {string} title
 * @param {number} least
 * @param {Bar[]} bars
 */
export function chart(title, least, bars) {
  const span = Math.log10(Math.max(...bars.map(({ value }) => value)) / least) || 1;
  const room = WIDTH - LABELS - 90;
  const rows = bars.map(({ label, value, text, ours }, index) => {
    const y = TOP + index * ROW;
    const width = Math.max(2, (room * Math.log10(Math.max(value, least) / least)) / span).toFixed(0);
    return [
      `<text x="${LABELS - 8}" y="${y + 15}" text-anchor="end">${label}</text>`,
      `<rect x="${LABELS}" y="${y + 2}" width="${width}" height="18" rx="3" class="${ours ? "ours" : "theirs"}"/>`,
      `<text x="${LABELS + Number(width) + 6}" y="${y + 15}">${text ?? value.toLocaleString("en")}</text>`,
    ].join("");
  });
  const style =
    "text{font:13px system-ui,sans-serif;fill:#333}.title{font-weight:600}.theirs{fill:#b9b9b9}.ours{fill:#2f6fde}" +
    "@media(prefers-color-scheme:dark){text{fill:#ddd}.theirs{fill:#666}}";
  const height = TOP + bars.length * ROW + 10;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${title}">`,
    `<style>${style}</style><text x="8" y="22" class="title">${title}</text>`,
    ...rows,
    "</svg>\n",
  ].join("\n");
}
