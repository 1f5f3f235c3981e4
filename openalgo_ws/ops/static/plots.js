// Throughput and latency of the last minutes.

const KEPT = 600;

function css(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString("en-GB");
}

function plot(element, series, format) {
  const axis = {
    stroke: () => css("--muted"),
    grid: { stroke: () => css("--line"), width: 1 },
    ticks: { stroke: () => css("--line"), width: 1 },
    font: "11px system-ui, sans-serif",
  };
  const options = {
    width: element.clientWidth || 400,
    height: 150,
    legend: { show: true, live: false },
    cursor: { y: false },
    scales: { y: { range: (u, low, high) => [0, Math.max(high || 0, 1e-3) * 1.1] } },
    axes: [{ ...axis, space: 80, values: (u, marks) => marks.map(clock) }, { ...axis, size: 56, values: (u, marks) => marks.map(format) }],
    series: [{}, ...series.map(([label, color]) => ({ label, stroke: () => css(color), width: 1.5, spanGaps: true, points: { show: false } }))],
  };
  const made = new uPlot(options, [[], ...series.map(() => [])], element);
  new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: 150 })).observe(element);
  return made;
}

export class Plots {
  constructor(rate, latency) {
    this.samples = [];
    const short = (value) => (value >= 1e6 ? `${value / 1e6}M` : value >= 1e3 ? `${value / 1e3}k` : `${value}`);
    this.rate = plot(rate, [["ticks in", "--accent"], ["deliveries", "--up"]], short);
    this.latency = plot(latency, [["p50", "--accent"], ["p99", "--warn"], ["loop lag", "--muted"]], short);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  /** All samples there are: [at, ticks, deliveries, p50, p99, lag]. */
  replace(samples) {
    this.samples = samples.slice(-KEPT);
    this.draw();
  }

  add(sample) {
    const last = this.samples[this.samples.length - 1];
    if (last && last[0] >= sample[0]) return;
    this.samples.push(sample);
    if (this.samples.length > KEPT) this.samples.shift();
    this.draw();
  }

  draw() {
    document.body.dataset.samples = this.samples.length;
    const column = (index) => this.samples.map((sample) => sample[index]);
    this.rate.setData([column(0), column(1), column(2)]);
    this.latency.setData([column(0), column(3), column(4), column(5)]);
  }
}
