// Pictures of numbers, drawn on canvases in the colours of the page.

/** Draws rows of numbers as colours: above zero hot, below it cool, relative to three times the size of their row. */
export function drawStream(canvas, numbers, rows) {
  const columns = numbers.length / rows;
  const [cell, hot, cool] = ["--cell", "--hot", "--cool"].map(readColor);
  const image = new ImageData(columns, rows);
  for (let row = 0; row < rows; row++) {
    const line = numbers.subarray(row * columns, (row + 1) * columns);
    const size = Math.sqrt(line.reduce((sum, x) => sum + x * x, 0) / columns) || 1;
    line.forEach((x, column) => {
      const share = Math.min(1, Math.abs(x) / (3 * size));
      const end = x > 0 ? hot : cool;
      const mixed = cell.map((from, channel) => from + (end[channel] - from) * share);
      image.data.set([...mixed, 255], (row * columns + column) * 4);
    });
  }
  canvas.width = columns;
  canvas.height = rows;
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** Draws probabilities (size, size), and frames the line of a row. */
export function drawMap(canvas, probability, size, selected) {
  const scale = Math.max(1, Math.floor(480 / size));
  canvas.width = canvas.height = size * scale;
  const context = canvas.getContext("2d");
  const style = getComputedStyle(document.documentElement);
  context.fillStyle = style.getPropertyValue("--cell");
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = style.getPropertyValue("--hot");
  for (let row = 0; row < size; row++)
    for (let column = 0; column <= row; column++) {
      context.globalAlpha = Math.sqrt(probability(row, column));
      context.fillRect(column * scale, row * scale, scale, scale);
    }
  context.globalAlpha = 1;
  context.strokeStyle = style.getPropertyValue("--ink");
  context.lineWidth = 2;
  context.strokeRect(1, selected * scale + 1, (selected + 1) * scale - 2, scale - 2);
}

/** Returns red, green and blue of a colour of the style sheet, which is written as #rrggbb. */
function readColor(name) {
  const text = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  return [1, 3, 5].map(at => parseInt(text.slice(at, at + 2), 16));
}
